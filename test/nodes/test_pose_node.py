# SPDX-License-Identifier: Apache-2.0
"""The node `hrnet_pose` as its users meet it: the installed executable, over DDS.

What is bad or missing has its own files: test_hard_*.py.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_robot import TIMEOUT, SimulatedClock, nanoseconds
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger
from vision_msgs.msg import ObjectHypothesis, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of
from hrnet_pose_ros.skeleton import COCO17

BOXES = [[300.0, 200.0, 60.0, 150.0], [500.0, 180.0, 50.0, 130.0]]
# Slow machines and cold caches must not fail a test of something else.
PATIENT = {"max_age_ms": 10000.0, "max_wait_ms": 2000.0}


@pytest.fixture
def ready(robot: Any, start: Callable[..., Any]) -> Callable[..., Any]:
    """Start the node with parameters and wait until it is active and connected."""

    def ready(*arguments: str, **parameters: Any) -> Any:
        node = start(*arguments, **(PATIENT | parameters))
        robot.wait_until_active(node)
        return node

    return ready


@pytest.fixture(scope="module")
def frame(street_frames: list[np.ndarray]) -> np.ndarray:
    return street_frames[2]


def test_skeletons_are_those_of_the_engine(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray
) -> None:
    ready(precision="float32")
    answer = robot.answered_pair(frame, BOXES)
    engine = make_engine("hrnet_w16_small", precision="float32")
    expected = engine.estimate(frame, np.array(BOXES))
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


def test_info_is_latched_and_complete(robot: Any, ready: Callable[..., Any]) -> None:
    ready()
    info = robot.wait_for("skeleton_info")[-1]
    assert info.skeleton == "coco17"
    assert tuple(info.joint_names) == COCO17.joint_names
    assert info.model.startswith("hrnet_w16_small")
    assert (info.engine, info.decoding) == ("openvino", "quarter")
    assert info.precision in ("float32", "bfloat16")
    assert (info.input_width, info.input_height) == (192, 256)
    assert len(info.checksum) == 64 and len(info.limbs) == 38
    assert info.calibrated  # the bundled model, for both decodings and flip tests
    assert not (info.fallback or info.flip_test or info.image_rectified)
    assert robot.set_parameters(image_rectified=True)[0].successful
    assert robot.wait_for("skeleton_info", 2)[-1].image_rectified


def test_an_image_without_persons_has_an_answer_without_skeletons(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray
) -> None:
    ready()
    answer = robot.answered_pair(frame, [])
    assert answer.skeletons == [] and answer.omitted == 0


def test_best_accepted_hypothesis_wins(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray
) -> None:
    ready()
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


def test_boxes_of_a_letterboxed_detector(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray
) -> None:
    """Isaac ROS: a 640x640 input shows a 768x576 image at 5/6 with bars of 80 px."""
    ready("-p", "detector_size:=[640, 640]", detector_letterbox=True, precision="float32")
    x, y, width, height = BOXES[0]
    scaled = [x * 5 / 6, y * 5 / 6 + 80, width * 5 / 6, height * 5 / 6]
    answer = robot.answered_pair(frame, [scaled])
    poses, boxes = poses_of(answer)
    np.testing.assert_allclose(boxes, BOXES[:1], atol=1e-4)  # pixels of the image
    expected = make_engine("hrnet_w16_small", precision="float32").estimate(
        frame, np.array(BOXES[:1])
    )
    np.testing.assert_allclose(poses.keypoints, expected.keypoints, atol=0.05)


def test_whole_image_as_person(robot: Any, ready: Callable[..., Any], frame: np.ndarray) -> None:
    ready(whole_image_as_person=True, max_wait_ms=50.0)
    stamp = robot.now()
    robot.send_image(frame[200:350, 280:380], stamp)
    skeleton = robot.answer_to(stamp).skeletons[0]
    assert skeleton.detection_index == skeleton.NO_DETECTION
    assert skeleton.id == "" and skeleton.detection_score == 0
    assert (skeleton.bbox.size_x, skeleton.bbox.size_y) == (100, 150)


def test_a_bag_that_starts_again_under_sim_time(
    robot: Any, start: Callable[..., Any], frame: np.ndarray
) -> None:
    # /clock is best effort: the node may miss some of its times, or hear them after the images.
    node = start("-p", "use_sim_time:=true", clock_tolerance_ms=1000.0, **PATIENT)
    clock = SimulatedClock(robot)
    robot.wait_until_active(node)
    begin, period, count = 5 * 10**9, 100_000_000, 15
    clock.set(begin)

    def play() -> None:
        heard = robot.heard["skeletons"]
        before = len(heard)

        def answered(stamp: int) -> bool:
            return any(nanoseconds(message) == stamp for message in heard[before:])

        for number in range(count):
            stamp = begin + number * period
            clock.tick(stamp)
            robot.send_image(frame, stamp)
            robot.send_detections(BOXES[:1], stamp)
            # Images that come faster than they are answered overwrite each other.
            robot.wait(lambda stamp=stamp: answered(stamp), 2.0, fail=False)
        # The first ones may still belong to the former time, and images are best effort too.
        assert len(heard) >= before + count // 2

    play()
    play()  # back by 1.4 s
    stamps = [nanoseconds(m) for m in robot.heard["skeletons"]]
    assert set(stamps) <= {begin + n * period for n in range(count)}
    ages = [m.times.age for m in robot.heard["skeletons"]]
    assert all(0 <= age < 2 for age in ages)  # on the bag's clock, never negative
    assert not [key for key in robot.values() if "clock_differs" in key]


def test_old_images_and_overload(robot: Any, ready: Callable[..., Any], frame: np.ndarray) -> None:
    ready(max_age_ms=200.0)

    def count(name: str) -> int:
        return int(robot.values().get(name, 0))

    def too_old() -> bool:
        stamp = robot.now() - 10**9
        robot.send_image(frame, stamp)
        robot.send_detections(BOXES, stamp)
        return robot.wait(lambda: count("dropped.images.too_old"), 5.0, fail=False)

    robot.wait(too_old)  # an image may be lost: they are best effort
    assert not robot.heard["skeletons"]

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
    assert all(message.times.age <= 0.2 for message in robot.heard["skeletons"])


def test_overlay_and_markers_only_while_subscribed(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray
) -> None:
    ready()
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


def test_lifecycle_by_hand(robot: Any, start: Callable[..., Any], frame: np.ndarray) -> None:
    node = start(autostart=False, **PATIENT)
    assert robot.state() == "unconfigured"
    assert not robot.transition(Transition.TRANSITION_ACTIVATE)  # not from here; and it lives
    for _ in range(2):
        assert robot.transition(Transition.TRANSITION_CONFIGURE)
        assert robot.state() == "inactive"
        assert robot.transition(Transition.TRANSITION_ACTIVATE)
        assert len(robot.answered_pair(frame, BOXES).skeletons) == 2
        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        assert robot.transition(Transition.TRANSITION_CLEANUP)
        assert robot.state() == "unconfigured"
    before = len(robot.heard["skeletons"])

    def refused() -> bool:
        robot.send_pair(frame, BOXES)  # an image may be lost
        drops = "dropped.images.engine_not_ready"
        return robot.wait(lambda: int(robot.values().get(drops, 0)), 5.0, fail=False)

    robot.wait(refused)
    assert len(robot.heard["skeletons"]) == before
    assert robot.transition(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert "Traceback" not in node.log


def test_services_answer_while_an_engine_is_prepared(robot: Any, start: Callable[..., Any]) -> None:
    start(autostart=False)
    assert robot.state() == "unconfigured"
    client = robot.node.create_client(ChangeState, "hrnet_pose/change_state")
    assert client.wait_for_service(TIMEOUT)
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))

    def seen() -> set[str]:
        """The states while a transition goes on; as many as it and this process have time for."""
        future, states = client.call_async(request), set()
        while not future.done():
            states.add(robot.state())
        assert future.result().success
        assert robot.transition(Transition.TRANSITION_CLEANUP)
        return states

    robot.wait(lambda: "configuring" in seen())


def test_incompatible_qos_is_said_with_the_peers_name(
    robot: Any, start: Callable[..., Any]
) -> None:
    node = start("-p", f"qos_overrides.{robot.namespace}/image.subscription.reliability:=reliable")
    status = robot.wait(
        lambda: (s := robot.statuses().get("input")) and "robot publishes" in s.message and s
    )
    assert status.level == DiagnosticStatus.WARN
    assert f"{robot.namespace}/robot publishes {robot.namespace}/image" in status.message
    assert "reliab" in status.message.lower()
    assert "robot publishes" in node.log


def test_diagnostics_of_a_healthy_node(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray
) -> None:
    ready(warn_age_ms=10000.0)
    for _ in range(10):
        robot.answered_pair(frame, BOXES)
    robot.wait(lambda: int(robot.values().get("published", 0)) >= 10)
    statuses, values = robot.statuses(), robot.values()
    assert statuses["engine"].level == statuses["output"].level == DiagnosticStatus.OK
    assert values["state"] == "ready"
    assert float(values["persons_per_image"]) == 2
    assert float(values["rate_hz"]) > 0
    for stage in ("arrival", "pairing", "queue", "conversion", "inference", "age"):
        p50, p95, p99 = (float(values[f"{stage}_ms.p{p}"]) for p in (50, 95, 99))
        assert 0 <= p50 <= p95 <= p99


def test_get_status_answers_in_one_line(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray
) -> None:
    ready()
    robot.answered_pair(frame, BOXES)
    robot.wait(lambda: robot.values().get("published", "0") != "0")
    answer = robot.call(Trigger, "hrnet_pose/get_status", Trigger.Request())
    assert answer.success
    status = json.loads(answer.message)
    assert status["state"] == "active" and status["engine"]["values"]["state"] == "ready"
    assert status["output"]["values"]["published"] >= 1


def test_twenty_lives_do_not_grow(robot: Any, start: Callable[..., Any], frame: np.ndarray) -> None:
    node = start(autostart=False, precision="float32", **PATIENT)
    assert robot.state() == "unconfigured"
    sizes = []
    for life in range(20):
        assert robot.transition(Transition.TRANSITION_CONFIGURE)
        assert robot.transition(Transition.TRANSITION_ACTIVATE)
        if life % 5 == 0:
            assert len(robot.answered_pair(frame, BOXES).skeletons) == 2
        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        assert robot.transition(Transition.TRANSITION_CLEANUP)
        sizes.append(node.memory())
    # The allocator keeps 40 MB more or less from life to life: compare the least of five lives.
    # An engine that stayed would be as much in each of them.
    assert min(sizes[-5:]) - min(sizes[:5]) < 40e6, [round(size / 1e6) for size in sizes]
    assert "Traceback" not in node.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.0, 0.2, 0.5, 1.0, 2.0])
def test_a_signal_at_any_moment_ends_it_cleanly(
    start: Callable[..., Any], number: signal.Signals, after: float
) -> None:
    """From the first line of the node's own on; before it, Python itself is still starting."""
    node = start()
    deadline = time.monotonic() + TIMEOUT
    while not node.blocks(number) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(after)
    assert node.signal(number) == 0, node.log
    assert "Traceback" not in node.log


def test_it_leaves_no_shared_memory_behind(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray
) -> None:
    """35 MB in /dev/shm for each start would fill a vehicle's memory in a few hundred starts."""
    before = {str(path) for path in Path("/dev/shm").iterdir()}
    node = ready()
    robot.answered_pair(frame, BOXES)
    own = node.shared_memory() - before
    assert own
    assert node.signal(signal.SIGINT) == 0, node.log
    assert not {path for path in own if Path(path).exists()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_images_arrive_ends_it_cleanly(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray, number: signal.Signals
) -> None:
    node = ready()
    for _ in range(10):
        robot.send_pair(frame, BOXES)
        time.sleep(0.02)
    assert node.signal(number) == 0
    assert "Traceback" not in node.log
