# SPDX-License-Identifier: Apache-2.0
"""People as a PoseArray of body parts, to which nodes of ISO/TS 15066 measure distances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.person import PeopleStatus, Person, Posture
from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.people.person_extent import height_of, radius_of
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput, header_of

# Points of the body's axis, as fractions of its height: whatever is as high as the body is at most
# an eighth of that above or below one of them.
AXIS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Nobody knows in which direction somebody lies: points on circles about the hips, with these
# fractions of the radius, say how near the head and the feet may be; so many on each.
CIRCLES, AROUND = (0.5, 1.0), 8


def people_poses(types: MessageClasses, output: PeopleOutput) -> Any | None:
    """Return the PoseArray of an output: for each person the points of the body.

    None if its status is ERROR: an empty one would say that nobody is there. All poses of a person
    have its heading; if that is not known, the axes of the frame.
    """
    if output.status is PeopleStatus.ERROR:
        return None
    point, pose = types["geometry_msgs/msg/Point"], types["geometry_msgs/msg/Pose"]
    poses = []
    for person in output.people:
        turn = heading_quaternion(types, person.heading)
        for x, y, z in body_points(person).tolist():
            poses.append(pose(position=point(x=x, y=y, z=z), orientation=turn))
    return types["geometry_msgs/msg/PoseArray"](header=header_of(types, output), poses=poses)


def body_points(person: Person) -> np.ndarray:
    """Return points of a body, float64 ``[N, 3]``, m.

    Those of `AXIS`; of somebody who lies, those of `CIRCLES`; then joints with a depth.
    """
    axis = np.repeat(np.asarray(person.position, np.float64)[None], len(AXIS), axis=0)
    axis[:, 2] += height_of(person) * np.array(AXIS)
    parts = [axis]
    if person.posture == Posture.LYING:
        angles = 2 * np.pi / AROUND * np.arange(AROUND)
        circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(AROUND)], axis=1)
        parts += [axis[1] + part * radius_of(person) * circle for part in CIRCLES]
    if person.keypoints is not None:
        joints = np.asarray(person.keypoints.positions, np.float64)
        parts.append(joints[np.isfinite(joints).all(axis=1)])
    return np.concatenate(parts)


def heading_quaternion(types: MessageClasses, heading: float) -> Any:
    """Return the Quaternion of a heading about z, rad; the identity if it is NaN."""
    half = heading / 2 if math.isfinite(heading) else 0.0
    return types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=math.sin(half), w=math.cos(half))
