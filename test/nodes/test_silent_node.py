# SPDX-License-Identifier: Apache-2.0
"""A node that says nothing, or sees nobody, says why: the real node, in diagnostics and log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from node_fixtures import LOSSLESS, running
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_robot import TIMEOUT, NodeUnderTest, Robot
from vision_msgs.msg import ObjectHypothesis, ObjectHypothesisWithPose

from hrnet_pose_ros.msg import SkeletonArray

NAMESPACE = "/test_silent_node"
BOXES = [[300.0, 200.0, 60.0, 150.0]]
RATE = 10.0


@pytest.fixture(scope="module")
def beside(
    ros: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Robot, NodeUnderTest]]:
    """A robot and a node with a misspelt parameter, another node's file, and a durable output."""
    folder = tmp_path_factory.mktemp("silent")
    others = folder / "others.yaml"
    others.write_text("/other_node:\n  ros__parameters:\n    model: hrnet_w48\n")
    with running(
        NAMESPACE,
        folder,
        *("-p", f"qos_overrides.{NAMESPACE}/skeletons.publisher.durability:=transient_local"),
        *("-p", "max_wait:=2.0", "--params-file", str(others)),
        camera=LOSSLESS,
        max_wait_ms=500.0,
        warn_age_ms=10000.0,  # a busy machine
        max_age_ms=10000.0,
    ) as pair:
        yield pair


@pytest.fixture(scope="module")
def robot(beside: tuple[Robot, NodeUnderTest]) -> Robot:
    return beside[0]


@pytest.fixture(scope="module")
def node(beside: tuple[Robot, NodeUnderTest]) -> NodeUnderTest:
    return beside[1]


@pytest.fixture(scope="module")
def frame(street_frames: list[np.ndarray]) -> np.ndarray:
    return street_frames[2]


def until_said(robot: Robot, send: Callable[[], Any], words: str) -> dict[str, Any]:
    """Send at `RATE` until the status ``output`` says the words; returns the statuses."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        send()
        time.sleep(1 / RATE)
        statuses = robot.statuses()
        if "output" in statuses and words in statuses["output"].message:
            return statuses
    pytest.fail(f"not said: {words}; said: {robot.statuses()}")


def until_ok(robot: Robot, frame: np.ndarray) -> None:
    """Answers end what was wrong; the level is held for a while."""
    robot.answered_pair(frame, BOXES)
    ok = "images/s"
    status = until_said(robot, lambda: robot.send_pair(frame, BOXES), ok)["output"]
    assert status.level == DiagnosticStatus.OK


def test_parameters_without_effect_are_named(node: NodeUnderTest) -> None:
    log = node.log
    assert "there is no parameter max_wait: it is ignored; the nearest name is max_wait_ms" in log
    assert f"others.yaml has no section for {NAMESPACE}/hrnet_pose, only for /other_node" in log


def test_a_durable_subscriber_hears_what_was_said_before(
    robot: Robot, node: NodeUnderTest, frame: np.ndarray
) -> None:
    robot.answered_pair(frame, BOXES)
    heard: list[SkeletonArray] = []
    durable = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    robot.node.create_subscription(SkeletonArray, "skeletons", heard.append, durable)
    robot.wait(lambda: heard, what="what was published before")
    # The override of one topic is not that of another with the same profile.
    topic = f"{NAMESPACE}/skeletons_smoothed"
    [other] = robot.wait(lambda: robot.node.get_publishers_info_by_topic(topic))
    assert other.qos_profile.durability == DurabilityPolicy.VOLATILE


def test_a_detector_that_stops(robot: Robot, node: NodeUnderTest, frame: np.ndarray) -> None:
    status = until_said(robot, lambda: robot.send_image(frame, robot.now()), "no answers")["output"]
    assert status.level == DiagnosticStatus.ERROR
    assert "no_detections_yet; the detector has not answered in time" in status.message
    assert "output: no answers for" in node.log
    until_ok(robot, frame)
    assert "output is OK again" in node.log


def test_images_that_are_always_too_old(
    robot: Robot, node: NodeUnderTest, frame: np.ndarray
) -> None:
    assert robot.set_parameters(max_age_ms=1.0)[0].successful
    status = until_said(robot, lambda: robot.send_pair(frame, BOXES), "too_old")["output"]
    assert status.level == DiagnosticStatus.ERROR and "an image" in status.message
    assert robot.set_parameters(max_age_ms=10000.0)[0].successful


def test_images_that_cannot_be_read_are_not_blamed_on_the_stamps(
    robot: Robot, node: NodeUnderTest, frame: np.ndarray
) -> None:
    until_ok(robot, frame)

    def unreadable() -> None:
        stamp = robot.now()
        robot.send_image(frame, stamp, encoding="32FC1")
        robot.send_detections(BOXES, stamp)

    words = "unreadable (encoding is '32FC1'; a depth image"
    statuses = until_said(robot, unreadable, words)
    assert "compare the stamps" not in statuses["input"].message
    until_ok(robot, frame)


def test_class_ids_that_make_nobody_a_person(
    robot: Robot, node: NodeUnderTest, frame: np.ndarray
) -> None:
    [result] = robot.set_parameters(class_ids=[])  # to ROS, an empty array of any type
    assert not result.successful and "class_ids" in result.reason
    assert robot.get_parameter("class_ids") == ["person", "pedestrian", "0"]
    human = [ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id="human", score=0.9))]
    assert robot.set_parameters(class_ids=["nobody"])[0].successful

    def pair() -> None:
        stamp = robot.now()
        robot.send_image(frame, stamp)
        robot.send_detections(BOXES, stamp, results=human)

    status = until_said(robot, pair, "none of")["output"]
    assert status.level == DiagnosticStatus.WARN
    assert "their classes are 'human'; add that of a person to class_ids" in status.message
    assert robot.set_parameters(class_ids=["human"])[0].successful
    assert robot.set_parameters(class_ids=["person"])[0].successful
    until_ok(robot, frame)
