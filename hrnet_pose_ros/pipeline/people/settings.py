# SPDX-License-Identifier: Apache-2.0
"""All parameters of the node `person_fusion`: allowed values, defaults and descriptions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hrnet_pose_ros.fusion.buffers import StampLimits
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.transforms import Transform, rotation_rpy
from hrnet_pose_ros.pipeline.parameter import Change, ParameterError, ParameterSet, parameter

_CORE = FusionSettings()
# A topic name of ROS 2, and the topics of the other inputs.
_TOPIC = re.compile(r"(~/|/)?[A-Za-z_{][\w{}]*(/[A-Za-z_{][\w{}]*)*", re.ASCII)
_TAKEN = (
    *("skeletons", "skeleton_info", "camera_info", "depth", "depth/camera_info", "points", "scan"),
    *("imu", "odom", "people", "/tf", "/tf_static", "/diagnostics"),
)


def _degrees(radians: float) -> float:
    return round(math.degrees(radians), 6)


@dataclass(frozen=True)
class PersonFusionSettings(ParameterSet):
    """The values of all parameters of the node `person_fusion` at one time."""

    autostart: bool = parameter(
        True,
        "Configure and activate without waiting for a lifecycle manager.",
        Change.START,
    )
    base_frame: str = parameter(
        "base_link",
        "The vehicle's frame: x forward, y left, z up (REP 103). People are published in it.",
        Change.START,
    )
    range_topics: list[str] = parameter(
        ["range"],
        "Topics of ultrasonic or infrared sensors (sensor_msgs/Range), as many as there are, or "
        "one topic for several sensors. Each sensor has a frame of its own; the cone's axis is its "
        "x axis.",
        Change.START,
    )
    extrinsics: list[str] = parameter(
        [""],
        "Where sensors are, for vehicles without TF, and in place of it: one entry "
        '"FRAME X Y Z ROLL PITCH YAW" for each frame, in m and degrees, of that frame in '
        "`base_frame`. A camera that looks forward has -90 0 -90 (optical frame: x right, y down, "
        "z forward).",
        Change.START,
    )
    base_height: float = parameter(
        _CORE.base_height,
        "Height of the origin of `base_frame` above the ground, m; 0 for `base_footprint`. Ground "
        "contact measures with the camera's height, which follows from it.",
        minimum=-1.0,
        maximum=10.0,
    )
    base_height_std: float = parameter(
        _CORE.base_height_std,
        "Standard deviation of the ground's height below the camera, m: suspension, load, tyres.",
        minimum=0.001,
        maximum=1.0,
    )
    tilt_std_deg: float = parameter(
        _degrees(_CORE.tilt_std),
        "Camera: standard deviation of pitch and roll against the ground that stays the same over "
        "seconds, degrees, without an IMU: of the mount, and of the vehicle's attitude.",
        minimum=0.01,
        maximum=20.0,
    )
    tilt_std_imu_deg: float = parameter(
        _degrees(_CORE.tilt_std_imu),
        "The same with an IMU: the error of its attitude, and of its alignment with the camera.",
        minimum=0.001,
        maximum=20.0,
    )
    tilt_jitter_std_deg: float = parameter(
        _degrees(_CORE.tilt_jitter_std),
        "The part of the tilt's error that changes from image to image, degrees, without an IMU.",
        minimum=0.001,
        maximum=20.0,
    )
    tilt_jitter_std_imu_deg: float = parameter(
        _degrees(_CORE.tilt_jitter_std_imu),
        "The same with an IMU.",
        minimum=0.001,
        maximum=20.0,
    )
    yaw_std_deg: float = parameter(
        _degrees(_CORE.yaw_std),
        "Camera: standard deviation of its heading on the vehicle, degrees: of the mount.",
        minimum=0.01,
        maximum=20.0,
    )
    sensor_mount_std_deg: float = parameter(
        _degrees(_CORE.sensor_mount_std),
        "Depth camera, LIDAR and laser scanner: standard deviation of each angle of their mounts "
        "on the vehicle, degrees.",
        minimum=0.01,
        maximum=20.0,
    )
    fixed_base: bool = parameter(
        _CORE.fixed_base,
        "The base does not move: velocities are over ground without odometry.",
    )
    stature: float = parameter(
        _CORE.stature, "Mean stature of the people to expect, m.", minimum=0.5, maximum=2.5
    )
    stature_std: float = parameter(
        _CORE.stature_std,
        "Standard deviation of the stature of adults, m: the floor of every range that the length "
        "of a body gives.",
        minimum=0.01,
        maximum=1.0,
    )
    stature_std_alone: float = parameter(
        _CORE.stature_std_alone,
        "The same where nothing else tells the range: adults and children together, m.",
        minimum=0.01,
        maximum=1.0,
    )
    min_score: float = parameter(
        _CORE.min_score,
        "Minimum score of the key points that are used.",
        minimum=0.0,
        maximum=0.99,
    )
    keypoint_correlation: float = parameter(
        _CORE.keypoint_correlation,
        "Correlation of a key point's errors 0.1 s apart; over other times it falls exponentially.",
        minimum=0.0,
        maximum=0.99,
    )
    joint_correlation: float = parameter(
        _CORE.joint_correlation,
        "Correlation of the errors of two key points of a person in one image.",
        minimum=0.0,
        maximum=0.99,
    )
    depth_rectified: bool = parameter(
        False,
        "Depth image: whether it is rectified, so that P of its CameraInfo applies instead of K "
        "and D. (For the camera, SkeletonInfo says it.)",
    )
    depth_noise: float = parameter(
        _CORE.depth_noise,
        "Depth image: its standard deviation in units of the squared depth, 1/m. About 0.002 for "
        "stereo cameras of 5 cm baseline; measure it on a wall.",
        minimum=0.00001,
        maximum=1.0,
    )
    depth_max_range: float = parameter(
        _CORE.depth_max_range,
        "Depth image: larger depths are not used, m.",
        minimum=0.5,
        maximum=200.0,
    )
    lidar_noise: float = parameter(
        _CORE.lidar_noise,
        "LIDAR: standard deviation of one return, m.",
        minimum=0.001,
        maximum=1.0,
    )
    lidar_max_range: float = parameter(
        _CORE.lidar_max_range,
        "LIDAR: returns from further away are not used, m.",
        minimum=0.5,
        maximum=300.0,
    )
    scan_noise: float = parameter(
        _CORE.scan_noise,
        "Laser scanner: standard deviation of one return, m.",
        minimum=0.001,
        maximum=1.0,
    )
    scan_max_range: float = parameter(
        _CORE.scan_max_range,
        "Laser scanner: returns from further away are not used, m.",
        minimum=0.5,
        maximum=300.0,
    )
    pedestrian_speed: float = parameter(
        _CORE.pedestrian_speed,
        "Standard deviation of a person's unknown velocity on each axis, m/s, for the time between "
        "the stamps of a sensor and the image.",
        minimum=0.01,
        maximum=10.0,
    )
    acceleration_density: float = parameter(
        _CORE.acceleration_density,
        "Spectral density of people's acceleration, m²/s³: how fast tracks follow.",
        minimum=0.001,
        maximum=100.0,
    )
    max_range: float = parameter(
        _CORE.max_range, "Nobody is placed further away, m.", minimum=1.0, maximum=300.0
    )
    max_coast_ms: float = parameter(
        _CORE.max_coast * 1e3,
        "A track without a skeleton is deleted after this time, ms.",
        minimum=50.0,
        maximum=30000.0,
    )
    min_existence: float = parameter(
        _CORE.min_existence,
        "A track with a lower probability of existence is deleted.",
        minimum=0.0,
        maximum=0.9,
    )
    sensor_tolerance_ms: float = parameter(
        _CORE.sensor_tolerance * 1e3,
        "The stamps of a sensor and of the image may differ by this much. A 10 Hz LIDAR that is "
        "not synchronised with the camera needs 50 and its delay.",
        minimum=1.0,
        maximum=2000.0,
    )
    max_age_ms: float = parameter(
        _CORE.stamp_limits.max_age * 1e3,
        "Messages that are older on arrival are not used, ms; also skeletons.",
        minimum=1.0,
        maximum=60000.0,
    )
    clock_tolerance_ms: float = parameter(
        _CORE.stamp_limits.max_ahead * 1e3,
        "Stamps may be ahead of the node's clock by this much, ms.",
        minimum=0.0,
        maximum=1000.0,
    )
    silent_after_ms: float = parameter(
        _CORE.silent_after * 1e3,
        "A sensor that has sent before, and from which nothing usable has come for this time, "
        "makes the status DEGRADED, ms.",
        minimum=50.0,
        maximum=60000.0,
    )
    skeletons_timeout_ms: float = parameter(
        500.0,
        "Without usable skeletons for this time, the status is ERROR, ms.",
        minimum=50.0,
        maximum=60000.0,
    )
    transform_wait_ms: float = parameter(
        100.0,
        "Skeletons of a moving camera wait this long for the transform at their stamp, ms.",
        minimum=0.0,
        maximum=1000.0,
    )
    warn_latency_ms: float = parameter(
        100.0,
        "The node warns if it takes longer from the skeletons' arrival to people, at p95, ms.",
        minimum=1.0,
        maximum=10000.0,
    )

    def __post_init__(self) -> None:
        if not self.base_frame:
            raise ParameterError("parameter base_frame is ''; allowed: the name of a frame")
        if self.base_frame.startswith("/"):
            raise ParameterError(
                f"parameter base_frame is '{self.base_frame}'; allowed: the name of a frame, which "
                "has no slash before it in ROS 2"
            )
        for topic in self.ranges:
            if not _TOPIC.fullmatch(topic) or topic in _TAKEN:
                what = "another topic of this node" if topic in _TAKEN else "no name of a topic"
                raise ParameterError(
                    f"parameter range_topics has '{topic}', which is {what}; allowed: names of "
                    "topics of sensor_msgs/Range, of letters, digits, _ and /"
                )
        self.fixed_transforms()
        self.core()

    @property
    def ranges(self) -> tuple[str, ...]:
        """The topics of `range_topics` that are not empty."""
        return tuple(topic for topic in self.range_topics if topic)

    def core(self) -> FusionSettings:
        """Return the settings of the fusion."""
        same = {
            name: getattr(self, name)
            for name in (
                *("base_height", "base_height_std", "fixed_base", "stature", "stature_std"),
                *("stature_std_alone", "min_score", "keypoint_correlation", "joint_correlation"),
                *("depth_noise", "depth_max_range", "lidar_noise", "lidar_max_range"),
                *("scan_noise", "scan_max_range", "pedestrian_speed", "acceleration_density"),
                *("max_range", "min_existence"),
            )
        }
        return replace(
            _CORE,
            **same,
            tilt_std=math.radians(self.tilt_std_deg),
            tilt_std_imu=math.radians(self.tilt_std_imu_deg),
            tilt_jitter_std=math.radians(self.tilt_jitter_std_deg),
            tilt_jitter_std_imu=math.radians(self.tilt_jitter_std_imu_deg),
            yaw_std=math.radians(self.yaw_std_deg),
            sensor_mount_std=math.radians(self.sensor_mount_std_deg),
            max_coast=self.max_coast_ms / 1e3,
            sensor_tolerance=self.sensor_tolerance_ms / 1e3,
            silent_after=self.silent_after_ms / 1e3,
            stamp_limits=StampLimits(self.max_age_ms / 1e3, self.clock_tolerance_ms / 1e3),
        )

    def fixed_transforms(self) -> Mapping[str, Transform]:
        """Return the transforms of `extrinsics` to the base frame, by frame.

        Raises ParameterError for an entry that is not of the form that the parameter describes.

        >>> PersonFusionSettings(extrinsics=["lidar 0 0 1.8 0 0 90"]).fixed_transforms()[
        ...     "lidar"
        ... ].apply([2.0, 0.0, 0.0]).round(6).tolist()
        [0.0, 2.0, 1.8]
        """
        found: dict[str, Transform] = {}
        for entry in self.extrinsics:
            if not entry.strip():
                continue
            name, *numbers = entry.split()
            frame = name.removeprefix("/")
            if frame in found or frame == self.base_frame:
                what = "a second entry for" if frame in found else "an entry for base_frame,"
                raise ParameterError(
                    f"parameter extrinsics has {what} '{frame}': \"{entry}\"; allowed: one entry "
                    "for each sensor's frame"
                )
            try:
                x, y, z, roll, pitch, yaw = map(float, numbers)
                turn = rotation_rpy(*map(math.radians, (roll, pitch, yaw)))
                found[frame] = Transform(turn, [x, y, z])  # type: ignore[arg-type]
            except ValueError:
                raise ParameterError(
                    f'parameter extrinsics has the entry "{entry}"; allowed: FRAME X Y Z ROLL '
                    "PITCH YAW, in m and degrees"
                ) from None
        return found
