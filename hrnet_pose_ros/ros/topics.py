# SPDX-License-Identifier: Apache-2.0
"""Publishers and subscriptions whose QoS can be overridden by parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSPolicyKind, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

# Every policy by which a peer can be incompatible. rclpy's own choice leaves out durability.
OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
    QoSPolicyKind.DEADLINE,
    QoSPolicyKind.LIFESPAN,
    QoSPolicyKind.LIVELINESS,
    QoSPolicyKind.LIVELINESS_LEASE_DURATION,
)


def create_publisher(
    node: Node, kind: Any, topic: str, qos: QoSProfile, *, peers_reported: bool = False
) -> Publisher:
    """Create a publisher; ``qos_overrides.TOPIC.publisher.POLICY`` overrides the profile.

    ``peers_reported`` is that of `create_subscription`.
    """
    # rclpy writes the overrides into the profile: of a shared one, other topics would have them.
    return node.create_publisher(
        kind,
        topic,
        copy.copy(qos),
        event_callbacks=PublisherEventCallbacks(use_default_callbacks=not peers_reported),
        qos_overriding_options=QoSOverridingOptions(OVERRIDABLE),
    )


def create_subscription(
    node: Node,
    kind: Any,
    topic: str,
    callback: Callable[[Any], None],
    qos: QoSProfile,
    *,
    lost: Callable[[int], None] | None = None,
    take_all: bool = False,
    peers_reported: bool = False,
) -> Subscription:
    """Create a subscription; ``qos_overrides.TOPIC.subscription.POLICY`` overrides the profile.

    Parameters
    ----------
    lost
        Called with the number of messages that the middleware has lost.
    take_all
        Whether all waiting messages are passed to the callback at once. The executor takes one
        message of each topic in turn. When it cannot keep up, the messages of a topic with a longer
        queue are older than those of the others; and of two topics with equal queues, other
        messages are left over. With this, small messages never wait, and only large ones are lost.
    peers_reported
        Whether the node itself reports peers that cannot exchange messages with it
        (`hrnet_pose_ros.ros.qos.incompatible_peers`). If not, rclpy warns about them. For that it
        asks two event handlers of each topic whenever any message arrives: in a node with many
        topics a large part of the processor time (docs/architecture.md).
    """
    subscription: Subscription

    def take(message: Any) -> None:
        callback(message)
        for _ in range(subscription_depth):
            taken = subscription.handle.take_message(kind, False)
            if taken is None:
                return
            callback(taken[0])

    profile = copy.copy(qos)
    events = SubscriptionEventCallbacks(use_default_callbacks=not peers_reported)
    if lost is not None:
        report = lost
        events.message_lost = lambda info: report(info.total_count_change)
    subscription = node.create_subscription(
        kind,
        topic,
        take if take_all else callback,
        profile,
        event_callbacks=events,
        qos_overriding_options=QoSOverridingOptions(OVERRIDABLE),
    )
    subscription_depth = profile.depth  # rclpy has written the override into the profile
    return subscription
