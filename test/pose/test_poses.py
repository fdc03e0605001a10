# SPDX-License-Identifier: Apache-2.0
"""The Poses arrays and the skeleton's tables."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17


def poses(scores: np.ndarray, valid: np.ndarray) -> Poses:
    n = len(scores)
    return Poses(
        np.zeros((n, 17, 2), np.float32),
        scores.astype(np.float32),
        np.tile(np.eye(2, dtype=np.float32), (n, 17, 1, 1)),
        valid,
    )


@pytest.mark.parametrize(
    ("scores", "valid", "expected"),
    [
        ([0.5, 0.7], [True, True], 0.6),
        ([0.5, 0.1], [True, True], 0.5),  # a joint at or below 0.2 is not counted
        ([0.2, 0.1], [True, True], 0.0),  # none exceeds 0.2
        ([0.9, 0.5], [False, True], 0.5),  # not valid: not counted
        ([1.4, 1.0], [True, True], 1.2),  # peaks are not clipped
        ([0.9, 0.9], [False, False], 0.0),
    ],
)
def test_person_score(scores: list[float], valid: list[bool], expected: float) -> None:
    all_scores, all_valid = np.zeros((1, 17)), np.zeros((1, 17), bool)
    all_scores[0, 3:5], all_valid[0, 3:5] = scores, valid
    assert poses(all_scores, all_valid).person_scores() == pytest.approx([expected])


def test_empty() -> None:
    empty = Poses.empty()
    assert len(empty) == 0
    assert empty.person_scores().shape == (0,)
    with pytest.raises(ValueError, match="no poses to concatenate"):
        Poses.concatenate([])
    assert len(Poses.concatenate([empty, empty])) == 0


def test_concatenate_keeps_the_order() -> None:
    valid = np.ones((2, 17), bool)
    first, second = poses(np.full((2, 17), 0.3), valid), poses(np.full((1, 17), 0.6), valid[:1])
    joined = Poses.concatenate([first, Poses.empty(), second])
    np.testing.assert_allclose(joined.person_scores(), [0.3, 0.3, 0.6], rtol=1e-6)
    assert joined.covariances.shape == (3, 17, 2, 2)


@pytest.mark.parametrize("name", ["keypoints", "scores", "covariances", "valid"])
def test_wrong_shape_is_named(name: str) -> None:
    good = poses(np.zeros((2, 17)), np.ones((2, 17), bool))
    arrays = {n: getattr(good, n) for n in ("keypoints", "scores", "covariances", "valid")}
    arrays[name] = arrays[name][:, :16]
    with pytest.raises(ValueError, match=rf"Poses\.{name} .*17"):
        Poses(**arrays)


def test_mirroring_exchanges_left_and_right_and_nothing_else() -> None:
    for joint, name in enumerate(COCO17.joint_names):
        swapped = {"left": "right", "right": "left"}
        side, _, rest = name.partition("_")
        expected = f"{swapped[side]}_{rest}" if side in swapped else name
        assert COCO17.joint_names[COCO17.mirrored[joint]] == expected
    assert len(COCO17.mirror_pairs) == 8
    # A mirrored skeleton has the same limbs and the same sigmas.
    limbs = {frozenset(limb) for limb in COCO17.limbs}
    assert limbs == {frozenset(COCO17.mirrored[list(limb)].tolist()) for limb in COCO17.limbs}
    np.testing.assert_array_equal(COCO17.sigmas[COCO17.mirrored], COCO17.sigmas)
