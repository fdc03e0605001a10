# SPDX-License-Identifier: Apache-2.0
"""The node `person_detector`: a small detector on the CPU, for trying out the pose node.

It always processes the newest image, never a queue, and copies the image's header into its answer,
as the pose node expects of every detector.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
)

from hrnet_pose_ros.detector.person_detector import PersonDetector
from hrnet_pose_ros.fusion.image_tracker import ImageTracker
from hrnet_pose_ros.pipeline.image_transport import TRANSPORTS
from hrnet_pose_ros.pipeline.images import ImageError, contiguous
from hrnet_pose_ros.pipeline.parameter import Change, ParameterSet, parameter
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.ros.engine_thread import EngineThread
from hrnet_pose_ros.ros.image_input import image_input
from hrnet_pose_ros.ros.parameter_server import ParameterServer
from hrnet_pose_ros.ros.topics import create_publisher, create_subscription

CLASS_ID = "person"
STOP_TIMEOUT = 10.0


@dataclass(frozen=True)
class DetectorSettings(ParameterSet):
    """The values of all parameters of the node `person_detector`."""

    image_transport: str = parameter(
        "raw",
        "`raw` takes sensor_msgs/Image on `image`; `compressed` takes CompressedImage on "
        "`image/compressed`.",
        Change.START,
        choices=tuple(TRANSPORTS),
    )
    min_score: float = parameter(
        0.5,
        "Minimum score of a published person.",
        Change.START,
        minimum=0.0,
        maximum=1.0,
    )
    threads: int = parameter(
        0, "CPU threads; 0 uses all cores.", Change.START, minimum=0, maximum=256
    )
    tile_columns: int = parameter(
        3,
        "Columns of overlapping tiles that are searched besides the whole image; 1 column and 1 "
        "row means no tiles, which is fastest.",
        Change.START,
        minimum=1,
        maximum=64,
    )
    tile_rows: int = parameter(2, "Rows of tiles.", Change.START, minimum=1, maximum=64)


class PersonDetectorNode(Node):
    """Publishes the persons in the newest image; `DetectorSettings` describes the parameters."""

    def __init__(self) -> None:
        super().__init__("person_detector")
        settings = ParameterServer(self, DetectorSettings).current()
        self._detector = PersonDetector(
            min_score=settings.min_score,
            threads=settings.threads,
            tiles=(settings.tile_columns, settings.tile_rows),
        )
        self._tracker = ImageTracker()
        self._stopping = threading.Event()
        self._images = image_input(self, TRANSPORTS[settings.image_transport])
        self._detections = create_publisher(
            self,
            Detection2DArray,
            "detections",
            QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE),
        )
        self._thread: EngineThread[Any] = EngineThread(self._process)
        create_subscription(
            self,
            self._images.message_class,
            self._images.topic,
            self._thread.put,
            qos_profile_sensor_data,
        )
        self.get_logger().info(f"detecting persons on {self._images.topic}")

    def _process(self, message: Any) -> None:
        try:
            frame = contiguous(self._images.transport.read(message))
            boxes, scores = self._detector.detect(frame)
            ids = [str(number) for number in self._tracker.step(stamp_of(message), boxes)]
            self._detections.publish(
                detection_array(message.header, boxes.tolist(), scores.tolist(), ids)
            )
        except ImageError as error:
            self.get_logger().warning(f"image dropped: {error}", throttle_duration_sec=5.0)
        except Exception as error:
            if not self._stopping.is_set():
                text = f"{type(error).__name__}: {error}"
                self.get_logger().error(text, throttle_duration_sec=5.0)

    def stop(self) -> bool:
        """Stop all work; return False if the thread did not end in time."""
        self._stopping.set()
        return self._thread.stop(STOP_TIMEOUT)


def detection_array(
    header: Any, boxes: list[list[float]], scores: list[float], ids: list[str]
) -> Detection2DArray:
    """Make the message for N persons: boxes x, y, width, height in pixels, scores and ids."""
    return Detection2DArray(
        header=header,
        detections=[
            Detection2D(
                header=header,
                results=[
                    ObjectHypothesisWithPose(
                        hypothesis=ObjectHypothesis(class_id=CLASS_ID, score=score)
                    )
                ],
                bbox=BoundingBox2D(
                    center=Pose2D(position=Point2D(x=x + width / 2, y=y + height / 2), theta=0.0),
                    size_x=width,
                    size_y=height,
                ),
                id=name,
            )
            for (x, y, width, height), score, name in zip(boxes, scores, ids, strict=True)
        ],
    )


def make_node() -> PersonDetectorNode:
    """Make the node for `hrnet_pose_ros.ros.process.run`."""
    return PersonDetectorNode()
