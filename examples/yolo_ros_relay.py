#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Relay the detections of yolo_ros to the pose node as Detection2DArray.

    python3 yolo_ros_relay.py --ros-args -r yolo:=/yolo/tracking -r detections:=/detections

/yolo/tracking has ids; /yolo/detections is published slightly earlier, without ids.
"""

from __future__ import annotations

import contextlib
from typing import Any

from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
)


def convert(message: Any) -> Detection2DArray:
    """Convert a yolo_msgs/msg/DetectionArray; all classes are passed on, and the node filters them.

    Definition (yolo_msgs 4.6.1, github.com/mgonzs13/yolo_ros, folder yolo_msgs/msg):
    ``DetectionArray {header, detections[]}``, ``Detection {int32 class_id, string class_name,
    float64 score, string id, bbox, ...}``, ``BoundingBox2D {Pose2D center {Point2D position {x, y},
    theta}, Vector2 size {x, y}}`` in pixels of the camera image; the header is that of the image.
    """
    detections = []
    for one in message.detections:
        hypothesis = ObjectHypothesis(class_id=one.class_name or str(one.class_id), score=one.score)
        centre, size = one.bbox.center, one.bbox.size
        position = Point2D(x=centre.position.x, y=centre.position.y)
        box = BoundingBox2D(center=Pose2D(position=position, theta=centre.theta))
        box.size_x, box.size_y = size.x, size.y
        results = [ObjectHypothesisWithPose(hypothesis=hypothesis)]
        detections.append(Detection2D(header=message.header, results=results, bbox=box, id=one.id))
    return Detection2DArray(header=message.header, detections=detections)


def main() -> None:
    """Relay until Ctrl-C."""
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from yolo_msgs.msg import DetectionArray

    rclpy.init()
    node = rclpy.create_node("yolo_ros_relay")
    relayed = node.create_publisher(Detection2DArray, "detections", 10)
    node.create_subscription(
        DetectionArray, "yolo", lambda message: relayed.publish(convert(message)), 10
    )
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
