# SPDX-License-Identifier: Apache-2.0
"""The topic on which a node receives images, raw or compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from hrnet_pose_ros.pipeline.image_transport import COMPRESSED, RAW, ImageTransport

_MESSAGE_CLASSES = {RAW: Image, COMPRESSED: CompressedImage}


@dataclass(frozen=True)
class ImageInput:
    """The topic of the images, after remapping, and their transport."""

    topic: str
    transport: ImageTransport

    @property
    def message_class(self) -> Any:
        """The class of the messages on the topic."""
        return _MESSAGE_CLASSES[self.transport]


def image_input(node: Node, transport: ImageTransport) -> ImageInput:
    """Return a node's input ``image``; remapping ``image`` also remaps ``image/compressed``."""
    return ImageInput(node.resolve_topic_name("image") + transport.topic_suffix, transport)
