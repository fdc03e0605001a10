# SPDX-License-Identifier: Apache-2.0
"""The distribution of differences between two engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hrnet_pose_ros.coco.difference import pose_difference
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.coco.person_boxes import PersonBoxes
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17

CELL_PX = 4 * 1.25 * 96 / 192  # of a box 96 px wide and 128 px high


def data(points: np.ndarray, valid: np.ndarray | None = None) -> DatasetPoses:
    n = len(points)
    valid = np.ones((n, COCO17.joints), bool) if valid is None else valid
    boxes = PersonBoxes(
        np.arange(n), np.tile([10.0, 20, 96, 128], (n, 1)), np.ones(n), np.arange(n)
    )
    poses = Poses(
        np.where(valid[..., None], points, np.nan).astype(np.float32),
        valid.astype(np.float32),
        np.tile(np.eye(2, dtype=np.float32), (n, COCO17.joints, 1, 1)),
        valid,
    )
    return DatasetPoses(boxes, poses, (192, 256))


def test_equal_poses() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (3, COCO17.joints, 2))
    found = pose_difference(data(points), data(points))
    assert found["joints"] == 3 * COCO17.joints
    assert found["px"]["100"] == 0
    assert found["fraction_within_cells"] == {"0.05": 1, "0.25": 1}
    assert found["oks"]["100"] == 1


def test_cells_of_udp_are_wider() -> None:
    points = np.zeros((1, COCO17.joints, 2))
    udp = replace(data(points), crop="udp")
    cell = 1.25 * 96 / 47  # the padded box spans w-1 cells
    assert pose_difference(udp, data(points + [cell, 0]))["cells"]["100"] == pytest.approx(1)


def test_moved_poses() -> None:
    """One of ten persons by a cell, the others by a tenth of one."""
    points = np.random.default_rng(0).uniform(0, 100, (10, COCO17.joints, 2))
    moved = points + [0, 0.1 * CELL_PX]
    moved[3] = points[3] + [CELL_PX, 0]
    found = pose_difference(data(points), data(moved))
    assert found["cells"]["50"] == pytest.approx(0.1, abs=1e-4)
    assert found["cells"]["100"] == pytest.approx(1, abs=1e-4)
    assert found["px"]["100"] == pytest.approx(CELL_PX, abs=1e-4)
    assert found["fraction_within_cells"]["0.05"] == 0
    assert found["fraction_within_cells"]["0.25"] == pytest.approx(0.9)
    assert found["oks"]["100"] < found["oks"]["50"] < 1


def test_joints_of_one_engine_only() -> None:
    points = np.zeros((1, COCO17.joints, 2))
    valid = np.ones((1, COCO17.joints), bool)
    valid[0, :3] = False
    found = pose_difference(data(points), data(points, valid))
    assert (found["joints"], found["valid_in_one_only"]) == (COCO17.joints - 3, 3)
    nothing = pose_difference(data(points), data(points, np.zeros((1, COCO17.joints), bool)))
    assert nothing["joints"] == 0
    assert nothing["px"]["50"] is None


def test_other_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match="same boxes"):
        pose_difference(
            data(np.zeros((1, COCO17.joints, 2))), data(np.zeros((2, COCO17.joints, 2)))
        )
