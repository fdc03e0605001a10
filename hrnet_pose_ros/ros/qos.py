# SPDX-License-Identifier: Apache-2.0
"""Finds peers with another type or incompatible QoS, the usual reasons why no messages arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
    received = {subscription.topic_name for subscription in subscriptions}
    sent = {publisher.topic_name for publisher in publishers}
    found = [text for topic in received for text in _problems(node, topic, receives=True)]
    found += [text for topic in sent for text in _problems(node, topic, receives=False)]
    return sorted(found)


def _problems(node: Node, topic: str, *, receives: bool) -> Iterator[str]:
    """Yield what is wrong with the peers on a topic that the node receives, or else publishes."""
    publishers = node.get_publishers_info_by_topic(topic)
    subscribers = node.get_subscriptions_info_by_topic(topic)
    ours = _own(node, subscribers if receives else publishers)
    if ours is None:
        return
    does, own = ("publishes", "takes") if receives else ("subscribes to", "publishes")
    cannot = "cannot receive" if receives else "does not offer"
    role = "subscription" if receives else "publisher"
    for peer in publishers if receives else subscribers:
        if peer.node_name == UNKNOWN:
            continue  # just discovered: it has its name at the next check
        reason = _mismatch(peer, ours) if receives else _mismatch(ours, peer)
        if peer.topic_type != ours.topic_type:
            yield (
                f"{_full_name(peer)} {does} {topic} as {peer.topic_type}, and this node {own} "
                f"{ours.topic_type}: remap one of them to another topic"
            )
        elif reason:
            yield (
                f"{_full_name(peer)} {does} {topic} with QoS that this node {cannot}: {reason}; "
                f"change it with qos_overrides.{topic}.{role}.*"
            )


def _own(node: Node, endpoints: list[TopicEndpointInfo]) -> TopicEndpointInfo | None:
    ours = node.get_fully_qualified_name()
    return next((endpoint for endpoint in endpoints if _full_name(endpoint) == ours), None)


def _mismatch(publisher: TopicEndpointInfo, subscription: TopicEndpointInfo) -> str:
    compatibility, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
    incompatible = compatibility == QoSCompatibility.ERROR
    return reason.replace("ERROR: ", "").strip(" ;") if incompatible else ""


def _full_name(endpoint: TopicEndpointInfo) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
