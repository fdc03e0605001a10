# SPDX-License-Identifier: Apache-2.0
"""Which box is whose: properties, and persons who cross, pause and stay away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.ids import mean_score, ours, walkers
from hrnet_pose_ros.fusion.image_tracker import (
    ACCELERATION_DENSITY,
    BOX_STD,
    FIRST_SPEED,
    MAX_COAST,
    ImageTracker,
)
from hrnet_pose_ros.fusion.kalman import Motion
from hrnet_pose_ros.pose.poses import Poses

SECOND = 10**9
PERSON = [100.0, 50, 30, 90]
OTHER = [300.0, 50, 30, 90]
NOBODY = np.zeros((0, 4))

side = st.floats(1, 300)
box = st.tuples(st.floats(-100, 800), st.floats(-100, 800), side, side)
frames = st.lists(
    st.tuples(st.lists(box, max_size=6), st.integers(0, SECOND)), min_size=1, max_size=6
)


def moved(box: list[float], dx: float, dy: float = 0) -> list[float]:
    return [box[0] + dx, box[1] + dy, *box[2:]]


def poses_in(boxes: np.ndarray) -> Poses:
    """Key points on the diagonal of every box; the last three joints were not found."""
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    along = np.linspace(0, 1, 17)[None, :, None]
    keypoints = boxes[:, None, :2] + along * boxes[:, None, 2:]
    valid = np.ones((len(boxes), 17), bool)
    valid[:, 14:] = False
    keypoints[~valid] = np.nan
    covariances = np.tile(4 * np.eye(2, dtype=np.float32), (len(boxes), 17, 1, 1))
    return Poses(keypoints.astype(np.float32), valid * np.float32(0.9), covariances, valid)


@settings(deadline=None, max_examples=50)
@given(frames, st.randoms(use_true_random=False), st.booleans())
def test_ids_are_unique_new_ones_are_new_and_the_order_does_not_matter(
    sequence: list, random: object, with_poses: bool
) -> None:
    straight, shuffled, stamp, known = ImageTracker(), ImageTracker(), 0, 0
    for boxes, gap in sequence:
        stamp += gap
        array = np.array(boxes, float).reshape(-1, 4)
        order = list(range(len(array)))
        random.shuffle(order)  # type: ignore[attr-defined]
        poses = poses_in(array) if with_poses else None
        numbers = straight.step(stamp, array, poses)
        assert len(set(numbers.tolist())) == len(array)
        fresh = sorted(number for number in numbers.tolist() if number > known)
        assert fresh == list(range(known + 1, known + 1 + len(fresh)))  # never one that was used
        known += len(fresh)
        mixed = shuffled.step(
            stamp, array[order], None if poses is None else poses.select(np.array(order, int))
        )
        same_boxes = len({tuple(one) for one in boxes}) < len(boxes)
        if not same_boxes:  # equal boxes with equal poses cannot be told apart
            assert mixed.tolist() == numbers[order].tolist()
        else:
            assert sorted(mixed.tolist()) == sorted(numbers.tolist())


@settings(deadline=None, max_examples=50)
@given(frames)
def test_the_same_sequence_gives_the_same_ids(sequence: list) -> None:
    trackers, stamp = (ImageTracker(), ImageTracker()), 0
    for boxes, gap in sequence:
        stamp += gap
        array = np.array(boxes, float).reshape(-1, 4)
        one, other = (tracker.step(stamp, array, poses_in(array)).tolist() for tracker in trackers)
        assert one == other


def test_ids_follow_the_boxes_whatever_their_order() -> None:
    tracker = ImageTracker()
    assert tracker.step(0, [PERSON, OTHER]).tolist() == [1, 2]
    boxes = [moved(OTHER, 5), moved(PERSON, -5)]
    assert tracker.step(SECOND // 10, boxes).tolist() == [2, 1]


@pytest.mark.parametrize(
    ("pause", "kept"),
    [
        (0.1, True),
        (MAX_COAST, True),
        (MAX_COAST + 0.01, False),
        (0.0, True),  # the same image once more
        (-1.0, False),  # a bag that begins again
    ],
)
def test_how_long_a_person_is_remembered(pause: float, kept: bool) -> None:
    tracker, stamp = ImageTracker(), 5 * SECOND
    for _ in range(5):
        numbers = tracker.step(stamp, [PERSON, OTHER])
        stamp += SECOND // 10
    stamp += round((pause - 0.1) * SECOND)
    if pause > 0.1:
        tracker.step(stamp - SECOND // 20, [OTHER])
    after = tracker.step(stamp, [PERSON, OTHER])
    assert after[0] == (numbers[0] if kept else 3)


def test_an_occluded_person_is_found_where_they_walk() -> None:
    """At 1.2 m/s behind something 1 s wide; somebody else appears on the near side of it."""
    tracker = ImageTracker()
    for n in range(31):
        boxes = [] if 10 <= n < 20 else [moved(PERSON, 6.0 * n)]
        if n >= 15:
            boxes.append(moved(PERSON, -16))
        numbers = tracker.step(n * SECOND // 10, np.array(boxes).reshape(-1, 4))
        if not 10 <= n < 20:
            assert numbers[0] == 1
        assert n < 15 or numbers[-1] == 2


def test_two_boxes_on_one_person_do_not_swap() -> None:
    random, tracker = np.random.default_rng(0), ImageTracker()
    double = np.array([PERSON, moved(PERSON, 6, 4)])
    pose = poses_in([PERSON, PERSON])  # the network sees the same person in both
    first = tracker.step(0, double, pose)
    for n in range(1, 100):
        jitter = random.normal(0, 0.5, (2, 4))
        assert tracker.step(n * SECOND // 10, double + jitter, pose).tolist() == first.tolist()


def test_a_second_box_leaves_the_person_their_id() -> None:
    tracker = ImageTracker()
    for n in range(20):
        boxes = [moved(PERSON, 3.0 * n)] + ([moved(PERSON, 3.0 * n + 12, 10)] if n % 5 == 4 else [])
        assert tracker.step(n * SECOND // 10, boxes)[0] == 1


@pytest.mark.parametrize("period", [0.033, 0.1, 0.2, 0.3])
def test_persons_who_pass_each_other(period: float) -> None:
    """Opposite ways at walking speed, at any frame rate, with the rate itself unsteady."""
    random, tracker, seconds = np.random.default_rng(1), ImageTracker(), 0.0
    seen = set()
    while seconds < 4:
        along = 60 * seconds
        boxes = np.array([moved(PERSON, along), moved(PERSON, 220 - along, 6)])
        boxes += random.normal(0, 1, (2, 4))
        seen.add(tuple(tracker.step(round(seconds * SECOND), boxes, poses_in(boxes)).tolist()))
        seconds += period * random.uniform(0.6, 1.4)
    assert seen == {(1, 2)}


def test_simulated_crowds() -> None:
    """Ten persons in a Full HD image who often cross; 10 simulations of 6 s at 10 Hz."""
    crowds = [walkers(10, 60, seed) for seed in range(10)]
    found = mean_score(crowds, ours)
    assert found.switches <= 1 and found.idf1 >= 98.0
    assert found.without == 0


def test_a_camera_that_begins_to_turn() -> None:
    """By 0.5 rad/s with a focal length of 720 px: persons move by more than their boxes' width."""
    tracker = ImageTracker()
    for n in range(15):
        turn = -36.0 * max(n - 4, 0)
        boxes = [moved(PERSON, turn), moved(OTHER, turn)]
        assert tracker.step(n * SECOND // 10, boxes).tolist() == [1, 2]


def test_names_of_the_detector_hold_their_track() -> None:
    """Two persons in one place: only the detector can tell them apart."""
    tracker = ImageTracker()
    tracker.step(0, [PERSON, OTHER], names=["a", ""])
    near = [moved(PERSON, 2), moved(PERSON, -1)]
    assert tracker.step(SECOND // 10, near, names=["", "a"]).tolist() == [3, 1]
    # A name that jumps across the image is another person's now.
    assert tracker.step(SECOND // 5, [moved(PERSON, 700)], names=["a"]).tolist() == [4]
    # So is one that occurs twice.
    assert set(tracker.step(SECOND // 4, [OTHER, OTHER], names=["b", "b"])) == {2, 5}


def test_reset_forgets_persons_and_keeps_counting() -> None:
    tracker = ImageTracker()
    tracker.step(0, [PERSON])
    assert tracker.numbers == {1}
    tracker.reset()
    assert tracker.numbers == set()
    assert tracker.step(1, [PERSON]).tolist() == [2]


def test_frames_with_and_without_poses() -> None:
    tracker = ImageTracker()
    assert tracker.step(0, [PERSON], poses_in([PERSON])).tolist() == [1]
    assert tracker.step(SECOND // 10, [PERSON]).tolist() == [1]  # without poses
    assert tracker.step(SECOND // 5, [PERSON], poses_in([PERSON])).tolist() == [1]


def test_the_filter_is_that_of_kalman_motion() -> None:
    """Where no box is out of line, the short form of the filter gives the same numbers."""
    random, tracker = np.random.default_rng(2), ImageTracker()
    noise = np.square(np.array(BOX_STD) * 90)[:, None, None] * np.eye(2)
    motion: Motion | None = None
    for n in range(12):
        box = np.array([moved(PERSON, 5.0 * n)]) + random.normal(0, 0.3, (1, 4)) * [1, 1, 1, 0]
        tracker.step(n * SECOND // 10, box)
        measured = np.concatenate([box[:, :2] + box[:, 2:] / 2, box[:, 2:]])
        if motion is None:
            motion = Motion.begin(measured, noise, np.array(FIRST_SPEED) * 90)
        else:
            density = np.array(ACCELERATION_DENSITY) * 90**2
            motion = motion.predicted(0.1, density).updated(measured, noise, True)
    tracks = tracker._tracks
    np.testing.assert_allclose(tracks.value[0], motion.position, rtol=0, atol=0.02)
    np.testing.assert_allclose(tracks.speed[0], motion.velocity, rtol=0, atol=0.1)
    variance = motion.covariance[:, [0, 0, 2], [0, 2, 2]]
    np.testing.assert_allclose(tracks.variance[0], variance, rtol=0.02)


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4], np.zeros((2, 5)), [], [[np.nan, 0, 1, 1]]])
def test_boxes_of_another_shape_are_refused(boxes: object) -> None:
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        ImageTracker().step(0, boxes)  # type: ignore[arg-type]


def test_names_and_poses_must_be_those_of_the_boxes() -> None:
    with pytest.raises(ValueError, match="1 boxes and 2 names"):
        ImageTracker().step(0, [PERSON], names=["a", "b"])
    with pytest.raises(ValueError, match="1 boxes and 2 poses"):
        ImageTracker().step(0, [PERSON], poses_in([PERSON, OTHER]))
    assert ImageTracker().step(0, NOBODY, Poses.empty(), []).tolist() == []
