# SPDX-License-Identifier: Apache-2.0
"""Markers that show nothing are never sent: RViz ends or complains about them."""

from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from hrnet_pose_ros.nodes.pose.markers import SkeletonMarkers
from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17

CAMERA = Camera(800.0, 800.0, 320.0, 240.0)
JOINTS = COCO17.joints


def markers(label: str, joints: int) -> dict[str, Marker]:
    """Those of one person of whom so many joints were found."""
    valid = np.arange(JOINTS)[None] < joints
    keypoints = 300 + np.arange(2 * JOINTS, dtype=np.float32).reshape(1, JOINTS, 2)
    poses = Poses(
        keypoints=np.where(valid[..., None], keypoints, np.float32(np.nan)),
        scores=valid.astype(np.float32),
        covariances=np.broadcast_to(np.eye(2, dtype=np.float32), (1, JOINTS, 2, 2)).copy(),
        valid=valid,
    )
    array = SkeletonMarkers().of(
        Header(frame_id="camera"),
        poses,
        np.array([[290.0, 200, 60, 150]]),
        [label],
        CAMERA,
        person_height=1.7,
        min_score=0.2,
    )
    return {marker.ns: marker for marker in array.markers}


@pytest.mark.parametrize("label", ["", " ", "\n"])
def test_a_person_without_id_has_no_label(label: str) -> None:
    found = markers(label, JOINTS)
    assert found["label"].action == Marker.DELETE
    assert found["limbs"].action == found["joints"].action == Marker.ADD


@pytest.mark.parametrize("joints", range(JOINTS + 1))
def test_every_marker_that_is_added_shows_something(joints: int) -> None:
    found = markers("7", joints)
    assert set(found) == {"limbs", "joints", "label"}
    for marker in found.values():
        assert marker.action == Marker.DELETE or marker.points or marker.text == "7"
    assert (found["joints"].action == Marker.ADD) == (joints > 0)
    assert (found["limbs"].action == Marker.ADD) == (joints > 1)  # nose and left eye
