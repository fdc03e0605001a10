# SPDX-License-Identifier: Apache-2.0
"""The numbers that describe a vehicle and its sensors, and the limits of the fusion."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from hrnet_pose_ros.fusion.buffers import StampLimits


@dataclass(frozen=True)
class FusionSettings:
    """Settings of `PeopleFusion`. Standard deviations are 1 sigma.

    Attributes
    ----------
    base_height
        Height of ``base_frame``'s origin above the ground, m; 0 for ``base_footprint``.
    base_height_std
        Of the ground's height below the camera, m.
    tilt_std, tilt_std_imu
        Of the camera's pitch and roll against the ground, rad, without and with an IMU: what stays
        the same over seconds, such as an error of the mount.
    tilt_jitter_std, tilt_jitter_std_imu
        The part that changes within a second, rad: without an IMU, the pitching of a vehicle that
        drives. That of a fixed base is no larger than the second one.
    fixed_base
        The base does not move: no odometry is needed for velocities over ground.
    stature, stature_std
        The prior of stature, m: of adults.
    stature_std_alone
        Where nothing but the length of the body tells the range, m: the age is unknown, and this
        is the spread of adults and children together (`hrnet_pose_ros.fusion.body`).
    min_score
        Joints with a lower score are not used.
    yaw_std
        Of the camera's heading on the vehicle, rad: an error of the mount.
    sensor_mount_std
        Of the angles of depth camera, LIDAR and scanner on the vehicle, rad.
    keypoint_correlation
        Correlation of a joint's errors 0.1 s apart, 0 to below 1; over other times it falls
        exponentially. The tracker multiplies key point variances by (1 + c) / (1 - c), the ratio
        that averages of such errors have. On the bundled clip, joints differ from one image to the
        next by a third of what their covariances say (docs/architecture.md, "Smoothing"): 1 - c.
    joint_correlation
        Correlation of the errors of two joints of a person in the same image, 0 to below 1: the
        mean over all pairs (`hrnet_pose_ros.simulation.residuals`).
    depth_noise
        Of a depth image in units of z²: sigma = depth_noise * z², 1/m.
    depth_max_range, lidar_max_range, scan_max_range
        m.
    lidar_noise, scan_noise
        Of one return, m.
    pedestrian_speed
        Of a person's unknown velocity on each axis, m/s: for the time between two stamps.
    sensor_tolerance
        A sensor's stamp may differ this much from the image's, s.
    silent_after
        A sensor that has sent before is reported as silent after this time, s.
    stamp_limits
        Ages on arrival that are accepted.
    acceleration_density
        Spectral density of people's acceleration, m²/s³. With 0.5, velocities claimed nearly twice
        the errors that they had; with 0.2, too few runs with the laser scan were consistent
        (docs/fusion.md).
    max_coast
        A track without a skeleton is deleted after this time, s.
    min_existence
        A track with a lower probability of existence is deleted.
    outlier
        Prior probability that a range is wrong (an occluder, a wall, a child): by cue.
    gate
        A range is inconsistent beyond this quantile of what the others say (chi-square).
    max_range
        Of people in the image, m.
    """

    base_height: float = 0.0
    base_height_std: float = 0.02
    tilt_std: float = float(np.deg2rad(0.5))
    tilt_std_imu: float = float(np.deg2rad(0.1))
    tilt_jitter_std: float = float(np.deg2rad(0.4))
    tilt_jitter_std_imu: float = float(np.deg2rad(0.05))
    fixed_base: bool = False
    stature: float = 1.70
    stature_std: float = 0.098
    stature_std_alone: float = 0.215
    min_score: float = 0.3
    yaw_std: float = float(np.deg2rad(0.5))
    sensor_mount_std: float = float(np.deg2rad(0.5))
    keypoint_correlation: float = 0.7
    joint_correlation: float = 0.1
    depth_noise: float = 0.002
    depth_max_range: float = 10.0
    lidar_noise: float = 0.03
    lidar_max_range: float = 60.0
    scan_noise: float = 0.03
    scan_max_range: float = 30.0
    pedestrian_speed: float = 1.0
    sensor_tolerance: float = 0.06
    silent_after: float = 0.5
    stamp_limits: StampLimits = field(default_factory=StampLimits)
    acceleration_density: float = 0.3
    max_coast: float = 2.0
    min_existence: float = 0.05
    outlier: dict[str, float] = field(
        default_factory=lambda: {
            "ground": 0.05,
            "body_length": 0.15,
            "depth": 0.05,
            "lidar": 0.05,
            "scan": 0.10,
            "track": 0.03,
        }
    )
    gate: float = 0.997
    max_range: float = 60.0

    def __post_init__(self) -> None:
        above_0 = {
            *("base_height_std", "tilt_std", "tilt_std_imu", "tilt_jitter_std"),
            *("tilt_jitter_std_imu", "yaw_std", "sensor_mount_std"),
            *("stature", "stature_std", "stature_std_alone", "pedestrian_speed"),
            *("depth_noise", "lidar_noise", "scan_noise", "acceleration_density"),
            *("depth_max_range", "lidar_max_range", "scan_max_range", "max_range"),
            *("sensor_tolerance", "silent_after", "max_coast"),
        }
        below_1 = {"keypoint_correlation", "joint_correlation", "min_existence", "min_score"}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in above_0 and not 0 < value < np.inf:
                raise ValueError(f"{one.name} must be above 0, got {value}")
            if one.name in below_1 and not 0 <= value < 1:
                raise ValueError(f"{one.name} must be from 0 to below 1, got {value}")
        if not 0.5 < self.gate < 1:
            raise ValueError(f"gate must be a probability from 0.5 to below 1, got {self.gate}")
        if not all(0 < p < 1 for p in self.outlier.values()):
            raise ValueError(f"outlier must be probabilities between 0 and 1, got {self.outlier}")
