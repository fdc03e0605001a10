# SPDX-License-Identifier: Apache-2.0
"""From a pair of messages to its skeletons, step by step: for the node and for the replay.

Between the steps each of them does its own: ages and times here, bags there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.pipeline.detections import Persons, persons_of, whole_image
from hrnet_pose_ros.pipeline.drop_reasons import Drops, Subject
from hrnet_pose_ros.pipeline.images import rgb_frame, rgb_frame_of_compressed
from hrnet_pose_ros.pipeline.message_types import MessageTypes
from hrnet_pose_ros.pipeline.pairing import Pair
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.skeleton_messages import Times, skeleton_array
from hrnet_pose_ros.pose.poses import Poses


def decode(pair: Pair, *, compressed: bool) -> np.ndarray:
    """The image, uint8 RGB ``[H, W, 3]``; ImageError where it cannot be read."""
    message = pair.image.message
    return rgb_frame_of_compressed(message) if compressed else rgb_frame(message)


def choose_persons(pair: Pair, frame: np.ndarray, settings: Settings, drops: Drops) -> Persons:
    """The persons to look at, those who are left out counted; without detections, the image."""
    image_size = size_of(frame)
    if pair.detections is None:
        return whole_image(image_size)
    persons = persons_of(pair.detections.message, image_size, settings)
    for reason, count in persons.drops.items():
        drops.add(Subject.PERSON, reason, count)
    return persons


def answer(
    types: MessageTypes,
    pair: Pair,
    frame: np.ndarray,
    persons: Persons,
    poses: Poses,
    times: Times,
) -> Any:
    """The SkeletonArray of the pair."""
    return skeleton_array(
        types,
        image=pair.image.message,
        detections=None if pair.detections is None else pair.detections.message,
        image_size=size_of(frame),
        persons=persons,
        poses=poses,
        times=times,
    )


def size_of(frame: np.ndarray) -> tuple[int, int]:
    """(width, height) in pixels."""
    return frame.shape[1], frame.shape[0]
