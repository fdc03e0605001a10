# SPDX-License-Identifier: Apache-2.0
"""Bags for fleets: cuts of the bundled clip, also with smaller or darker images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.pipeline.stamps import stamp_of, time_fields
from hrnet_pose_ros.replay.bags import BagReader, BagWriter
from hrnet_pose_ros.replay.definitions import typestore

CLIP = Path(__file__).resolve().parents[2] / "demo" / "street_bag"
IMAGES, DETECTIONS = "/camera/image/compressed", "/detections"


@dataclass
class ClipCutter:
    """Writes bags of a few consecutive images of the clip with their detections.

    Attributes
    ----------
    scale
        Of the images and boxes.
    brightness
        What the pixels are multiplied by; 1, with a scale of 1, keeps the recorded bytes.
    """

    scale: float = 1.0
    brightness: float = 1.0
    _messages: list[tuple[str, str, int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        changed = (self.scale, self.brightness) != (1, 1)
        with BagReader(CLIP) as bag:
            for item in bag.messages([IMAGES, DETECTIONS]):
                data = self._changed(item.topic, item.message) if changed else item.data
                self._messages.append((item.topic, item.type, item.time, data))

    def write(self, folder: Path, first: int, images: int, later_ns: int = 0) -> Path:
        """Write images ``first`` and the following into a new bag; returns its folder.

        ``later_ns`` is added to stamps and log times, so that bags of the same images differ.
        """
        with BagWriter(folder) as writer:
            for topic, kind, time, data in self._cut(first, images):
                if later_ns:
                    data = _later(data, kind, later_ns)
                writer.write(topic, kind, time + later_ns, data)
        return folder

    def _cut(self, first: int, images: int) -> Iterator[tuple[str, str, int, bytes]]:
        number = -1
        for row in self._messages:
            number += row[0] == IMAGES
            if first <= number < first + images:
                yield row

    def _changed(self, topic: str, message: Any) -> bytes:
        if topic == IMAGES:
            image = cv2.imdecode(np.asarray(message.data), cv2.IMREAD_COLOR)
            assert image is not None
            small = cv2.resize(image, None, fx=self.scale, fy=self.scale)
            small = cv2.convertScaleAbs(small, alpha=self.brightness)
            message.data = cv2.imencode(".jpg", small)[1].ravel()
            return bytes(typestore().serialize_cdr(message, "sensor_msgs/msg/CompressedImage"))
        for one in message.detections:
            one.bbox.center.position.x *= self.scale
            one.bbox.center.position.y *= self.scale
            one.bbox.size_x *= self.scale
            one.bbox.size_y *= self.scale
        return bytes(typestore().serialize_cdr(message, "vision_msgs/msg/Detection2DArray"))


def _later(data: bytes, kind: str, later_ns: int) -> bytes:
    """A message whose stamp is so much later."""
    store = typestore()
    message: Any = store.deserialize_cdr(data, kind)
    time = store.types["builtin_interfaces/msg/Time"]
    message.header.stamp = time(**time_fields(stamp_of(message) + later_ns))
    return bytes(store.serialize_cdr(message, kind))


def damage(bag: Path, number: int) -> None:
    """Damage a bag beyond use, in one of four ways, by its number."""
    file = next(bag.glob("*.mcap"))
    kind = number % 4
    if kind == 0:
        file.write_bytes(b"")
    elif kind == 1:
        file.unlink()
    elif kind == 2:
        file.write_bytes(np.random.default_rng(number).bytes(file.stat().st_size))
    else:
        file.write_bytes(b"this is not a bag")
