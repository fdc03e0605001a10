# SPDX-License-Identifier: Apache-2.0
"""The node `person_detector`: a small detector on the processor, for a first try without another.

It takes the newest image, never a queue, and answers with the image's own header, as the pose node
expects of every detector.
"""

from __future__ import annotations

import threading
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
)

from hrnet_pose_ros.detector.box_ids import BoxIds
from hrnet_pose_ros.detector.person_detector import PersonDetector
from hrnet_pose_ros.pipeline.images import ImageError, rgb_frame, rgb_frame_of_compressed
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.ros.engine_thread import EngineThread

CLASS_ID = "person"
STOP_TIMEOUT = 10.0


class PersonDetectorNode(Node):
    """Parameters, all at start: ``image_transport`` (raw, compressed), ``min_score``, ``threads``,
    ``tile_columns`` and ``tile_rows`` (1 and 1: only the whole image, fastest)."""

    def __init__(self) -> None:
        super().__init__("person_detector")

        def parameter(name: str, default: Any) -> Any:
            return self.declare_parameter(name, default).value

        transport = parameter("image_transport", "raw")
        if transport not in ("raw", "compressed"):
            raise ValueError(
                f"parameter image_transport is {transport!r}; allowed: raw, compressed"
            )
        self._detector = PersonDetector(
            min_score=parameter("min_score", 0.5),
            threads=parameter("threads", 0),
            tiles=(parameter("tile_columns", 3), parameter("tile_rows", 2)),
        )
        self._ids = BoxIds()
        self._stopping = threading.Event()
        self._compressed = transport == "compressed"
        overridable = QoSOverridingOptions.with_default_policies()
        self._detections = self.create_publisher(
            Detection2DArray,
            "detections",
            QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE),
            qos_overriding_options=overridable,
        )
        self._thread: EngineThread[Any] = EngineThread(self._process)
        topic = self.resolve_topic_name("image") + ("/compressed" if self._compressed else "")
        self.create_subscription(
            CompressedImage if self._compressed else Image,
            topic,
            self._thread.put,
            qos_profile_sensor_data,
            qos_overriding_options=overridable,
        )
        self.get_logger().info(f"detecting persons on {topic}")

    def _process(self, message: Any) -> None:
        try:
            frame = rgb_frame_of_compressed(message) if self._compressed else rgb_frame(message)
            boxes, scores = self._detector.detect(frame)
            ids = self._ids.assign(boxes, stamp_of(message))
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
        """End all work; returns False when the thread did not end in time."""
        self._stopping.set()
        return self._thread.stop(STOP_TIMEOUT)


def detection_array(
    header: Any, boxes: list[list[float]], scores: list[float], ids: list[str]
) -> Detection2DArray:
    """Make the message of N persons: boxes x, y, width, height in pixels, scores, ids."""
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
    """What `hrnet_pose_ros.ros.process.run` spins."""
    return PersonDetectorNode()
