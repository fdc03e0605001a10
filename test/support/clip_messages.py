# SPDX-License-Identifier: Apache-2.0
"""The bundled clip's messages as those of rclpy, to be sent to a node."""

from __future__ import annotations

from typing import Any

from bag_maker import CLIP, DETECTIONS, IMAGES
from rclpy.serialization import deserialize_message
from ros_robot import nanoseconds
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.replay.bags import BagReader

KINDS = {IMAGES: CompressedImage, DETECTIONS: Detection2DArray}


def clip_pairs(count: int) -> list[tuple[CompressedImage, Detection2DArray]]:
    """The clip's first images and the detections with the same stamp."""
    found: dict[int, dict[str, Any]] = {}
    with BagReader(CLIP) as bag:
        for message in bag.messages(list(KINDS)):
            live = deserialize_message(message.data, KINDS[message.topic])
            found.setdefault(nanoseconds(live), {})[message.topic] = live
            if len(found) > count:
                break
    pairs = [(pair[IMAGES], pair[DETECTIONS]) for pair in found.values() if len(pair) == 2]
    assert len(pairs) >= count
    return pairs[:count]
