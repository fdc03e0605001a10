# SPDX-License-Identifier: Apache-2.0
"""Selects the input topics of the node from those of a bag."""

from __future__ import annotations

from collections.abc import Mapping

from hrnet_pose_ros.pipeline.image_transport import TRANSPORT_OF_TYPE
from hrnet_pose_ros.replay.bags import TopicInfo
from hrnet_pose_ros.replay.definitions import BagError

DETECTIONS = "vision_msgs/msg/Detection2DArray"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
# Image topics that are not from a camera: the node's own overlay.
NOT_CAMERAS = ("/overlay",)


def image_candidates(topics: Mapping[str, TopicInfo]) -> list[str]:
    """Topics that a camera may have published on."""
    return [
        name
        for name, info in topics.items()
        if info.type in TRANSPORT_OF_TYPE and info.count and not name.endswith(NOT_CAMERAS)
    ]


def detection_candidates(topics: Mapping[str, TopicInfo]) -> list[str]:
    """Topics that a detector may have published on."""
    return [name for name, info in topics.items() if info.type == DETECTIONS and info.count]


def image_topic(topics: Mapping[str, TopicInfo], wanted: str | None) -> str:
    """The requested or only image topic; BagError lists the topics and the option to set."""
    types = tuple(TRANSPORT_OF_TYPE)
    return _choose("image", types, topics, image_candidates(topics), wanted)


def detections_topic(topics: Mapping[str, TopicInfo], wanted: str | None) -> str:
    """As `image_topic`."""
    return _choose("detections", (DETECTIONS,), topics, detection_candidates(topics), wanted)


def _choose(
    what: str,
    types: tuple[str, ...],
    topics: Mapping[str, TopicInfo],
    candidates: list[str],
    wanted: str | None,
) -> str:
    if wanted is not None:
        name = "/" + wanted.lstrip("/")
        if name not in topics:
            raise BagError(f"the bag has no topic {name}; it has {', '.join(topics) or 'none'}")
        if topics[name].type not in types:
            raise BagError(f"{name} is a {topics[name].type}; {what} must be {' or '.join(types)}")
        return name
    if not candidates:
        raise BagError(
            f"the bag has no messages of type {' or '.join(types)}; it has "
            + (", ".join(f"{name} ({info.type})" for name, info in topics.items()) or "nothing")
        )
    if len(candidates) > 1:
        raise BagError(
            f"the bag has {len(candidates)} topics for {what}: {', '.join(candidates)}; choose one "
            f"with --{what}"
        )
    return candidates[0]
