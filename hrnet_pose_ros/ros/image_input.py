# SPDX-License-Identifier: Apache-2.0
"""The topic on which a node's images come, raw or compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from hrnet_pose_ros.pipeline.image_transport import COMPRESSED, RAW, ImageTransport

_CLASSES = {RAW: Image, COMPRESSED: CompressedImage}


@dataclass(frozen=True)
class ImageInput:
    """Where images come, after remapping, and how."""

    topic: str
    transport: ImageTransport

    @property
    def message_class(self) -> Any:
        """What to subscribe to."""
        return _CLASSES[self.transport]


def image_input(node: Node, transport: ImageTransport) -> ImageInput:
    """A node's input ``image``; remapping ``image`` moves ``image/compressed`` with it."""
    return ImageInput(node.resolve_topic_name("image") + transport.topic_suffix, transport)
