# SPDX-License-Identifier: Apache-2.0
"""Peers that cannot exchange messages with a node are named, with what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Int32, String

from hrnet_pose_ros.ros.qos import incompatible_peers
from hrnet_pose_ros.ros.topics import create_publisher, create_subscription

RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    contexts = [Context(), Context()]  # of one, all must have the same type on a topic
    for context in contexts:
        rclpy.init(context=context)
    yield Node("ours", context=contexts[0]), Node("peer", context=contexts[1])
    for context in contexts:
        rclpy.shutdown(context=context)


@pytest.mark.parametrize(
    ("kind", "qos", "text"),
    [
        (Int32, RELIABLE, ""),
        (String, RELIABLE, "/peer publishes /heard as std_msgs/msg/String, and this node takes"),
        (Int32, BEST_EFFORT, "/peer publishes /heard with QoS that this node cannot receive"),
    ],
)
def test_publishers(nodes: tuple[Node, Node], kind: type, qos: QoSProfile, text: str) -> None:
    ours, peer = nodes
    subscription = create_subscription(ours, Int32, "heard", lambda _: None, RELIABLE)
    create_publisher(peer, kind, "heard", qos)
    assert_named(text, lambda: incompatible_peers(ours, [subscription], []), ours, "/heard")


@pytest.mark.parametrize(
    ("kind", "qos", "text"),
    [
        (Int32, BEST_EFFORT, ""),
        (String, BEST_EFFORT, "/peer subscribes to /said as std_msgs/msg/String, and this node"),
        (Int32, RELIABLE, "/peer subscribes to /said with QoS that this node does not offer"),
    ],
)
def test_subscribers(nodes: tuple[Node, Node], kind: type, qos: QoSProfile, text: str) -> None:
    ours, peer = nodes
    publisher = create_publisher(ours, Int32, "said", BEST_EFFORT)
    create_subscription(peer, kind, "said", lambda _: None, qos)
    assert_named(text, lambda: incompatible_peers(ours, [], [publisher]), ours, "/said")


def assert_named(text: str, check: Callable[[], list[str]], node: Node, topic: str) -> None:
    """Exactly one peer is named, or nobody once the peer is known."""

    def known() -> bool:
        ends = [
            *node.get_publishers_info_by_topic(topic),
            *node.get_subscriptions_info_by_topic(topic),
        ]
        return len(ends) == 2 and all(one.node_name in ("ours", "peer") for one in ends)

    deadline = time.monotonic() + 60
    while not known() and time.monotonic() < deadline:
        time.sleep(0.02)
    found = check()
    assert len(found) == bool(text) and all(text in one for one in found), found
