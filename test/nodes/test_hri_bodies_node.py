# SPDX-License-Identifier: Apache-2.0
"""The node `hri_bodies` over DDS, between the messages of both other nodes and ROS4HRI."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point
from ros_robot import LATCHED, RELIABLE, Robot, header
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import BoundingBox2D, Point2D, Pose2D

from hrnet_pose_ros.engines.engine import EngineInfo
from hrnet_pose_ros.msg import Keypoint, Person, PersonArray, Skeleton, SkeletonArray, SkeletonInfo
from hrnet_pose_ros.pipeline.message_types import rclpy_types
from hrnet_pose_ros.pipeline.skeleton_messages import skeleton_info

hri = pytest.importorskip("hri_msgs.msg")

BODY = "/humans/bodies/b7"
SIZE = (320, 240)


class People:
    """A robot that publishes what the pose node and the fusion node would."""

    def __init__(self, robot: Any) -> None:
        self.robot = robot
        node = robot.node
        info = EngineInfo("m", "openvino", "a CPU", "float32", "dark", "", 192, 256)
        made = skeleton_info(
            rclpy_types(), header(0), info, image_rectified=False, assigned_ids=False
        )
        self.info = node.create_publisher(SkeletonInfo, "skeleton_info", LATCHED)
        self.info.publish(made)
        self.skeletons = node.create_publisher(SkeletonArray, "skeletons", RELIABLE)
        self.people = node.create_publisher(PersonArray, "people", RELIABLE)

    def send(self, status: int = PersonArray.OK, *, image: bool = False) -> None:
        """An image with one person, who is known as 7."""
        stamp = self.robot.now()
        if image:
            self.robot.send_image(np.full((*SIZE[::-1], 3), 90, np.uint8), stamp)
        array = SkeletonArray(header=header(stamp), image_width=SIZE[0], image_height=SIZE[1])
        box = BoundingBox2D(size_x=60.0, size_y=160.0)
        box.center = Pose2D(position=Point2D(x=100.0, y=120.0))
        keypoints = [Keypoint(x=100.0, y=120.0, score=0.9) for _ in range(17)]
        array.skeletons = [Skeleton(id="3", detection_score=0.9, bbox=box, keypoints=keypoints)]
        people = PersonArray(header=header(stamp, "base_link"), status=status)
        if status != PersonArray.ERROR:
            nan = float("nan")
            people.people = [
                Person(id="7", position=Point(x=3.0), height=1.8, heading=nan, posture=1)
            ]
        self.people.publish(people)  # topics may overtake each other
        self.skeletons.publish(array)


@pytest.fixture
def people(robot: Any) -> People:
    return People(robot)


def test_bodies_come_and_go(people: People, robot: Any, start: Callable[..., Any]) -> None:
    node = start(executable="hri_bodies_node")
    robot.listen(hri.IdsList, "/humans/bodies/tracked", RELIABLE)
    robot.listen(TFMessage, "/tf", RELIABLE)
    tracked, frames = robot.heard["/humans/bodies/tracked"], robot.heard["/tf"]

    def shown(*topics: str) -> bool:
        people.send(image=True)
        robot.wait(lambda: False, 0.1, fail=False)
        return all(robot.heard[topic] for topic in topics)

    robot.wait(lambda: shown("/humans/bodies/tracked", "/tf"), what=node.log)
    assert ["b7"] in [list(message.ids) for message in tracked]
    [transform] = next(message.transforms for message in frames if message.transforms)
    assert transform.child_frame_id == "body_b7" and transform.header.frame_id == "base_link"
    # Images are received only for `cropped`.
    images = f"{robot.namespace}/image"
    assert robot.node.count_subscribers(images) == 0
    small = {
        f"{BODY}/roi": hri.NormalizedRegionOfInterest2D,
        f"{BODY}/skeleton2d": hri.Skeleton2D,
        f"{BODY}/posture": hri.BodyPosture,
        f"{BODY}/gesture": hri.Gesture,
    }
    for topic, kind in small.items():
        robot.listen(kind, topic, RELIABLE)
    robot.wait(lambda: shown(*small), what=node.log)
    assert robot.heard[f"{BODY}/posture"][0].posture == hri.BodyPosture.STANDING
    assert robot.heard[f"{BODY}/skeleton2d"][0].skeleton[0].c == pytest.approx(0.9)
    assert robot.node.count_subscribers(images) == 0
    viewer = Robot(robot.namespace)
    viewer.listen(Image, f"{BODY}/cropped", RELIABLE)
    robot.wait(lambda: shown() and viewer.heard[f"{BODY}/cropped"], what=node.log)
    part = viewer.heard[f"{BODY}/cropped"][0]
    assert (part.width, part.height, part.encoding) == (61, 161, "rgb8")
    viewer.close()
    robot.wait(lambda: shown() and robot.node.count_subscribers(images) == 0, what="unsubscribed")
    # A fault: nobody is tracked any more, and then somebody is again.
    people.send(PersonArray.ERROR)
    robot.wait(lambda: tracked[-1].ids == [], what=node.log)
    robot.wait(lambda: shown() and tracked[-1].ids == ["b7"], what=node.log)
    # Silence: the same.
    robot.wait(lambda: tracked[-1].ids == [], what=node.log)
    robot.wait(lambda: not robot.node.count_publishers(f"{BODY}/roi"), what="the topics are gone")
    assert node.signal(signal.SIGINT) == 0, node.log
    assert "Traceback" not in node.log and "no bodies: nothing on people for 1 s" in node.log


def test_without_hri_msgs_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from hrnet_pose_ros.nodes.hri_bodies_node import make_node

    monkeypatch.delitem(sys.modules, "hri_msgs.msg", raising=False)
    monkeypatch.setitem(sys.modules, "hri_msgs", None)  # an import of it raises ImportError
    with pytest.raises(RuntimeError, match="hri_msgs is not installed"):
        make_node()
