# SPDX-License-Identifier: Apache-2.0
"""The node `hrnet_pose` as its users meet it: the installed executable, over DDS.

One node answers all of these tests. Its lives and ends are in test_pose_node_lives.py, what is bad
or missing in test_hard_*.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from node_fixtures import running
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_robot import Robot
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger
from vision_msgs.msg import ObjectHypothesis, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17

BOXES = [[300.0, 200.0, 60.0, 150.0], [500.0, 180.0, 50.0, 130.0]]
# Slow machines and cold caches must not fail a test of something else.
PATIENT = {"max_age_ms": 10000.0, "max_wait_ms": 2000.0, "warn_age_ms": 10000.0}


@pytest.fixture(scope="module")
def robot(ros: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Robot]:
    """The robot beside the node. A test that sets parameters sets them back."""
    folder = tmp_path_factory.mktemp("pose_node")
    with running("/test_pose_node", folder, precision="float32", **PATIENT) as (robot, _):
        yield robot


@pytest.fixture(scope="module")
def frame(street_frames: list[np.ndarray]) -> np.ndarray:
    return street_frames[2]


@pytest.fixture(scope="module")
def expected(frame: np.ndarray) -> Poses:
    """What the engine itself says of the boxes in the frame."""
    engine = make_engine("hrnetv2_w24_small", precision="float32", max_batch=2)
    poses = engine.estimate(frame, np.array(BOXES))
    engine.close()
    return poses


def put(robot: Robot, **values: Any) -> None:
    """Set parameters."""
    assert all(result.successful for result in robot.set_parameters(**values))


def test_skeletons_are_those_of_the_engine(
    robot: Robot, frame: np.ndarray, expected: Poses
) -> None:
    answer = robot.answered_pair(frame, BOXES)
    poses, boxes = poses_of(answer)
    np.testing.assert_allclose(boxes, BOXES, atol=1e-4)
    np.testing.assert_array_equal(poses.valid, expected.valid)
    # The same engine on the same frame: equal but for float32 in the message.
    np.testing.assert_allclose(poses.keypoints, expected.keypoints, atol=1e-3)
    np.testing.assert_allclose(poses.scores, np.clip(expected.scores, 0, 1), atol=1e-4)
    np.testing.assert_allclose(poses.covariances, expected.covariances, rtol=1e-3, atol=1e-3)
    assert [s.id for s in answer.skeletons] == ["a", "b"]
    assert [s.detection_index for s in answer.skeletons] == [0, 1]
    assert [s.class_id for s in answer.skeletons] == ["person", "person"]
    np.testing.assert_allclose([s.detection_score for s in answer.skeletons], 0.9, atol=1e-6)
    np.testing.assert_allclose(
        [s.score for s in answer.skeletons], expected.person_scores(), atol=1e-4
    )
    assert answer.header.frame_id == "camera_optical_frame"
    assert (answer.image_width, answer.image_height, answer.omitted) == (768, 576, 0)
    assert answer.detections_stamp == answer.header.stamp
    times = answer.times
    durations = (times.pairing, times.queue, times.conversion, times.inference)
    assert all(0 <= one < 10 for one in durations)
    assert times.age >= max(durations)
    assert times.age == pytest.approx(times.arrival + sum(durations), abs=0.05)


def test_info_is_latched_and_complete(robot: Robot) -> None:
    info = robot.heard["skeleton_info"][-1]
    assert info.skeleton == "coco17"
    assert tuple(info.joint_names) == COCO17.joint_names
    assert info.model.startswith("hrnetv2_w24_small")
    assert (info.engine, info.precision) == ("openvino", "float32")
    assert info.decoding == "quarter"
    assert (info.input_width, info.input_height) == (192, 256)
    assert len(info.checksum) == 64 and len(info.limbs) == 38
    assert info.calibrated  # the bundled model, for both decodings and flip tests
    assert not (info.fallback or info.flip_test or info.image_rectified)
    for rectified in (True, False):
        count = len(robot.heard["skeleton_info"])
        put(robot, image_rectified=rectified)
        assert robot.wait_for("skeleton_info", count + 1)[-1].image_rectified == rectified


def test_an_image_without_persons_has_an_answer_without_skeletons(
    robot: Robot, frame: np.ndarray
) -> None:
    answer = robot.answered_pair(frame, [])
    assert answer.skeletons == [] and answer.omitted == 0


def test_best_accepted_hypothesis_wins(robot: Robot, frame: np.ndarray) -> None:
    results = [
        ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=name, score=score))
        for name, score in (("car", 0.95), ("person", 0.4), ("PEDESTRIAN", 0.7))
    ]
    stamp = robot.now()
    robot.send_image(frame, stamp)
    robot.send_detections(BOXES[:1], stamp, results=results)
    skeleton = robot.answer_to(stamp).skeletons[0]
    assert skeleton.class_id == "PEDESTRIAN"
    assert skeleton.detection_score == pytest.approx(0.7)


def test_boxes_of_a_letterboxed_detector(robot: Robot, frame: np.ndarray, expected: Poses) -> None:
    """Isaac ROS: a 640x640 input shows a 768x576 image at 5/6 with bars of 80 px."""
    put(robot, detector_size=[640, 640], detector_letterbox=True)
    x, y, width, height = BOXES[0]
    scaled = [x * 5 / 6, y * 5 / 6 + 80, width * 5 / 6, height * 5 / 6]
    answer = robot.answered_pair(frame, [scaled])
    poses, boxes = poses_of(answer)
    np.testing.assert_allclose(boxes, BOXES[:1], atol=1e-4)  # pixels of the image
    np.testing.assert_allclose(poses.keypoints, expected.keypoints[:1], atol=0.05)
    put(robot, detector_size=[0, 0], detector_letterbox=False)


def test_whole_image_as_person(robot: Robot, frame: np.ndarray) -> None:
    put(robot, whole_image_as_person=True, max_wait_ms=50.0)
    before = len(robot.heard["skeletons"])

    def answer() -> Any:
        robot.send_image(frame[200:350, 280:380], robot.now())  # an image may be lost
        heard = robot.heard["skeletons"]
        return robot.wait(lambda: heard[before:], 5.0, fail=False)

    skeleton = robot.wait(answer)[0].skeletons[0]
    assert skeleton.detection_index == skeleton.NO_DETECTION
    assert skeleton.id == "" and skeleton.detection_score == 0
    assert (skeleton.bbox.size_x, skeleton.bbox.size_y) == (100, 150)
    put(robot, whole_image_as_person=False, max_wait_ms=PATIENT["max_wait_ms"])


def test_overlay_and_markers_only_while_subscribed(robot: Robot, frame: np.ndarray) -> None:
    robot.answered_pair(frame, BOXES)
    reliable = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
    robot.listen(Image, "overlay", reliable)
    robot.listen(MarkerArray, "markers", reliable)
    focal, (cx, cy) = 800.0, (384.0, 288.0)
    robot.wait(lambda: robot.camera_info.get_subscription_count())
    robot.camera_info.publish(
        CameraInfo(
            width=768,
            height=576,
            distortion_model="plumb_bob",
            d=[0.0] * 5,
            k=[focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0],
            p=[focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        )
    )

    def heard() -> bool:
        return bool(robot.heard["overlay"] and robot.heard["markers"])

    def shown() -> Any:
        """The node may not have found the new subscriptions yet, nor heard of the camera."""
        answer = robot.answered_pair(frame, BOXES)
        return robot.wait(heard, 1.0, fail=False) and answer

    answer = robot.wait(shown)
    overlay = robot.heard["overlay"][-1]
    assert (overlay.width, overlay.height, overlay.encoding) == (768, 576, "rgb8")
    assert overlay.header.frame_id == answer.header.frame_id
    drawn = np.frombuffer(overlay.data, np.uint8).reshape(frame.shape)
    changed = (drawn != frame).any(axis=2)
    assert changed[200:350, 290:370].mean() > 0.05  # around the person
    assert not changed[400:, :200].any()  # nowhere else
    markers = robot.heard["markers"][-1].markers
    joints = next(m for m in markers if m.ns == "joints" and m.action == Marker.ADD)
    # A person of 1.7 m that is 150 px high at 800 px focal length stands 9.07 m away.
    assert {round(p.z, 2) for p in joints.points} == {9.07}
    assert joints.header.frame_id == "camera_optical_frame"
    assert joints.lifetime.nanosec > 0
    robot.answered_pair(frame, [])
    gone = robot.wait(
        lambda: [m for a in robot.heard["markers"] for m in a.markers if m.action == Marker.DELETE]
    )
    assert {m.ns for m in gone} == {"limbs", "joints", "label"}


def test_diagnostics_of_a_healthy_node(robot: Robot, frame: np.ndarray) -> None:
    def shown() -> bool:
        """Of the images of the last seconds, all had two persons."""
        robot.answered_pair(frame, BOXES)
        return float(robot.values().get("persons_per_image", 0)) == 2

    robot.wait(shown)
    statuses, values = robot.statuses(), robot.values()
    assert statuses["engine"].level == statuses["output"].level == DiagnosticStatus.OK
    assert values["state"] == "ready"
    assert float(values["rate_hz"]) > 0
    for stage in ("arrival", "pairing", "queue", "conversion", "inference", "age"):
        p50, p95, p99 = (float(values[f"{stage}_ms.p{p}"]) for p in (50, 95, 99))
        assert 0 <= p50 <= p95 <= p99


def test_get_status_answers_in_one_line(robot: Robot, frame: np.ndarray) -> None:
    robot.answered_pair(frame, BOXES)
    robot.wait(lambda: robot.values().get("published", "0") != "0")
    answer = robot.call(Trigger, "hrnet_pose/get_status", Trigger.Request())
    assert answer.success
    status = json.loads(answer.message)
    assert status["state"] == "active" and status["engine"]["values"]["state"] == "ready"
    assert status["output"]["values"]["published"] >= 1


def test_old_images_and_overload(robot: Robot, frame: np.ndarray) -> None:
    put(robot, max_age_ms=200.0)
    before = len(robot.heard["skeletons"])

    def count(name: str) -> int:
        return int(robot.values().get(name, 0))

    def too_old() -> bool:
        stamp = robot.now() - 10**9
        robot.send_image(frame, stamp)
        robot.send_detections(BOXES, stamp)
        return robot.wait(lambda: count("dropped.images.too_old"), 5.0, fail=False)

    robot.wait(too_old)  # an image may be lost: they are best effort
    assert len(robot.heard["skeletons"]) == before

    def all_accounted_for() -> bool:
        counts = [int(v) for k, v in robot.values().items() if k.startswith("dropped.images.")]
        return count("received.images") == len(robot.heard["skeletons"]) + sum(counts)

    def overload() -> bool:
        """Far more than any processor answers: the newest wins, every other is counted."""
        for _ in range(60):
            robot.send_pair(frame, [[10.0 * n, 100.0, 40.0, 100.0] for n in range(20)])
            time.sleep(0.01)
        return robot.wait(lambda: count("dropped.images.overwritten"), 5.0, fail=False)

    robot.wait(overload)
    robot.wait(all_accounted_for, what="every image answered or counted")
    assert all(message.times.age <= 0.2 for message in robot.heard["skeletons"][before:])
    put(robot, max_age_ms=PATIENT["max_age_ms"])
