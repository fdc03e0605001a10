# SPDX-License-Identifier: Apache-2.0
"""The input of the demo: the bundled bag or a video file."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.pipeline.images import rgb_frame_of_compressed
from hrnet_pose_ros.pipeline.stamps import nanoseconds, stamp_of, time_fields
from hrnet_pose_ros.video import VideoReader

BAG_TYPES = {
    "sensor_msgs/msg/CompressedImage": CompressedImage,
    "sensor_msgs/msg/CameraInfo": CameraInfo,
    "vision_msgs/msg/Detection2DArray": Detection2DArray,
}
FRAME_ID = "camera_optical_frame"


@dataclass(frozen=True)
class TimedMessage:
    """One message to publish ``at`` nanoseconds after the clip's start; stamps are in clip time."""

    at: int
    topic: str
    message: Any


class Playable(Protocol):
    """Messages that can be played. Stamps begin near ``start`` (ns).

    ``image_topic`` is the beginning of the topic of which the messages count as images;
    ``listeners`` how many nodes subscribe to each topic.
    """

    start: int
    images: int
    topics: dict[str, type]
    image_topic: str
    listeners: int

    def events(self) -> Iterator[TimedMessage]:
        """All messages in chronological order."""


class Clip(Playable, Protocol):
    """The images of a camera, and what may belong to them."""

    rate: float
    image_transport: str
    has_detections: bool

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """``(stamp in ns, RGB frame)`` of every image, for drawing."""


class BagClip:
    """A rosbag2 with compressed images and detections."""

    image_transport = "compressed"
    image_topic = "/camera/image"
    has_detections = True
    listeners = 1
    loss = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        with Reader(path) as bag:
            self.start = bag.start_time
            self.topics = {c.topic: BAG_TYPES[c.msgtype] for c in bag.connections}
            self.images = next(
                c.msgcount for c in bag.connections if c.topic == f"{self.image_topic}/compressed"
            )
            self.rate = round((self.images - 1) / (bag.duration * 1e-9), 1)

    def events(self) -> Iterator[TimedMessage]:
        """See `Clip.events`."""
        with Reader(self._path) as bag:
            for connection, at, data in bag.messages():
                message = deserialize_message(data, self.topics[connection.topic])
                yield TimedMessage(at - self.start, connection.topic, message)

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """See `Clip.frames`."""
        for event in self.events():
            if isinstance(event.message, CompressedImage):
                stamp = stamp_of(event.message)
                yield stamp, rgb_frame_of_compressed(event.message)


class VideoClip:
    """A video file played as a camera; a detector node must detect the persons."""

    image_transport = "raw"
    image_topic = "/camera/image"
    has_detections = False
    listeners = 2  # the detector subscribes to the images, too
    loss = ""  # of a damaged video, known when all frames were read
    start = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        reader = VideoReader(path)
        self.images, self.rate = reader.frames, reader.rate
        self.topics = {self.image_topic: Image}

    def events(self) -> Iterator[TimedMessage]:
        """See `Clip.events`."""
        for stamp, frame in self.frames():
            height, width = frame.shape[:2]
            message = Image(
                header=Header(stamp=time_message(stamp), frame_id=FRAME_ID),
                height=height,
                width=width,
                encoding="rgb8",
                step=3 * width,
                data=array("B", frame.tobytes()),
            )
            yield TimedMessage(stamp, self.image_topic, message)

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """See `Clip.frames`."""
        reader = VideoReader(self._path)
        for seconds, frame in reader:
            yield round(seconds * 1e9), frame
        self.loss = reader.loss


def time_message(stamp: int) -> Time:
    """Integer nanoseconds as a Time message."""
    return Time(**time_fields(stamp))


def shift_stamps(message: Any, offset: int) -> None:
    """Add nanoseconds to the stamp of a message, or to those of all transforms in it."""
    stamped = message.transforms if hasattr(message, "transforms") else [message]
    for one in stamped:
        one.header.stamp = time_message(nanoseconds(one.header.stamp) + offset)
