# SPDX-License-Identifier: Apache-2.0
"""Finds peers with another type or incompatible QoS, the usual reasons why no messages arrive."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

# The middleware's name for a peer whose endpoint it has discovered but not yet its node.
UNKNOWN = "_NODE_NAME_UNKNOWN_"


def incompatible_peers(
    node: Node, subscriptions: Iterable[Subscription], publishers: Iterable[Publisher]
) -> list[str]:
    """Return one sentence for each peer that cannot exchange messages with the node.

    All profiles, including our own, are read from the graph, where every policy has its actual
    value. A requested profile may contain "default", which cannot be compared.
    """
    found = []
    for topic in {subscription.topic_name for subscription in subscriptions}:
        ours = _own(node, node.get_subscriptions_info_by_topic(topic))
        for peer in node.get_publishers_info_by_topic(topic):
            if ours is None or peer.node_name == UNKNOWN:
                continue  # a peer that was just discovered has its name at the next check
            name, reason = _full_name(peer), _mismatch(peer, ours)
            if peer.topic_type != ours.topic_type:
                found.append(
                    f"{name} publishes {topic} as {peer.topic_type}, and this node takes "
                    f"{ours.topic_type}: remap one of them to another topic"
                )
            elif reason:
                found.append(
                    f"{name} publishes {topic} with QoS that this node cannot receive: {reason}; "
                    f"change it with qos_overrides.{topic}.subscription.*"
                )
    for topic in {publisher.topic_name for publisher in publishers}:
        ours = _own(node, node.get_publishers_info_by_topic(topic))
        for peer in node.get_subscriptions_info_by_topic(topic):
            if ours is None or peer.node_name == UNKNOWN:
                continue
            name, reason = _full_name(peer), _mismatch(ours, peer)
            if peer.topic_type != ours.topic_type:
                found.append(
                    f"{name} subscribes to {topic} as {peer.topic_type}, and this node publishes "
                    f"{ours.topic_type}: remap one of them to another topic"
                )
            elif reason:
                found.append(
                    f"{name} subscribes to {topic} with QoS that this node does not offer: "
                    f"{reason}; change it with qos_overrides.{topic}.publisher.*"
                )
    return sorted(found)


def _own(node: Node, endpoints: list[TopicEndpointInfo]) -> TopicEndpointInfo | None:
    ours = node.get_fully_qualified_name()
    return next((endpoint for endpoint in endpoints if _full_name(endpoint) == ours), None)


def _mismatch(publisher: TopicEndpointInfo, subscription: TopicEndpointInfo) -> str:
    compatibility, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
    incompatible = compatibility == QoSCompatibility.ERROR
    return reason.replace("ERROR: ", "").strip(" ;") if incompatible else ""


def _full_name(endpoint: TopicEndpointInfo) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
