# SPDX-License-Identifier: Apache-2.0
"""The output of the fusion: a person in metres, field by field as in ``msg/Person.msg``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum, IntFlag

import numpy as np

from hrnet_pose_ros.fusion.refusals import Refusal, Source


class Posture(IntEnum):
    """Values of ``Person.posture``."""

    UNKNOWN = 0
    UPRIGHT = 1
    SITTING = 2
    CROUCHING = 3
    LYING = 4


class MotionState(IntEnum):
    """Values of ``Person.motion``."""

    UNKNOWN = 0
    STATIONARY = 1
    WALKING = 2
    RUNNING = 3


class Facing(IntEnum):
    """Values of ``Person.facing``, as seen from the camera."""

    UNKNOWN = 0
    TOWARDS = 1
    AWAY = 2
    LEFT = 3
    RIGHT = 4


class Gesture(IntFlag):
    """Bits of ``Person.gesture``."""

    NONE = 0
    LEFT_HAND_RAISED = 1
    RIGHT_HAND_RAISED = 2


class PeopleStatus(IntEnum):
    """Values of ``PersonArray.status``."""

    OK = 0
    DEGRADED = 1
    ERROR = 2


class StatusReason(str, Enum):
    """Why the status is not OK: words of ``PersonArray.reasons``; they must not change."""

    # DEGRADED: a sensor sends, or has sent, but nothing usable has come for `silent_after`.
    DEPTH_SILENT = "depth_silent"
    LIDAR_SILENT = "lidar_silent"
    SCAN_SILENT = "scan_silent"
    ULTRASONIC_SILENT = "ultrasonic_silent"
    IMU_SILENT = "imu_silent"
    ODOMETRY_SILENT = "odometry_silent"
    # ERROR: there are no people because of the camera.
    SKELETONS_SILENT = "skeletons_silent"  # no skeletons come
    SKELETONS_REFUSED = "skeletons_refused"  # they come, but cannot be used: stamps, contents
    SKELETON_INFO_MISSING = "skeleton_info_missing"
    CAMERA_INFO_MISSING = "camera_info_missing"
    CAMERA_TRANSFORM_MISSING = "camera_transform_missing"


@dataclass(frozen=True)
class Points3D:
    """Key points in space, in the order of the skeleton, in the levelled base frame.

    Attributes
    ----------
    positions
        float64 ``[J, 3]``, m; NaN where there was no depth at the joint.
    covariances
        float64 ``[J, 3, 3]``, m²; NaN likewise.
    """

    positions: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Person:
    """One person at the image's stamp. What is unknown is NaN, and so is its variance.

    Attributes
    ----------
    id, detection_id
        Of the track, stable and unique; of the detector, may be empty.
    skeleton_index
        Place in the skeletons of the same stamp; -1 while the track is coasting.
    position, velocity
        float64 ``[3]``, m and m/s in the levelled base frame: the point on the ground under the
        middle of the hips, and its velocity over ground (relative to the vehicle if there is no
        odometry and the base is not fixed).
    covariance
        float64 ``[6, 6]`` of x y z vx vy vz.
    height, radius, heading
        m, m, rad about z (where the chest points), each with its variance.
    existence, posture, motion, facing, gesture, child_probability
        Each with its probability.
    sources
        What contributed to this estimate.
    measurement_age
        Seconds from the newest measurement in this estimate to the image's stamp.
    keypoints
        None if no depth was measured at the joints.
    outcomes
        What happened to each cue: None if it was used, else why not. Empty while coasting.
    ranges
        What each cue measured, used or not, by name: the inverse of the horizontal distance from
        the camera, 1/m, and its whole standard deviation. Empty while coasting.
    """

    id: str
    detection_id: str
    skeleton_index: int
    position: np.ndarray
    velocity: np.ndarray
    covariance: np.ndarray
    existence: float
    height: float = np.nan
    height_variance: float = np.nan
    radius: float = np.nan
    radius_variance: float = np.nan
    heading: float = np.nan
    heading_variance: float = np.nan
    posture: Posture = Posture.UNKNOWN
    posture_probability: float = np.nan
    motion: MotionState = MotionState.UNKNOWN
    motion_probability: float = np.nan
    facing: Facing = Facing.UNKNOWN
    facing_probability: float = np.nan
    gesture: Gesture = Gesture.NONE
    gesture_probability: float = np.nan
    child_probability: float = np.nan
    sources: Source = Source.NONE
    measurement_age: float = 0.0
    keypoints: Points3D | None = None
    outcomes: dict[str, Refusal | None] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class People:
    """The persons at one image's stamp.

    Attributes
    ----------
    stamp
        Of the image, ns.
    people
        One for each skeleton of the image, in their order, then those who are coasting.
    sources
        IMU if the tilt of the base was known, ODOMETRY or IMU if its motion was.
    reasons
        Sensors that have fallen silent; the status is DEGRADED if there are any.
    """

    stamp: int
    people: tuple[Person, ...]
    sources: Source
    reasons: tuple[StatusReason, ...] = ()

    @property
    def status(self) -> PeopleStatus:
        """OK or DEGRADED. An image that could not be used at all is an error, and no `People`."""
        return PeopleStatus.DEGRADED if self.reasons else PeopleStatus.OK
