# SPDX-License-Identifier: Apache-2.0
"""People as vision_msgs/Detection3DArray: a box, an id, a score and a covariance each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.person import PeopleStatus, Person
from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.people.people_poses import heading_quaternion
from hrnet_pose_ros.pipeline.people.person_extent import height_of, radius_of
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput, header_of

CLASS_ID = "person"
# Variance of an angle of which nothing is known: uniform over the circle, rad².
UNKNOWN_ANGLE = math.pi**2 / 3


def people_detections(types: MessageClasses, output: PeopleOutput) -> Any | None:
    """Return the Detection3DArray of an output, in the order of its people.

    None if its status is ERROR: an empty one would say that nobody is there.
    """
    if output.status is PeopleStatus.ERROR:
        return None
    header = header_of(types, output)
    return types["vision_msgs/msg/Detection3DArray"](
        header=header,
        detections=[_detection(types, header, person) for person in output.people],
    )


def _detection(types: MessageClasses, header: Any, person: Person) -> Any:
    vision, geometry = "vision_msgs/msg/", "geometry_msgs/msg/"
    height, width = height_of(person), 2 * radius_of(person)
    x, y, z = np.asarray(person.position, np.float64).tolist()
    pose = types[geometry + "Pose"](
        position=types[geometry + "Point"](x=x, y=y, z=z + height / 2),
        orientation=heading_quaternion(types, person.heading),
    )
    hypothesis = types[vision + "ObjectHypothesis"](
        class_id=CLASS_ID, score=float(np.clip(person.existence, 0.0, 1.0))
    )
    return types[vision + "Detection3D"](
        header=header,
        results=[
            types[vision + "ObjectHypothesisWithPose"](
                hypothesis=hypothesis,
                pose=types[geometry + "PoseWithCovariance"](
                    pose=pose, covariance=_pose_covariance(person)
                ),
            )
        ],
        bbox=types[vision + "BoundingBox3D"](
            center=pose, size=types[geometry + "Vector3"](x=width, y=width, z=height)
        ),
        id=person.id,
    )


def _pose_covariance(person: Person) -> np.ndarray:
    """Return the covariance of x y z and of the angles about them, float64 ``[36]``."""
    result = np.zeros((6, 6))
    result[:3, :3] = np.asarray(person.covariance, np.float64)[:3, :3]
    known = math.isfinite(person.heading) and math.isfinite(person.heading_variance)
    result[5, 5] = person.heading_variance if known else UNKNOWN_ANGLE
    return result.ravel()
