# SPDX-License-Identifier: Apache-2.0
"""Publishers and subscriptions whose QoS parameters override."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Int32

from hrnet_pose_ros.ros.topics import create_publisher, create_subscription

COUNT = 20
PROFILE = QoSProfile(depth=30, reliability=ReliabilityPolicy.RELIABLE)
PREFIX = "qos_overrides./said"


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    yield context
    rclpy.shutdown(context=context)


def overridden(context: Context, *overrides: str) -> Node:
    words = [word for one in overrides for word in ("-p", f"{PREFIX}.{one}")]
    rclpy.init(args=["--ros-args", *words], context=context)
    return Node("topics", context=context)


@pytest.mark.parametrize(("take_all", "expected"), [(True, COUNT), (False, 1)])
def test_all_waiting_messages_are_taken_at_once(
    take_all: bool, expected: int, context: Context
) -> None:
    node = overridden(context, "subscription.depth:=50")
    heard: list[int] = []
    create_subscription(
        node, Int32, "said", lambda m: heard.append(m.data), PROFILE, take_all=take_all
    )
    publisher = create_publisher(node, Int32, "said", PROFILE)
    deadline = time.monotonic() + 60
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.02)
    for number in range(COUNT):
        publisher.publish(Int32(data=number))
    assert publisher.wait_for_all_acked(Duration(seconds=60))  # all of them wait to be taken
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    while not heard and time.monotonic() < deadline:  # the node's own topics come first
        executor.spin_once(timeout_sec=0.1)
    assert heard == list(range(expected))
    executor.shutdown()
    node.destroy_node()


def test_every_policy_can_be_overridden_and_no_other_topic_is(context: Context) -> None:
    node = overridden(
        context,
        *("publisher.durability:=transient_local", "subscription.durability:=transient_local"),
        *("subscription.deadline:=500000000", "publisher.liveliness:=automatic"),
    )
    first = create_publisher(node, Int32, "said", PROFILE)
    second = create_publisher(node, Int32, "other", PROFILE)
    heard = create_subscription(node, Int32, "said", lambda message: None, PROFILE)
    assert first.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert heard.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert heard.qos_profile.deadline.nanoseconds == 500_000_000
    assert second.qos_profile.durability != DurabilityPolicy.TRANSIENT_LOCAL
    assert PROFILE.durability != DurabilityPolicy.TRANSIENT_LOCAL
    node.destroy_node()
