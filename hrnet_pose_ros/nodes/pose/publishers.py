# SPDX-License-Identifier: Apache-2.0
"""The topics that the pose node publishes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from hrnet_pose_ros.msg import SkeletonArray, SkeletonInfo
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.ros.optional_messages import find_message
from hrnet_pose_ros.ros.topics import create_publisher

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


@dataclass(frozen=True)
class PosePublishers:
    """One rclpy publisher for each topic; `annotations` is None if foxglove_msgs is not there."""

    skeletons: Any
    skeletons_smoothed: Any
    skeleton_info: Any
    overlay: Any
    markers: Any
    annotations: Any | None
    diagnostics: Any

    @property
    def for_consumers(self) -> list[Any]:
        """The publishers whose QoS consumers have to match; the others are for visualization."""
        return [self.skeletons, self.skeletons_smoothed, self.skeleton_info]


def create_publishers(node: Node) -> PosePublishers:
    """Create the publishers on a node; parameters can override their QoS."""
    name = "foxglove_msgs/msg/ImageAnnotations"
    image_annotations = find_message(node, RclpyClasses(), name, "annotations")

    def publisher(kind: Any, topic: str, qos: QoSProfile) -> Any:
        return create_publisher(node, kind, topic, qos)

    annotations = None
    if image_annotations is not None:
        annotations = publisher(image_annotations, "annotations", QoSProfile(depth=1))
    return PosePublishers(
        skeletons=publisher(SkeletonArray, "skeletons", _RELIABLE),
        skeletons_smoothed=publisher(SkeletonArray, "skeletons_smoothed", _RELIABLE),
        skeleton_info=publisher(SkeletonInfo, "skeleton_info", _LATCHED),
        overlay=publisher(Image, "overlay", QoSProfile(depth=1)),
        annotations=annotations,
        markers=publisher(MarkerArray, "markers", QoSProfile(depth=1)),
        diagnostics=publisher(DiagnosticArray, "/diagnostics", _RELIABLE),
    )
