# SPDX-License-Identifier: Apache-2.0
"""The topics that the fusion node subscribes to, with their types and QoS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2, Range
from tf2_msgs.msg import TFMessage

from hrnet_pose_ros.msg import SkeletonArray, SkeletonInfo
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.ros.topics import create_subscription


@dataclass(frozen=True)
class InputTopic:
    """How an input is received.

    Attributes
    ----------
    kind
        The message class.
    qos
        Overridable by parameters.
    waiting
        At most so many messages wait for the fusion; newer ones replace the oldest.
    small
        Whether all waiting messages are taken at once: see `create_subscription`.
    topic
        If it is not the input's own name.
    """

    kind: Any
    qos: QoSProfile
    waiting: int
    small: bool = True
    topic: str = ""


def _qos(depth: int, *, reliable: bool = False, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


# Large messages wait in the middleware and in the queue only as far as an image may need them.
INPUT_TOPICS: dict[Input, InputTopic] = {
    Input.SKELETON_INFO: InputTopic(SkeletonInfo, _qos(1, reliable=True, latched=True), 4),
    Input.CAMERA_INFO: InputTopic(CameraInfo, _qos(5), 4),
    Input.DEPTH: InputTopic(Image, _qos(5), 4, small=False),
    Input.DEPTH_INFO: InputTopic(CameraInfo, _qos(5), 4),
    Input.POINTS: InputTopic(PointCloud2, _qos(5), 4, small=False),
    Input.SCAN: InputTopic(LaserScan, _qos(5), 8, small=False),
    Input.RANGE: InputTopic(Range, _qos(10), 16),
    Input.IMU: InputTopic(Imu, _qos(200), 400),
    Input.ODOMETRY: InputTopic(Odometry, _qos(50), 200),
    Input.TF: InputTopic(TFMessage, _qos(100, reliable=True), 400, topic="/tf"),
    Input.TF_STATIC: InputTopic(
        TFMessage, _qos(100, reliable=True, latched=True), 400, topic="/tf_static"
    ),
    # Last: of what is there at the same time, skeletons are taken last, and find the rest.
    Input.SKELETONS: InputTopic(SkeletonArray, _qos(10, reliable=True), 10, small=False),
}


def create_inputs(
    node: Node,
    range_topics: tuple[str, ...],
    take: Callable[[Input, str, Any], None],
    lost: Callable[[Input, int], None],
    guard: Callable[[Callable[..., None]], Callable[..., None]],
) -> list[Any]:
    """Subscribe to all inputs; return the subscriptions.

    Parameters
    ----------
    range_topics
        As many of `Input.RANGE` as there are.
    take
        Called with the input, the resolved topic, and the message.
    lost
        Called with the input and the number of messages that the middleware has lost.
    guard
        Wraps a callback so that it does not raise.
    """
    made = []
    for what, one in INPUT_TOPICS.items():
        topics = range_topics if what is Input.RANGE else (one.topic or what.value,)
        for topic in dict.fromkeys(topics):
            name = node.resolve_topic_name(topic)

            def receive(message: Any, what: Input = what, name: str = name) -> None:
                take(what, name, message)

            def missed(count: int, what: Input = what) -> None:
                lost(what, count)

            made.append(
                create_subscription(
                    node,
                    one.kind,
                    topic,
                    guard(receive),
                    one.qos,
                    lost=missed,
                    take_all=one.small,
                    peers_reported=True,
                )
            )
    return made
