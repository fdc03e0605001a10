# SPDX-License-Identifier: Apache-2.0
"""Imu and Odometry messages to the fusion's values."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hrnet_pose_ros.fusion.inputs import ImuSample, OdometrySample
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.transforms import Extrinsics, Transform
from hrnet_pose_ros.pipeline.people.message_fields import (
    MessageRefused,
    frame_name,
    malformed,
    stamp_and_frame,
)
from hrnet_pose_ros.pipeline.stamps import stamp_of

# The first element of the covariance of a quantity that the IMU does not have (sensor_msgs/Imu).
NOT_THERE = -1.0


def imu_sample_of(message: Any) -> ImuSample:
    """Return a ``sensor_msgs/Imu``, without the quantities of which the covariance says -1.

    A quaternion of zeros counts as no orientation. Raises MessageRefused (``malformed``) if there
    is no angular velocity, a value is not finite, or the quaternion has another length than 1.
    """
    stamp, frame = stamp_and_frame(message)
    if _is_missing(message.angular_velocity_covariance):
        raise malformed("angular_velocity_covariance[0] is -1: an IMU without rates is not used")
    rates = _finite("angular_velocity", message.angular_velocity)
    force = orientation = None
    if not _is_missing(message.linear_acceleration_covariance):
        force = _finite("linear_acceleration", message.linear_acceleration)
    if not _is_missing(message.orientation_covariance):
        orientation = _finite("orientation", message.orientation, "xyzw")
        length = float(np.linalg.norm(orientation))
        if length == 0:
            orientation = None
        elif abs(length - 1) > 0.01:
            raise malformed(f"the quaternion of orientation has the length {length:g}")
    return ImuSample(stamp, frame, rates, force, orientation)


def odometry_sample_of(message: Any, base_frame: str, extrinsics: Extrinsics) -> OdometrySample:
    """Return a ``nav_msgs/Odometry`` as one of ``base_frame``.

    Its child may be another frame of the vehicle, whose place is then looked up.

    Raises
    ------
    MessageRefused
        ``malformed``: child_frame_id is empty, a value is not finite, or the quaternion has another
        length than 1; ``no_extrinsics``: the child's place on the vehicle is not known.
    """
    stamp, child = stamp_of(message), frame_name(message.child_frame_id)
    if not child:
        raise malformed("child_frame_id is empty: it says which frame the odometry is of")
    pose, twist = message.pose.pose, message.twist.twist
    position = _finite("position", pose.position)
    quaternion = _finite("orientation", pose.orientation, "xyzw")
    linear = _finite("twist.linear", twist.linear)
    angular = _finite("twist.angular", twist.angular)
    length = float(np.linalg.norm(quaternion))
    if abs(length - 1) > 0.01:
        raise malformed(f"the quaternion of the pose has the length {length:g}")
    if child != base_frame:
        place = extrinsics.sensor_to_base(child, stamp)
        if place is None:
            raise MessageRefused(
                Refusal.NO_EXTRINSICS,
                f"the odometry is of the frame '{child}', whose place in '{base_frame}' is not "
                "known: publish the transform, or set base_frame",
            )
        base_in_child = place.inverse()
        pose_of_child = Transform.from_quaternion(quaternion / length, position)
        moved = pose_of_child @ base_in_child
        position, quaternion = moved.translation, _quaternion(moved.rotation)
        linear = place.rotation @ (linear + np.cross(angular, base_in_child.translation))
        angular = place.rotation @ angular
    return OdometrySample(stamp, position, quaternion, linear, angular)


def _is_missing(covariance: Any) -> bool:
    return len(covariance) > 0 and float(covariance[0]) == NOT_THERE


def _finite(name: str, vector: Any, axes: str = "xyz") -> np.ndarray:
    values = np.array([getattr(vector, axis) for axis in axes], np.float64)
    if not np.isfinite(values).all():
        raise malformed(f"{name} is {values.tolist()}")
    return values


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    quaternion: np.ndarray = Rotation.from_matrix(rotation).as_quat()
    return quaternion


def tilted(frame: str, base: str) -> str:
    """Return what is wrong with an IMU whose values are finite, but cannot be right."""
    return (
        f"the orientation or the acceleration of the IMU in '{frame}' says that '{base}' is tilted "
        "by more than 45 degrees: z of its world has to point up (ENU, not NED), and the "
        "acceleration at rest too (REP 145); else its transform is wrong. Or there is no "
        "orientation, and the acceleration is in units of gravity: it has to be in m/s²"
    )
