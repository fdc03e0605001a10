# SPDX-License-Identifier: Apache-2.0
"""The two ways in which images come, raw and compressed: decided once, when a topic is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.pipeline.images import (
    check_compressed,
    check_image,
    decode_compressed,
    decode_image,
)


@dataclass(frozen=True)
class ImageTransport:
    """How images come, and how they are checked and decoded.

    Attributes
    ----------
    name
        As in the parameter ``image_transport``.
    message_type
        As in ``ros2 topic info``: ``sensor_msgs/msg/Image``.
    topic_suffix
        What image_transport appends to the name of the raw topic.
    check
        Raises ImageError where a message cannot be read, without looking at its pixels.
    decode
        The uint8 RGB frame ``[H, W, 3]`` of a message that ``check`` has let pass; ImageError where
        its pixels cannot be decoded. Of other messages it may read memory that is not theirs.
    """

    name: str
    message_type: str
    topic_suffix: str
    check: Callable[[Any], None]
    decode: Callable[[Any], np.ndarray]

    def read(self, message: Any) -> np.ndarray:
        """Check and decode a message: uint8 RGB ``[H, W, 3]``; ImageError where it cannot be."""
        self.check(message)
        return self.decode(message)


RAW = ImageTransport("raw", "sensor_msgs/msg/Image", "", check_image, decode_image)
COMPRESSED = ImageTransport(
    "compressed",
    "sensor_msgs/msg/CompressedImage",
    "/compressed",
    check_compressed,
    decode_compressed,
)
TRANSPORTS = {transport.name: transport for transport in (RAW, COMPRESSED)}
TRANSPORT_OF_TYPE = {transport.message_type: transport for transport in (RAW, COMPRESSED)}
