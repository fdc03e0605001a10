# SPDX-License-Identifier: Apache-2.0
"""Smoothed skeletons: whose, for how long, how much smoother, and how late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hrnet_pose_ros.fusion.smoothing import SkeletonSmoother
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17

FRAME = 1 / 30  # seconds between images
NOISE = 3.0  # px, of each coordinate
SIZE = 200.0  # px, of the person
BOX = np.array([[100.0, 100.0, 80.0, SIZE]])
NOSE, LEFT_WRIST = 0, 9


def body(at: tuple[float, float] = (140.0, 200.0), width: float = 60.0) -> np.ndarray:
    """A front view [17, 2]: left joints right of the middle, and the other way round."""
    rows = [-80, -85, -85, -80, -80, -50, -50, -15, -15, 15, 15, 5, 5, 45, 45, 85, 85]
    side = np.where(np.arange(COCO17.joints) % 2, 0.5, -0.5) * width
    side[0] = 0
    return np.stack([at[0] + side, at[1] + np.array(rows, float)], axis=1)


def poses(*people: np.ndarray, std: float = NOISE, hidden: tuple[int, ...] = ()) -> Poses:
    """Poses [N] with those key points, each with the covariance std² I; ``hidden`` are invalid."""
    keypoints = np.array(people, np.float32).reshape(-1, COCO17.joints, 2)
    n = len(keypoints)
    scores = np.full((n, COCO17.joints), 0.8, np.float32)
    covariances = np.tile(std**2 * np.eye(2, dtype=np.float32), (n, COCO17.joints, 1, 1))
    valid = np.ones((n, COCO17.joints), bool)
    for joint in hidden:
        keypoints[:, joint], covariances[:, joint] = np.nan, np.nan
        scores[:, joint], valid[:, joint] = 0, False
    return Poses(keypoints, scores, covariances, valid)


class Walk:
    """A smoother that is fed one image after the other."""

    def __init__(self) -> None:
        self.smoother = SkeletonSmoother()
        self.at = 1_000_000_000

    def see(self, *people: np.ndarray, after: float = FRAME, ids: str = "a", **how: Any) -> Poses:
        self.at += round(after * 1e9)
        boxes = np.tile(BOX, (len(people), 1))
        made = poses(*people, **how)
        return self.smoother.step(self.at, list(ids) if people else [], made, boxes)

    def stand(self, images: int = 10) -> Walk:
        """See a person that does not move, without noise."""
        for _ in range(images):
            self.see(body())
        return self


def assert_same(answer: Poses, given: Poses) -> None:
    np.testing.assert_array_equal(answer.keypoints, given.keypoints)
    np.testing.assert_array_equal(answer.covariances, given.covariances)
    np.testing.assert_array_equal(answer.scores, given.scores)
    np.testing.assert_array_equal(answer.valid, given.valid)


# --- how much smoother, and how late ------------------------------------------------------------


def test_a_standing_person_jitters_at_most_half_as_much() -> None:
    rng = np.random.default_rng(0)
    walk, raw, smooth = Walk(), [], []
    for _ in range(300):
        seen = body() + rng.normal(0, NOISE, (COCO17.joints, 2))
        raw.append(seen)
        smooth.append(walk.see(seen).keypoints[0])

    def jitter(track: list[np.ndarray]) -> float:
        return float(np.median(np.linalg.norm(np.diff(track, 2, axis=0), axis=-1)))

    def error(track: list[np.ndarray]) -> float:
        return float(np.sqrt(np.mean((np.array(track)[10:] - body()) ** 2)))

    assert jitter(smooth) < 0.5 * jitter(raw)
    assert error(smooth) < 0.75 * error(raw)


@pytest.mark.parametrize("speed", [50.0, 400.0])  # px/s: a stroller, a runner (2 sizes a second)
def test_no_lag_at_constant_velocity(speed: float) -> None:
    walk = Walk()
    for n in range(30):
        seen = body() + np.array([speed * n * FRAME, 0.0])
        offset = walk.see(seen).keypoints[0] - seen
        if n:  # the first velocity is unknown: in sizes a second it is 1.5 at one sigma
            assert (np.abs(offset[:, 0]) < speed * FRAME).all()  # never a whole image behind
    # Half a second later the velocity is known: less than a twentieth of an image's time behind.
    assert (np.abs(offset) < 0.05 * speed * FRAME).all()


def test_the_covariance_is_the_posteriors() -> None:
    walk = Walk()
    first = walk.see(body()).covariances
    np.testing.assert_allclose(first, np.tile(NOISE**2 * np.eye(2), (1, COCO17.joints, 1, 1)))
    second = walk.see(body()).covariances
    assert (np.linalg.eigvalsh(second) > 0).all()
    assert (np.linalg.eigvalsh(first - second) > 0).all()
    assert second.dtype == np.float32


def test_a_large_covariance_has_little_weight() -> None:
    walk = Walk().stand(30)
    seen = body() + 5.0
    sure, unsure = [
        np.abs(one.stand(30).see(seen, std=std).keypoints[0] - body()).max()
        for one, std in ((Walk(), 3.0), (Walk(), 30.0))
    ]
    assert unsure < 0.1 * sure
    assert walk.see(seen).scores == pytest.approx(0.8)


def test_jitter_is_judged_by_the_persons_size() -> None:
    """A picture of twice the size with twice the noise gives twice the answer."""
    rng = np.random.default_rng(1)
    small, large = SkeletonSmoother(), SkeletonSmoother()
    for n in range(20):
        seen = body() + rng.normal(0, NOISE, (COCO17.joints, 2))
        stamp = n * 33_000_000
        one = small.step(stamp, ["a"], poses(seen), BOX)
        two = large.step(stamp, ["a"], poses(2 * seen, std=2 * NOISE), 2 * BOX)
        np.testing.assert_allclose(two.keypoints, 2 * one.keypoints, rtol=1e-5)
        np.testing.assert_allclose(two.covariances, 4 * one.covariances, rtol=1e-5)


# --- whose, and for how long --------------------------------------------------------------------


def test_the_first_image_and_an_empty_one() -> None:
    walk = Walk()
    assert_same(walk.see(body()), poses(body()))
    assert len(walk.see()) == 0
    assert len(walk.see(body())) == 1


def test_persons_are_known_by_their_ids_not_by_their_places() -> None:
    left, right = body((100.0, 200.0)), body((300.0, 200.0))
    walk = Walk()
    for n in range(10):
        people, ids = ((left, right), "ab") if n % 2 else ((right, left), "ba")
        answer = walk.see(*people, ids=ids)
        np.testing.assert_allclose(answer.keypoints, people, atol=1e-3)
    # Both were filtered all the time: the covariances are those of the tenth image.
    assert (answer.covariances[:, :, 0, 0] < 0.6 * NOISE**2).all()


@pytest.mark.parametrize("ids", [["", ""], ["x", "x"]])  # none, and one that says nothing
def test_persons_without_an_id_of_their_own_pass_through(ids: list[str]) -> None:
    rng, smoother = np.random.default_rng(2), SkeletonSmoother()
    for n in range(5):
        given = poses(*(body() + rng.normal(0, NOISE, (2, COCO17.joints, 2))))
        assert_same(smoother.step(n * 33_000_000, ids, given, np.tile(BOX, (2, 1))), given)
    assert len(smoother) == 0


def test_a_doubled_id_does_not_disturb_its_track() -> None:
    walk = Walk().stand()
    strangers = (body() + 40.0, body() + 90.0, body((300.0, 200.0)))
    answer = walk.see(*strangers, ids="aab")
    np.testing.assert_array_equal(answer.keypoints, np.array(strangers, np.float32))
    np.testing.assert_allclose(walk.see(body()).keypoints[0], body(), atol=1e-3)
    # Of a track that begins, the second image would have 0.92.
    assert walk.see(body()).covariances[0, NOSE, 0, 0] < 0.75 * NOISE**2


@pytest.mark.parametrize(("gap", "begins"), [(0.4, False), (0.6, True), (100.0, True)])
def test_an_id_that_returns(gap: float, begins: bool) -> None:
    walk = Walk().stand()
    for _ in range(5):  # images without the person
        walk.see(after=gap / 6)
    answer = walk.see(body() + 5.0, after=gap / 6)
    assert np.array_equal(answer.keypoints[0], np.float32(body() + 5.0)) is begins


@pytest.mark.parametrize("back", [0.001, 5.0])
def test_a_stamp_that_goes_back_forgets_everything(back: float) -> None:
    walk = Walk().stand()
    assert_same(walk.see(body() + 5.0, after=-back), poses(body() + 5.0))
    assert len(walk.smoother) == 1


def test_an_image_of_the_same_time_is_one_more_measurement() -> None:
    walk = Walk()
    walk.see(body())
    again = walk.see(body() + 4.0, after=0.0)
    np.testing.assert_allclose(again.keypoints[0], body() + 2.0, atol=1e-3)


def test_ids_that_are_gone_do_not_stay_in_memory() -> None:
    smoother = SkeletonSmoother()
    for n in range(500):
        smoother.step(n * 100_000_000, [f"id {n}"], poses(body()), BOX)
        assert len(smoother) <= 6  # those of the last half second
    smoother.step(60_000_000_000, [], Poses.empty(), np.zeros((0, 4)))
    assert len(smoother) == 0


# --- joints -------------------------------------------------------------------------------------


def test_a_joint_that_is_not_measured_is_invalid_and_taken_up_again() -> None:
    walk = Walk().stand()
    for _ in range(5):
        answer = walk.see(body(), hidden=(LEFT_WRIST,))
        assert not answer.valid[0, LEFT_WRIST] and answer.valid.sum() == COCO17.joints - 1
        assert np.isnan(answer.keypoints[0, LEFT_WRIST]).all()
        assert np.isnan(answer.covariances[0, LEFT_WRIST]).all()
        assert answer.scores[0, LEFT_WRIST] == 0
    back = walk.see(body() + 5.0).keypoints[0, LEFT_WRIST] - body()[LEFT_WRIST]
    assert (back > 0.1).all() and (back < 4.99).all()  # neither as before nor as measured


def test_a_joint_hidden_for_long_begins_anew() -> None:
    walk = Walk().stand()
    for _ in range(16):  # 0.53 s
        walk.see(body(), hidden=(LEFT_WRIST,))
    moved = body() + 5.0
    answer = walk.see(moved).keypoints[0]
    np.testing.assert_array_equal(answer[LEFT_WRIST], np.float32(moved[LEFT_WRIST]))
    assert (answer[NOSE] != np.float32(moved[NOSE])).all()


def test_a_joint_seen_for_the_first_time_is_as_measured() -> None:
    walk = Walk()
    for _ in range(5):
        walk.see(body(), hidden=(NOSE, LEFT_WRIST))
    seen = walk.see(body() + 5.0, hidden=(LEFT_WRIST,)).keypoints[0]
    np.testing.assert_array_equal(seen[NOSE], np.float32(body()[NOSE] + 5.0))


@pytest.mark.parametrize("images", [1, 2])
def test_a_flip_of_left_and_right_is_passed_over(images: int) -> None:
    walk = Walk().stand(30)
    before = walk.see(body()).covariances
    for _ in range(images):
        answer = walk.see(body()[COCO17.mirrored])
        np.testing.assert_allclose(answer.keypoints[0], body(), atol=0.1)
        assert answer.valid.all()
    limbs = slice(1, None)
    assert (answer.covariances[0, limbs, 0, 0] > before[0, limbs, 0, 0]).all()  # says so
    np.testing.assert_allclose(walk.see(body()).keypoints[0], body(), atol=0.1)


def test_a_change_that_stays_is_followed_at_the_third_image() -> None:
    walk = Walk().stand(30)
    turned = body()[COCO17.mirrored]
    for _ in range(2):
        walk.see(turned)
    np.testing.assert_allclose(walk.see(turned).keypoints[0], turned, atol=0.1)


def test_an_id_given_to_somebody_else_is_followed_at_once() -> None:
    walk = Walk().stand(30)
    other = body((400.0, 220.0))
    assert_same(walk.see(other), poses(other))
    np.testing.assert_allclose(walk.see(other).keypoints[0], other, atol=0.1)


def test_a_covariance_that_is_no_number_harms_nobody() -> None:
    walk = Walk().stand()
    broken = walk.see(body(), std=np.nan)
    assert not broken.valid.any() and np.isnan(broken.keypoints).all()
    assert walk.see(body()).valid.all()


@pytest.mark.parametrize(
    "change",
    [
        lambda: (["a", "b"], poses(body()), BOX),
        lambda: (["a"], Poses.empty(), BOX),
        lambda: (["a"], poses(body()), np.zeros((2, 4))),
    ],
)
def test_numbers_must_agree(change: Callable[[], tuple[list[str], Poses, np.ndarray]]) -> None:
    with pytest.raises(ValueError, match=r"ids, . poses and . boxes differ"):
        SkeletonSmoother().step(0, *change())
