# SPDX-License-Identifier: Apache-2.0
"""The fusion's people to PersonArray messages."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.person import PeopleStatus, Person, StatusReason
from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.stamps import time_fields

PERSON, PERSON_ARRAY = "hrnet_pose_ros/msg/Person", "hrnet_pose_ros/msg/PersonArray"
KEYPOINT_3D = "hrnet_pose_ros/msg/Keypoint3D"
# Where a symmetric [3, 3] matrix has the elements xx, xy, xz, yy, yz, zz.
_ROWS, _COLUMNS = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class PeopleOutput:
    """What is published at one time.

    Attributes
    ----------
    stamp
        Of the image, ns; of the clock if the status is ERROR.
    frame
        The base frame.
    status, reasons
        Of the whole.
    people
        Empty if the status is ERROR.
    limbs
        Pairs of joints of the skeleton, for drawings.
    """

    stamp: int
    frame: str
    status: PeopleStatus
    reasons: tuple[StatusReason, ...] = ()
    people: tuple[Person, ...] = ()
    limbs: tuple[tuple[int, int], ...] = ()


def header_of(types: MessageClasses, output: PeopleOutput) -> Any:
    """Return the std_msgs/Header of an output."""
    stamp = types["builtin_interfaces/msg/Time"](**time_fields(output.stamp))
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id=output.frame)


def person_array(types: MessageClasses, output: PeopleOutput) -> Any:
    """Return the PersonArray of an output."""
    return types[PERSON_ARRAY](
        header=header_of(types, output),
        status=int(output.status),
        reasons=[reason.value for reason in output.reasons],
        people=[_person(types, person) for person in output.people],
    )


def _person(types: MessageClasses, person: Person) -> Any:
    x, y, z = person.position.tolist()
    vx, vy, vz = person.velocity.tolist()
    height, height_variance = _pair(person.height, person.height_variance)
    radius, radius_variance = _pair(person.radius, person.radius_variance)
    heading, heading_variance = _pair(person.heading, person.heading_variance)
    return types[PERSON](
        id=person.id,
        detection_id=person.detection_id,
        skeleton_index=person.skeleton_index,
        position=types["geometry_msgs/msg/Point"](x=x, y=y, z=z),
        velocity=types["geometry_msgs/msg/Vector3"](x=vx, y=vy, z=vz),
        covariance=np.ascontiguousarray(person.covariance, np.float64).ravel(),
        height=height,
        height_variance=height_variance,
        radius=radius,
        radius_variance=radius_variance,
        heading=heading,
        heading_variance=heading_variance,
        existence=_probability(person.existence),
        posture=int(person.posture),
        posture_probability=_probability(person.posture_probability),
        motion=int(person.motion),
        motion_probability=_probability(person.motion_probability),
        facing=int(person.facing),
        facing_probability=_probability(person.facing_probability),
        gesture=int(person.gesture),
        gesture_probability=_probability(person.gesture_probability),
        child_probability=_probability(person.child_probability),
        sources=int(person.sources),
        measurement_age=float(person.measurement_age),
        keypoints=_keypoints(types, person),
    )


def _keypoints(types: MessageClasses, person: Person) -> list[Any]:
    if person.keypoints is None:
        return []
    places = np.asarray(person.keypoints.positions, np.float64)
    covariances = np.asarray(person.keypoints.covariances)[:, _ROWS, _COLUMNS]
    table = np.concatenate([places, covariances], axis=1)
    table[~np.isfinite(table).all(axis=1)] = np.nan
    table = np.clip(table, -_LARGEST, _LARGEST)
    kind = types[KEYPOINT_3D]
    return [
        kind(x=x, y=y, z=z, var_x=xx, cov_xy=xy, cov_xz=xz, var_y=yy, cov_yz=yz, var_z=zz)
        for x, y, z, xx, xy, xz, yy, yz, zz in table.tolist()
    ]


def _pair(value: float, variance: float) -> tuple[float, float]:
    """Return a number and its variance; both NaN if either is not known."""
    known = math.isfinite(value) and math.isfinite(variance)
    return (float(value), float(variance)) if known else (math.nan, math.nan)


def _probability(value: float) -> float:
    return value if math.isnan(value) else min(max(float(value), 0.0), 1.0)


def words(reasons: Iterable[StatusReason]) -> str:
    """Return reasons for a log line."""
    return ", ".join(reason.value for reason in reasons)
