# SPDX-License-Identifier: Apache-2.0
"""The two transports of images, raw and compressed, chosen once for each topic."""

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
    """How images arrive, and how they are checked and decoded.

    Attributes
    ----------
    name
        The value of the parameter ``image_transport``.
    message_type
        The type as ``ros2 topic info`` prints it, such as ``sensor_msgs/msg/Image``.
    topic_suffix
        What image_transport appends to the name of the raw topic.
    check
        Raises ImageError if a message cannot be read; does not read its pixels.
    decode
        Returns the uint8 RGB frame ``[H, W, 3]`` of a message that has passed ``check``; raises
        ImageError if its pixels cannot be decoded. On a message that has not passed, it may read
        memory outside of the message. Takes a `FrameBuffer` as its second argument, if wanted.
    """

    name: str
    message_type: str
    topic_suffix: str
    check: Callable[[Any], None]
    decode: Callable[..., np.ndarray]

    def read(self, message: Any) -> np.ndarray:
        """Check and decode a message: uint8 RGB ``[H, W, 3]``; ImageError if that fails."""
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
