# SPDX-License-Identifier: Apache-2.0
"""What speaks for or against a key point, on persons made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pose.evidence import EVIDENCE, cut_sides, evidence_of
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17

SPREAD, LIMB, OTHER, MIRROR, OUTSIDE, CUT = range(len(EVIDENCE))
IMAGE = np.array([640, 480])
BOX = np.array([[200.0, 100, 100, 200]])
LEFT_ANKLE, RIGHT_ANKLE, LEFT_KNEE, NOSE = 15, 16, 13, 0


def person(**changes: np.ndarray) -> Poses:
    """Joints 10 px apart along the box's diagonal, peaks 0.5, covariances of 2 px²."""
    along = np.arange(COCO17.joints)[None, :, None] * 10.0
    fields = {
        "keypoints": (np.array([220.0, 110]) + along * (0.4, 1)).astype(np.float32),
        "scores": np.full((1, COCO17.joints), 0.5, np.float32),
        "covariances": np.tile(np.eye(2, dtype=np.float32) * 2, (1, COCO17.joints, 1, 1)),
        "valid": np.ones((1, COCO17.joints), bool),
    }
    return Poses(**{**fields, **changes})


def test_spread_is_in_parts_of_the_box() -> None:
    evidence = evidence_of(person(), BOX, IMAGE)
    np.testing.assert_allclose(evidence[SPREAD], np.log(4 / 20_000), rtol=1e-6)
    twice = evidence_of(person(covariances=person().covariances * 4), 2 * BOX, IMAGE)
    np.testing.assert_allclose(twice[SPREAD], evidence[SPREAD], rtol=1e-6)


def test_peaks_of_others() -> None:
    poses = person()
    poses.scores[0, LEFT_KNEE] = 0.9
    evidence = evidence_of(poses, BOX, IMAGE)
    assert evidence[LIMB, 0, LEFT_ANKLE] == pytest.approx(0.9)  # its only limb is the shin
    hip = 11
    ends = [b if a == hip else a for a, b in COCO17.limbs if hip in (a, b)]
    assert evidence[LIMB, 0, hip] == pytest.approx(poses.scores[0, ends].mean())
    assert evidence[OTHER, 0, NOSE] == pytest.approx((15 * 0.5 + 0.9) / 16)
    assert evidence[OTHER, 0, LEFT_KNEE] == pytest.approx(0.5)  # its own peak does not count


def test_both_on_one_foot() -> None:
    poses = person()
    apart = evidence_of(poses, BOX, IMAGE)[MIRROR, 0]
    poses.keypoints[0, RIGHT_ANKLE] = poses.keypoints[0, LEFT_ANKLE]
    on_one = evidence_of(poses, BOX, IMAGE)[MIRROR, 0]
    assert on_one[LEFT_ANKLE] == on_one[RIGHT_ANKLE] == 1
    assert apart[LEFT_ANKLE] < 0.2
    assert on_one[NOSE] == 0


def test_outside_the_box() -> None:
    poses = person()
    poses.keypoints[0, NOSE] = (250, 70)  # 30 px above a box 200 px high
    poses.keypoints[0, LEFT_ANKLE] = (190, 320)  # 10 of 100 px to the left, 20 of 200 below
    outside = evidence_of(poses, BOX, IMAGE)[OUTSIDE, 0]
    assert outside[NOSE] == pytest.approx(0.15)
    assert outside[LEFT_ANKLE] == pytest.approx(0.1)
    assert (outside[1:15] == 0).all()


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((200, 100, 100, 200), (False, False, False, False)),
        ((0, 100, 100, 200), (True, False, False, False)),
        ((-40, -3, 100, 200), (True, True, False, False)),
        ((6, 100, 100, 200), (True, False, False, False)),  # 1 % of 640 px is 6.4 px
        ((7, 100, 100, 200), (False, False, False, False)),
        ((540, 280, 100, 200), (False, False, True, True)),
        ((0, 0, 640, 480), (True, True, True, True)),
    ],
)
def test_sides_that_cut(box: tuple[float, ...], cut: tuple[bool, ...]) -> None:
    assert tuple(cut_sides(np.array([box]), IMAGE)[0]) == cut


def test_only_a_side_that_cuts_counts() -> None:
    poses = person()
    poses.keypoints[0, LEFT_ANKLE] = (250, 479)
    poses.keypoints[0, NOSE] = (250, 0)
    inside = np.array([[200.0, 100, 100, 300]])
    assert (evidence_of(poses, inside, IMAGE)[CUT] == 0).all()
    below = np.array([[200.0, 280, 100, 300]])
    at_cut = evidence_of(poses, below, IMAGE)[CUT, 0]
    assert at_cut[LEFT_ANKLE] == pytest.approx(1)
    assert at_cut[NOSE] < 1e-6  # the upper side does not cut this box


def test_sizes_may_differ_by_person() -> None:
    poses, boxes = Poses.concatenate([person(), person()]), np.repeat(BOX, 2, axis=0)
    both = evidence_of(poses, boxes, np.array([[640, 480], [300, 300]]))
    for n, size in enumerate(((640, 480), (300, 300))):
        alone = evidence_of(person(), BOX, np.array(size))
        np.testing.assert_array_equal(both[:, n], alone[:, 0])
    assert (both[CUT, 1] > 0).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_finite_whatever_is_valid(seed: int, share: float) -> None:
    """And 0 where a key point is not valid; what is not valid says nothing of the others."""
    rng = np.random.default_rng(seed)
    valid = rng.random((3, 17)) < share
    roots = rng.normal(0, 3, (3, 17, 2, 2))
    covariances = roots @ roots.swapaxes(-1, -2) + 0.1 * np.eye(2)
    poses = Poses(
        np.where(valid[..., None], rng.uniform(-99, 999, (3, 17, 2)), np.nan).astype("f4"),
        np.where(valid, rng.uniform(0, 1.3, (3, 17)), 0).astype("f4"),
        np.where(valid[..., None, None], covariances, np.nan).astype("f4"),
        valid,
    )
    boxes = rng.uniform(-50, 500, (3, 4)) + (0, 0, 60, 60)
    boxes[:, 2:] = np.abs(boxes[:, 2:])
    evidence = evidence_of(poses, boxes, IMAGE)
    assert np.isfinite(evidence).all()
    assert (evidence[:, ~valid] == 0).all()
    for piece in (LIMB, OTHER, MIRROR, OUTSIDE, CUT):
        assert (evidence[piece] >= 0).all()
    for piece in (MIRROR, CUT):
        assert (evidence[piece] <= 1).all()
