# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
from ros_robot import header
from sensor_msgs.msg import Image

from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.msg import Skeleton
from hrnet_pose_ros.nodes.person_detector_node import detection_array
from hrnet_pose_ros.pipeline.detections import persons_of, whole_image
from hrnet_pose_ros.pipeline.message_types import rclpy_types
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.skeleton_messages import (
    NO_DETECTION,
    Times,
    poses_of,
    skeleton_array,
    skeleton_info,
)
from hrnet_pose_ros.pose.poses import Poses

DEFAULTS = Settings.of({})
STAMP = 1_750_000_000_123_456_789


def some_poses(count: int) -> Poses:
    """Random poses; the first joint of each person is not valid, one score is above 1."""
    rng = np.random.default_rng(1)
    root = rng.normal(size=(count, 17, 2, 2))
    poses = Poses(
        keypoints=rng.uniform(-50, 1500, (count, 17, 2)).astype(np.float32),
        scores=rng.uniform(0.1, 1.2, (count, 17)).astype(np.float32),
        covariances=(root @ root.swapaxes(-1, -2)).astype(np.float32),
        valid=np.ones((count, 17), bool),
    )
    poses.valid[:, 0] = False
    poses.keypoints[:, 0] = poses.covariances[:, 0] = np.nan
    poses.scores[:, 0] = 0
    return poses


def array_of(poses: Poses, whole: bool = False):
    image = Image(header=header(STAMP))
    boxes = [[10.0 * n, 20.0, 30.0, 40.0] for n in range(len(poses))]
    detections = detection_array(
        header(STAMP + 5),
        boxes,
        [0.25 * n for n in range(len(poses))],
        list("abcdef")[: len(poses)],
    )
    persons = whole_image((1280, 720)) if whole else persons_of(detections, (1280, 720), DEFAULTS)
    return skeleton_array(
        rclpy_types(),
        image=image,
        detections=None if whole else detections,
        image_size=(1280, 720),
        persons=persons,
        poses=poses,
        times=Times(age=0.25),
    )


def test_there_and_back() -> None:
    poses = some_poses(3)
    message = array_of(poses)
    back, boxes = poses_of(message)
    np.testing.assert_array_equal(back.keypoints, poses.keypoints)
    np.testing.assert_array_equal(back.scores, np.clip(poses.scores, 0, 1))
    np.testing.assert_array_equal(back.covariances, poses.covariances)
    np.testing.assert_array_equal(back.valid, poses.valid)
    np.testing.assert_allclose(boxes, [[10 * n, 20, 30, 40] for n in range(3)])


def test_headers_ids_and_times() -> None:
    message = array_of(some_poses(2))
    assert message.header.stamp.nanosec == STAMP % 10**9
    assert message.detections_stamp.nanosec == STAMP % 10**9 + 5
    assert [s.id for s in message.skeletons] == ["a", "b"]
    assert [s.detection_score for s in message.skeletons] == [0.0, 0.25]
    assert message.times.age == 0.25 and math.isnan(message.times.arrival)


def test_key_points_that_are_not_valid_are_nan_with_score_0() -> None:
    nose = array_of(some_poses(1)).skeletons[0].keypoints[0]
    assert nose.score == 0
    assert all(math.isnan(v) for v in (nose.x, nose.y, nose.var_x, nose.cov_xy, nose.var_y))


def test_an_empty_array_and_a_person_without_a_detection() -> None:
    assert array_of(some_poses(0)).skeletons == []
    assert poses_of(array_of(some_poses(0)))[0].keypoints.shape == (0, 17, 2)
    message = array_of(some_poses(1), whole=True)
    assert (message.detections_stamp.sec, message.detections_stamp.nanosec) == (0, 0)
    (skeleton,) = message.skeletons
    assert skeleton.detection_index == NO_DETECTION == Skeleton.NO_DETECTION
    assert skeleton.bbox.center.position.x == 640


def test_info() -> None:
    info = EngineInfo("m", "openvino", "a CPU", "float32", "dark", "ab" * 32, 192, 256)
    message = skeleton_info(rclpy_types(), header(STAMP), info, image_rectified=True)
    assert (message.model, message.decoding, message.input_height) == ("m", "dark", 256)
    assert message.image_rectified and not message.fallback
    assert message.oks_sigmas[16] == np.float32(0.089)
    assert list(message.limbs[:2]) == [15, 13]
