# SPDX-License-Identifier: Apache-2.0
"""A simulated camera and detector that publish the same image and persons repeatedly."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from bench.rows import IMAGE_SIZE, scene
from demo.clips import FRAME_ID, TimedMessage, time_message
from hrnet_pose_ros.nodes.person_detector_node import detection_array


class CameraClip:
    """A `demo.clips.Clip` of one raw image; detections follow their image immediately."""

    image_transport = "raw"
    image_topic = "/camera/image"
    has_detections = True
    listeners = 1
    start = 0

    def __init__(
        self,
        persons: int,
        rate: float,
        images: int,
        keep_going: Callable[[int], bool] | None = None,
    ) -> None:
        """``keep_going(n)`` is called before image n is sent and returns False to end the clip."""
        self.rate, self.images = rate, images
        self.topics: dict[str, type] = {self.image_topic: Image, "/detections": Detection2DArray}
        self._keep_going = keep_going
        self._frame, self._boxes = scene(persons, IMAGE_SIZE)

    def events(self) -> Iterator[TimedMessage]:
        """See `Clip.events`."""
        # The messages are reused, because creating them would take CPU time from the node.
        width, height = IMAGE_SIZE
        header = Header(frame_id=FRAME_ID)
        image = Image(
            header=header,
            height=height,
            width=width,
            encoding="rgb8",
            step=3 * width,
            data=array("B", self._frame.tobytes()),
        )
        count = len(self._boxes)
        ids = [str(number) for number in range(count)]
        persons = detection_array(
            Header(frame_id=FRAME_ID), self._boxes.tolist(), [0.9] * count, ids
        )
        for number in range(self.images):
            if self._keep_going is not None and not self._keep_going(number):
                return
            at = round(number / self.rate * 1e9)
            for topic, message in ((self.image_topic, image), ("/detections", persons)):
                message.header.stamp = time_message(at)
                yield TimedMessage(at, topic, message)

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        """See `Clip.frames`."""
        for number in range(self.images):
            yield round(number / self.rate * 1e9), self._frame
