#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Relay people to Autoware as autoware_perception_msgs/DetectedObjects.

    python3 autoware_people_relay.py --ros-args \\
        -r people:=/people -r objects:=/perception/object_recognition/detection/people/objects

Autoware's tracker takes them like any detector's. While the status of people is ERROR, nothing is
relayed: an empty message would say that nobody is there.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np

from hrnet_pose_ros.pipeline.people.people_detections import UNKNOWN_ANGLE
from hrnet_pose_ros.pipeline.people.person_extent import height_of, radius_of

ERROR = 2  # PersonArray.ERROR
MOTION_UNKNOWN, SOURCE_ODOMETRY = 0, 128  # of Person
PEDESTRIAN = 7  # ObjectClassification
UNAVAILABLE, AVAILABLE = 0, 2  # DetectedObjectKinematics.orientation_availability
CYLINDER = 1  # Shape


def convert(people: Any) -> Any | None:
    """Convert a hrnet_pose_ros/msg/PersonArray; None if its status is ERROR.

    Definition (autoware_perception_msgs 1.12.0): the pose is that of the middle of the shape, and
    the twist is in the axes of the object.
    """
    from autoware_perception_msgs.msg import DetectedObjects

    if people.status == ERROR:
        return None
    return DetectedObjects(header=people.header, objects=[_object(one) for one in people.people])


def _object(person: Any) -> Any:
    from autoware_perception_msgs.msg import (
        DetectedObject,
        DetectedObjectKinematics,
        ObjectClassification,
        Shape,
    )
    from geometry_msgs.msg import Vector3

    height, radius = height_of(person), radius_of(person)
    kinematics = DetectedObjectKinematics()
    known = math.isfinite(person.heading) and math.isfinite(person.heading_variance)
    heading = person.heading if known else 0.0
    kinematics.orientation_availability = AVAILABLE if known else UNAVAILABLE
    full = np.array(person.covariance, np.float64).reshape(6, 6)

    place = kinematics.pose_with_covariance
    place.pose.position.x, place.pose.position.y = person.position.x, person.position.y
    place.pose.position.z = person.position.z + height / 2
    place.pose.orientation.z = math.sin(heading / 2)
    place.pose.orientation.w = math.cos(heading / 2)
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = full[:3, :3]
    covariance[5, 5] = person.heading_variance if known else UNKNOWN_ANGLE
    kinematics.has_position_covariance = bool(np.isfinite(covariance).all())
    place.covariance = covariance.ravel()

    # Else the velocity may be relative to the vehicle. A motion is told on a fixed base, too; with
    # odometry it is not known while it may be standing or walking, and the velocity is.
    if person.sources & SOURCE_ODOMETRY or person.motion != MOTION_UNKNOWN:
        # Into the axes of the object.
        cosine, sine = math.cos(heading), math.sin(heading)
        turn = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        velocity = person.velocity
        moving = kinematics.twist_with_covariance
        linear = turn @ (velocity.x, velocity.y, velocity.z)
        moving.twist.linear = Vector3(**dict(zip("xyz", linear.tolist(), strict=True)))
        covariance = np.zeros((6, 6))
        covariance[:3, :3] = turn @ full[3:, 3:] @ turn.T
        moving.covariance = covariance.ravel()
        kinematics.has_twist = True
        kinematics.has_twist_covariance = bool(np.isfinite(covariance).all())
    return DetectedObject(
        existence_probability=person.existence,
        classification=[ObjectClassification(label=PEDESTRIAN, probability=1.0)],
        kinematics=kinematics,
        shape=Shape(type=CYLINDER, dimensions=Vector3(x=2 * radius, y=2 * radius, z=height)),
    )


def main() -> None:
    """Relay until Ctrl-C."""
    import rclpy
    from autoware_perception_msgs.msg import DetectedObjects
    from rclpy.executors import ExternalShutdownException

    from hrnet_pose_ros.msg import PersonArray

    rclpy.init()
    node = rclpy.create_node("autoware_people_relay")
    relayed = node.create_publisher(DetectedObjects, "objects", 10)

    def relay(message: Any) -> None:
        objects = convert(message)
        if objects is not None:
            relayed.publish(objects)

    node.create_subscription(PersonArray, "people", relay, 10)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
