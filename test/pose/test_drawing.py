# SPDX-License-Identifier: Apache-2.0
"""Drawing: what appears where, in which colour, and that nothing crashes it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pose.drawing import (
    BOX_COLOUR,
    ELLIPSE_COLOUR,
    ELLIPSE_OPACITY,
    LEFT_COLOUR,
    MIDDLE_COLOUR,
    RIGHT_COLOUR,
    draw_close_up,
    draw_poses,
    side_colours,
)
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17

JOINT_COLOURS, LIMB_COLOURS = side_colours(COCO17)

# A person in a box of 100 x 200, facing the camera: its left is on the image's right.
STANDING = np.array(
    [(50, 20), (55, 15), (45, 15), (60, 18), (40, 18)]
    + [(70, 50), (30, 50), (80, 80), (20, 80), (85, 110), (15, 110)]
    + [(62, 110), (38, 110), (64, 150), (36, 150), (65, 190), (35, 190)],
    np.float32,
)  # fmt: skip


def standing(offset: tuple[float, float] = (0, 0), size: float = 1, score: float = 0.9) -> Poses:
    """One person; ellipses of 3 px."""
    return Poses(
        (STANDING * size + np.float32(offset))[None],
        np.full((1, 17), score, np.float32),
        np.tile(9 * np.eye(2, dtype=np.float32), (1, 17, 1, 1)),
        np.ones((1, 17), bool),
    )


def black(height: int = 240, width: int = 320) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def drawn(poses: Poses, **arguments) -> np.ndarray:
    image = black()
    assert draw_poses(image, poses, **arguments) is None
    return image


def count(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((image == colour).all(axis=2).sum())


def yellow_pixels(image: np.ndarray) -> np.ndarray:
    """x and y of what an anti-aliased ellipse line colours for the most part."""
    on_black = np.array(ELLIPSE_COLOUR) * ELLIPSE_OPACITY
    near = np.abs(image - on_black).sum(axis=2) < 150 * ELLIPSE_OPACITY
    return np.argwhere(near)[:, ::-1]


def test_sides_have_their_colours() -> None:
    for name, colour in zip(COCO17.joint_names, JOINT_COLOURS, strict=True):
        expected = {"left": LEFT_COLOUR, "right": RIGHT_COLOUR}.get(name.split("_")[0])
        assert colour == (expected or MIDDLE_COLOUR), name
    colours = {
        (COCO17.joint_names[a], COCO17.joint_names[b]): c
        for (a, b), c in zip(COCO17.limbs, LIMB_COLOURS, strict=True)
    }
    assert colours["left_shoulder", "left_elbow"] == LEFT_COLOUR
    assert colours["right_ankle", "right_knee"] == RIGHT_COLOUR
    assert colours["left_shoulder", "right_shoulder"] == MIDDLE_COLOUR
    assert colours["nose", "left_eye"] == LEFT_COLOUR


@pytest.mark.parametrize("size", [0.5, 1.0, 3.4])  # persons of 90 to 600 px
def test_joints_are_drawn_where_they_are_in_rgb(size: float) -> None:
    image = black(720, 1280)
    draw_poses(image, standing((300, 20), size))
    for (x, y), colour in zip(STANDING * size + (300, 20), JOINT_COLOURS, strict=True):
        if y > 20 + 30 * size:  # the face's joints cover each other on a small person
            assert tuple(image[round(y), round(x)]) == colour
    rows, columns = np.nonzero(image.any(axis=2))
    assert columns.min() >= 300 + 15 * size - 10 and columns.max() <= 300 + 85 * size + 10
    assert rows.min() >= 20 + 15 * size - 10 and rows.max() <= 20 + 190 * size + 10


def test_limbs_connect_joints() -> None:
    image = drawn(standing((100, 20)))
    for (a, b), colour in zip(COCO17.limbs, LIMB_COLOURS, strict=True):
        if np.linalg.norm(STANDING[a] - STANDING[b]) > 25 and (a, b) != (5, 11):
            x, y = np.rint((STANDING[a] + STANDING[b]) / 2 + (100, 20)).astype(int)
            around = image[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(int)
            assert np.abs(around - colour).sum(axis=1).min() < 120, (a, b)


def test_lines_are_wider_on_larger_persons() -> None:
    areas = [np.count_nonzero(drawn(standing((5, 5), size)).any(axis=2)) for size in (0.4, 1.1)]
    assert areas[1] > 2 * areas[0]


def test_ellipses_have_one_sigma() -> None:
    poses = standing((100, 20))
    poses.valid[:] = False
    poses.valid[0, 9] = True  # the left wrist at (185, 130)
    poses.covariances[0, 9] = [[400, 0], [0, 64]]
    yellow = yellow_pixels(drawn(poses)) - (185, 130)
    assert len(yellow) > 20
    # One sigma is where the Mahalanobis distance is 1; lines are a pixel wide.
    radius = np.hypot(yellow[:, 0] / 20, yellow[:, 1] / 8)
    assert radius.min() > 0.85 and radius.max() < 1.15
    assert np.ptp(yellow[:, 0]) == pytest.approx(40, abs=3)


def test_tilted_ellipse_leans_the_right_way() -> None:
    poses = standing((100, 20))
    poses.valid[:] = False
    poses.valid[0, 9] = True
    poses.covariances[0, 9] = [[250, 200], [200, 250]]  # long towards lower right
    yellow = yellow_pixels(drawn(poses)) - (185, 130)
    assert len(yellow) > 10
    assert np.corrcoef(yellow.T)[0, 1] > 0.6


@pytest.mark.parametrize("change", ["not valid", "low score", "nan", "far away"])
def test_a_joint_that_is_not_there_is_not_drawn(change: str) -> None:
    poses = standing((100, 20))
    wrist = 9
    if change == "not valid":
        poses.valid[0, wrist] = False
    elif change == "low score":
        poses.scores[0, wrist] = 0.19
    else:
        poses.keypoints[0, wrist] = math.nan if change == "nan" else 1e9
    image = drawn(poses)
    x, y = (STANDING[wrist] + (100, 20)).astype(int)
    assert not image[y - 5 : y + 6, x - 3 : x + 10].any()
    assert tuple(image[40 + 30, 170]) == JOINT_COLOURS[5]  # the others are


def test_min_score_is_inclusive() -> None:
    poses = standing((100, 20), score=0.5)
    assert drawn(poses, min_score=0.5).any()
    assert not drawn(poses, min_score=0.51).any()


def test_box_and_label() -> None:
    poses = standing((100, 30))
    box = np.array([[100, 30, 100, 200]], np.float32)
    boxed = drawn(poses, boxes=box)
    assert count(boxed, BOX_COLOUR) >= 2 * (100 + 200) - 60
    assert tuple(boxed[130, 100]) == tuple(boxed[130, 200]) == BOX_COLOUR
    labelled = drawn(poses, boxes=box, labels=["7"])
    changed = np.argwhere((labelled != boxed).any(axis=2))
    assert len(changed) > 100
    assert changed[:, 0].max() < 40  # above the person


def test_label_is_drawn_without_boxes_and_stays_inside_the_image() -> None:
    poses = standing((270, -15))  # the head is cut off above, the body on the right
    image = drawn(poses, labels=["123e4567-e89b-12d3-a456-426614174000"])
    difference = (image != drawn(poses)).any(axis=2)
    assert difference.sum() > 500  # all of the label, not a part cut off
    assert difference[:25].sum() == difference.sum()


def test_labels_lie_over_the_skeletons() -> None:
    # The second person stands where the first one's label is.
    both = Poses.concatenate([standing((20, 60), 0.8), standing((20, -40), 0.8)])
    image = drawn(both, labels=["a", "b"])
    alone = black()
    draw_poses(alone, standing((20, 60), 0.8), labels=["a"])
    label = np.s_[60:70, 34:60]
    assert alone[label].any()
    assert np.array_equal(image[label], alone[label])


def test_no_persons_and_no_joints() -> None:
    assert not drawn(Poses.empty(), boxes=np.zeros((0, 4)), labels=[]).any()
    poses = standing()
    poses.valid[:] = False
    poses.keypoints[:] = math.nan
    assert not drawn(poses).any()
    # A person without a joint still has its box.
    assert count(drawn(poses, boxes=np.array([[20, 20, 60, 90]])), BOX_COLOUR) > 200


def test_draws_into_a_view_with_padded_rows() -> None:
    wide = black(240, 340)
    draw_poses(wide[:, :320], standing((100, 20)))
    np.testing.assert_array_equal(wide[:, :320], drawn(standing((100, 20))))
    assert not wide[:, 320:].any()


any_float = st.floats(width=32, allow_nan=True, allow_infinity=True)
number = st.one_of(any_float, st.sampled_from([0.0, -1e4, 7999.9, 8000.0, 32768.0, 2.0**31, 1e30]))


@settings(deadline=None, max_examples=80)
@given(
    data=st.data(),
    size=st.sampled_from([(1, 1), (3, 400), (240, 320), (0, 10)]),
    min_score=st.sampled_from([-1.0, 0.2]),
)
@pytest.mark.filterwarnings("error")
def test_nothing_crashes_it(data, size: tuple[int, int], min_score: float) -> None:
    n = data.draw(st.integers(0, 2))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values = np.array(data.draw(st.lists(number, min_size=1, max_size=8)), np.float32)
    base = np.concatenate([values, np.float32([0, 50, 100, 200])])
    poses = Poses(
        rng.choice(base, (n, 17, 2)),
        rng.choice(base, (n, 17)),
        rng.choice(base, (n, 17, 2, 2)),
        rng.random((n, 17)) < 0.9,
    )
    # Scores beyond any sense would overflow in the mean of person_scores, which is not meant here.
    poses.scores[~(np.abs(poses.scores) < 10)] = 0.5
    boxes = rng.choice(base, (n, 4))
    draw_poses(black(*size), poses, boxes, ["", "\u00e4\n\x00"][:n], min_score)


@pytest.mark.parametrize(
    ("image", "boxes", "labels", "message"),
    [
        (np.zeros((9, 9), np.uint8), None, None, r"image .*\(9, 9\)"),
        (np.zeros((9, 9, 3), np.float32), None, None, "image .*float32"),
        (np.zeros((9, 9, 3), np.uint8)[:, :, ::-1], None, None, "contiguous"),
        (np.zeros((9, 9, 3), np.uint8)[:, ::2], None, None, "contiguous"),
        (np.frombuffer(bytes(243), np.uint8).reshape(9, 9, 3), None, None, "writeable"),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((2, 4)), None, r"boxes .*\(1, 4\).*\(2, 4\)"),
        (np.zeros((9, 9, 3), np.uint8), None, ["a", "b"], "labels .*1.*2"),
    ],
)
def test_wrong_arguments_are_named(image, boxes, labels, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_poses(image, standing(), boxes, labels)


def test_a_close_up_shows_the_box_in_the_middle_with_its_margin() -> None:
    image = black(200, 300)
    image[50:110, 100:130] = (0, 0, 200)  # a box of 30x60 at (100, 50)
    box = np.array([100.0, 50.0, 30.0, 60.0])
    picture = draw_close_up(image, box, Poses.empty(), (100, 200), margin=2.0)
    assert picture.shape == (200, 100, 3)
    # The height of the box decides the scale: 200 / (2 * 60); the box is half of the picture.
    rows, columns = np.nonzero(picture[:, :, 2] > 100)
    for found, size, part in ((rows, 200, 100), (columns, 100, 50)):
        assert abs((found.min() + found.max()) / 2 - size / 2) <= 2
        assert abs(found.max() - found.min() + 1 - part) <= 2
    assert not image[:50].any(), "the image itself must stay as it is"


def test_a_close_up_has_the_poses_in_their_places() -> None:
    poses = standing((100, 20))
    box = np.array([100.0, 20.0, 60.0, 160.0])
    picture = draw_close_up(black(240, 320), box, poses, (150, 400), margin=1.0)
    # Enlarged by 2.5 about the box's middle, which is the picture's.
    expected = (poses.keypoints[0] - [130, 100]) * 2.5 + [75, 200]
    for joint, (x, y) in enumerate(expected):
        if 0 <= x < 150 and 0 <= y < 400:
            assert picture[round(y), round(x)].any(), joint
    assert draw_close_up(black(9, 9), np.zeros(4), poses, (20, 20)).shape == (20, 20, 3)
