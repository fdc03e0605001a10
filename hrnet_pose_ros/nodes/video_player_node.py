# SPDX-License-Identifier: Apache-2.0
"""The node `video_player`: plays a video file as a camera, for trying the pose node without one."""

from __future__ import annotations

import math
import threading
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from hrnet_pose_ros.pipeline.parameter import Change, ParameterError, ParameterSet, parameter
from hrnet_pose_ros.ros.parameter_server import ParameterServer
from hrnet_pose_ros.ros.topics import create_publisher
from hrnet_pose_ros.video import VideoError, VideoReader

STOP_TIMEOUT = 10.0
_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


@dataclass(frozen=True)
class PlayerSettings(ParameterSet):
    """The values of all parameters of the node `video_player`."""

    video: str = parameter("", "Path of the video file; required.", Change.START)
    loop: bool = parameter(True, "Whether to repeat the video.", Change.START)
    frame_id: str = parameter(
        "camera_optical_frame", "The frame_id in the image headers.", Change.START
    )
    field_of_view_deg: float = parameter(
        60.0,
        "The horizontal field of view of the camera that recorded the video, in degrees; "
        "`camera_info` follows from it, without distortion.",
        Change.START,
        minimum=1.0,
        maximum=170.0,
    )

    def __post_init__(self) -> None:
        if not self.video:
            raise ParameterError("parameter video is ''; allowed: the path of a video file")


class VideoPlayerNode(Node):
    """Publishes the frames on `image` at the video's rate, stamped with the time of publication.

    Each has a CameraInfo on `camera_info`, of a camera with the given field of view.
    After the last frame of a video that is played once, the node keeps running without publishing.
    `PlayerSettings` describes the parameters.
    """

    def __init__(self) -> None:
        super().__init__("video_player")
        settings = ParameterServer(self, PlayerSettings).current()
        self._loop, self._frame_id = settings.loop, settings.frame_id
        self._path = Path(settings.video).expanduser()
        reader = VideoReader(self._path)
        self._field_of_view = math.radians(settings.field_of_view_deg)
        self._images = create_publisher(self, Image, "image", _QOS)
        self._camera_info = create_publisher(self, CameraInfo, "camera_info", _QOS)
        self.get_logger().info(
            f"playing {self._path} on {self._images.topic_name}, {reader.rate:g} images per second"
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._play, args=(reader,), name="video", daemon=True
        )
        self._thread.start()

    def _play(self, reader: VideoReader) -> None:
        try:
            while self._play_once(reader) and self._loop:
                reader = VideoReader(self._path)
            if not self._stopping.is_set():
                self.get_logger().info("the video has ended")
        except Exception as error:
            if not self._stopping.is_set():
                self.get_logger().error(f"the video cannot be played any further: {error}")

    def _play_once(self, reader: VideoReader) -> bool:
        """Publish all frames, never faster than the video's rate; return False if stopped."""
        played = False
        origin = time.monotonic()  # when the first frame was due
        for seconds, frame in reader:
            now = time.monotonic()
            origin = max(origin, now - seconds)  # a late frame delays the rest: no bursts
            if self._stopping.wait(origin + seconds - now):
                return False
            message = self._message(frame)
            self._camera_info.publish(
                camera_info(message.header, message.width, message.height, self._field_of_view)
            )
            self._images.publish(message)
            played = True
        if reader.loss:
            self.get_logger().warning(reader.loss)
        if not played:
            raise VideoError(f"{self._path} contains no frames")
        return not self._stopping.wait(1.0 / reader.rate)  # the duration of the last frame

    def _message(self, frame: np.ndarray) -> Image:
        height, width = frame.shape[:2]
        return Image(
            header=Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame_id),
            height=height,
            width=width,
            encoding="rgb8",
            step=3 * width,
            data=array("B", frame.tobytes()),
        )

    def stop(self) -> bool:
        """Stop playing; return False if the thread did not end in time."""
        self._stopping.set()
        self._thread.join(STOP_TIMEOUT)
        return not self._thread.is_alive()


def camera_info(header: Header, width: int, height: int, field_of_view: float) -> CameraInfo:
    """Make the CameraInfo of an ideal camera: square pixels, no distortion, axis in the middle.

    ``field_of_view`` is horizontal, in radians; pixel centres are at integers.
    """
    focal = width / 2 / math.tan(field_of_view / 2)
    cx, cy = (width - 1) / 2, (height - 1) / 2
    return CameraInfo(
        header=header,
        width=width,
        height=height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def make_node() -> VideoPlayerNode:
    """Make the node for `hrnet_pose_ros.ros.process.run`."""
    return VideoPlayerNode()
