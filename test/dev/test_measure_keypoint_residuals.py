# SPDX-License-Identifier: Apache-2.0
"""The table of key point errors is that of the estimates and the labels."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.person_boxes import ground_truth_boxes
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.simulation.residuals import ABSENT, HIDDEN, UNUSED, VISIBLE

PERSONS = 9


@pytest.fixture(scope="module")
def script(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "measure_keypoint_residuals", root / "dev" / "measure_keypoint_residuals.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def annotations() -> PersonAnnotations:
    """Persons of 100 to 900 px; each joint is hidden in the second and absent in the third."""
    heights = 100.0 * np.arange(1, PERSONS + 1)
    boxes = np.stack([0 * heights + 50, 0 * heights + 50, heights / 2, heights], axis=1)
    visibility = np.full((PERSONS, 17), VISIBLE, np.uint8)
    visibility[1], visibility[2, :9] = HIDDEN, ABSENT
    visibility[3, 9:] = ABSENT
    return PersonAnnotations(
        path=Path("labels.json"),
        image_ids=np.array([7]),
        image_files=("7.jpg",),
        image_sizes=np.array([[1000, 1000]]),
        ids=np.arange(PERSONS),
        image_index=np.zeros(PERSONS, np.int64),
        boxes=boxes,
        areas=boxes[:, 2:].prod(axis=1),
        crowd=np.zeros(PERSONS, bool),
        keypoints=np.where((visibility > 0)[..., None], 60.0, 0.0) * np.ones(2),
        visibility=visibility,
    )


def test_errors_are_in_sizes_of_the_person(
    script: ModuleType, annotations: PersonAnnotations
) -> None:
    keypoints = np.full((PERSONS, 17, 2), 60.0) + [5.0, -10.0]
    poses = Poses(
        keypoints=keypoints.astype(np.float32),
        scores=np.full((PERSONS, 17), 0.5, np.float32),
        covariances=np.tile(np.array([[16, 4], [4, 4.0]], np.float32), (PERSONS, 17, 1, 1)),
        valid=np.ones((PERSONS, 17), bool),
    )
    poses.valid[4, 16] = False
    boxes = ground_truth_boxes(annotations)
    table = script.residuals_of(annotations, poses, boxes, "a test")
    assert table.sizes.tolist() == (100.0 * np.arange(1, PERSONS + 1)).tolist()
    assert table.errors[1, 0] == pytest.approx([5 / 200, -10 / 200])
    assert table.spreads[1, 0] == pytest.approx([4 / 200, 2 / 200, 0.5])
    # Where there is no joint, the place in the box: 15 px and 0 px from its corner.
    assert table.visibility[2, 0] == ABSENT
    assert table.errors[2, 0] == pytest.approx([15 / 150, 0.0])
    assert table.visibility[1, 0] == HIDDEN
    assert table.visibility[4, 16] == UNUSED


def test_the_taken_persons_are_spread_over_the_sizes(
    script: ModuleType, annotations: PersonAnnotations
) -> None:
    poses = Poses(
        keypoints=np.full((PERSONS, 17, 2), 61, np.float32),
        scores=np.ones((PERSONS, 17), np.float32),
        covariances=np.tile(np.eye(2, dtype=np.float32), (PERSONS, 17, 1, 1)),
        valid=np.ones((PERSONS, 17), bool),
    )
    table = script.residuals_of(annotations, poses, ground_truth_boxes(annotations), "a test")
    assert script.spread_over_sizes(table, 100).sizes.tolist() == table.sizes.tolist()
    assert script.spread_over_sizes(table, 9).sizes[[0, -1]].tolist() == [100, 900]
    with pytest.raises(ValueError, match="must have each joint with visibility"):
        script.spread_over_sizes(table, 2)
