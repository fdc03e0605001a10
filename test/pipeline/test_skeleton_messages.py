# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ros_robot import header
from sensor_msgs.msg import Image

from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.msg import Skeleton, SkeletonInfo
from hrnet_pose_ros.nodes.person_detector_node import detection_array
from hrnet_pose_ros.pipeline.detections import persons_of, whole_image
from hrnet_pose_ros.pipeline.message_types import rclpy_types
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.skeleton_messages import (
    NO_DETECTION,
    SkeletonMismatch,
    Times,
    poses_of,
    skeleton_array,
    skeleton_info,
    skeleton_of,
)
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.replay.bags import message_types
from hrnet_pose_ros.skeleton import find_skeleton, shipped_skeletons

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
    message = skeleton_info(
        rclpy_types(), header(STAMP), info, image_rectified=True, assigned_ids=True
    )
    assert (message.model, message.decoding, message.input_height) == ("m", "dark", 256)
    assert message.image_rectified and not message.fallback
    assert message.oks_sigmas[16] == np.float32(0.089)
    assert list(message.limbs[:2]) == [15, 13]


@pytest.mark.parametrize("letterbox", [False, True])
def test_boxes_are_in_image_pixels_whatever_the_detector_reports(letterbox: bool) -> None:
    """A detector whose input has 640x640 px; the detection is found by its index."""
    size = {"detector_size": [640, 640], "detector_letterbox": letterbox}
    settings = Settings.of(size)
    inside = [100.0, 250.0, 40.0, 80.0]
    detections = detection_array(header(STAMP), [[0.0, 0.0, 0.1, 0.1], inside], [0.9, 0.8], "ab")
    persons = persons_of(detections, (1280, 720), settings)
    message = skeleton_array(
        rclpy_types(),
        image=Image(header=header(STAMP)),
        detections=detections,
        image_size=(1280, 720),
        persons=persons,
        poses=some_poses(1),
        times=Times(),
    )
    (skeleton,) = message.skeletons
    # 1280x720 px fill 640x360 of the letterbox, which begins 140 px from the top.
    expected = [200, 220, 80, 160] if letterbox else [200, 281.25, 80, 90]
    np.testing.assert_allclose(poses_of(message)[1], [expected])
    received = detections.detections[skeleton.detection_index].bbox
    assert (skeleton.detection_index, received.size_x, received.size_y) == (1, 40, 80)


def test_a_rotated_detection_has_the_box_of_its_bounds() -> None:
    detections = detection_array(header(STAMP), [[100.0, 100.0, 80.0, 40.0]], [0.9], "a")
    detections.detections[0].bbox.center.theta = math.pi / 2
    message = skeleton_array(
        rclpy_types(),
        image=Image(header=header(STAMP)),
        detections=detections,
        image_size=(1280, 720),
        persons=persons_of(detections, (1280, 720), DEFAULTS),
        poses=some_poses(1),
        times=Times(),
    )
    assert message.skeletons[0].bbox.center.theta == 0
    np.testing.assert_allclose(poses_of(message)[1], [[120, 80, 40, 80]])


@pytest.mark.parametrize("name", shipped_skeletons())
def test_info_tells_the_skeleton(name: str) -> None:
    skeleton = find_skeleton(name)
    info = EngineInfo("m", "torch", "", "float32", "dark", "", 192, 256, skeleton=skeleton)
    for types in (rclpy_types(), message_types()):
        head = types.Header(stamp=types.Time(sec=0, nanosec=0), frame_id="")
        message = skeleton_info(types, head, info, image_rectified=False, assigned_ids=False)
        # Only training uses the lower body; it is not in the message.
        assert skeleton_of(message) == replace(skeleton, lower_body=())
        assert (message.crop, message.ids) == ("reference", "detector")
    assert (message.crop, message.ids) == (SkeletonInfo.CROP_REFERENCE, SkeletonInfo.IDS_DETECTOR)


def test_another_number_of_key_points_is_refused() -> None:
    with pytest.raises(SkeletonMismatch, match="17 key points, but the skeleton 'mpii16' has 16"):
        poses_of(array_of(some_poses(1)), find_skeleton("mpii16"))
