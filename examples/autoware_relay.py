#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Relay Autoware's 2D detections (DetectedObjectsWithFeature) to the pose node.

    python3 autoware_relay.py --ros-args \\
        -r rois:=/perception/object_recognition/detection/rois0 -r detections:=/detections

Autoware's 2D detections have no ids, so the ids of the skeletons are empty.
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

# Values of autoware_perception_msgs/ObjectClassification.label, from 0.
LABELS = (
    *("unknown", "car", "truck", "bus", "trailer", "motorcycle", "bicycle", "pedestrian"),
    *("animal", "hazard", "over_drivable", "under_drivable"),
)


def convert(message: Any) -> Detection2DArray:
    """Convert a tier4_perception_msgs/msg/DetectedObjectsWithFeature; the node filters by class.

    Definition (github.com/tier4/tier4_autoware_msgs, tier4_perception_msgs/msg/object_recognition):
    ``DetectedObjectsWithFeature {header, feature_objects[] {object, feature}}``, ``Feature
    {cluster, sensor_msgs/RegionOfInterest roi {x_offset, y_offset, height, width, do_rectify}}``;
    (autoware_perception_msgs 1.12.0): ``DetectedObject {float32 existence_probability,
    classification[] {uint8 label, float32 probability}, kinematics, shape}``. The header is that
    of the image, and regions are in image pixels.
    """
    detections = []
    for one in message.feature_objects:
        roi, results = one.feature.roi, []
        for kind in one.object.classification:
            name = LABELS[kind.label] if kind.label < len(LABELS) else f"label_{kind.label}"
            score = float(one.object.existence_probability) * float(kind.probability)
            hypothesis = ObjectHypothesis(class_id=name, score=score)
            results.append(ObjectHypothesisWithPose(hypothesis=hypothesis))
        centre = Point2D(x=roi.x_offset + roi.width / 2, y=roi.y_offset + roi.height / 2)
        box = BoundingBox2D(center=Pose2D(position=centre, theta=0.0))
        box.size_x, box.size_y = float(roi.width), float(roi.height)
        detections.append(Detection2D(header=message.header, results=results, bbox=box))
    return Detection2DArray(header=message.header, detections=detections)


def main() -> None:
    """Relay until Ctrl-C."""
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from tier4_perception_msgs.msg import DetectedObjectsWithFeature

    rclpy.init()
    node = rclpy.create_node("autoware_relay")
    relayed = node.create_publisher(Detection2DArray, "detections", 10)
    node.create_subscription(
        DetectedObjectsWithFeature, "rois", lambda message: relayed.publish(convert(message)), 10
    )
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
