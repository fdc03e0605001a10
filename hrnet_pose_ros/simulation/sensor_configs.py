# SPDX-License-Identifier: Apache-2.0
"""What a scenario says about the sensors: where they sit, when they measure, and their errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from hrnet_pose_ros.simulation.config_checks import check_finite, check_point, check_range

# In the order of the sensors' random numbers: a new one is added at the end.
SensorName = Literal[
    "camera",
    "depth",
    "lidar",
    "scan",
    "ultrasonic_left",
    "ultrasonic_front_left",
    "ultrasonic_front_right",
    "ultrasonic_right",
    "imu",
    "odometry",
]
SENSORS: tuple[str, ...] = get_args(SensorName)

# s: no stamp may be further off, and no message later.
LONGEST = 1e6
DEEPEST_16UC1 = 65.0  # m: 65535 mm, less the error of a pixel


def _check_image(width: int, height: int, view: float) -> None:
    check_range("width", width, 16, 8192)
    check_range("height", height, 16, 8192)
    check_range("view", view, 1.0, 170.0)


def _check_limits(low: float, high: float) -> None:
    check_range("min_range", low, 0.0)
    check_range("max_range", high, 0.0)
    if not low < high:
        raise ValueError(f"min_range must be below max_range, got {low:g} and {high:g}")


@dataclass(frozen=True)
class ErrorConfig:
    """The errors that all sensors share.

    ``mount_angle`` degrees and ``mount_position`` m: standard deviations, on each axis, of where a
    sensor really sits against what its transform says. ``clock`` s: each sensor's clock is off by a
    constant up to this, except the camera's, which is the time of the truth.
    ``keypoint_correlation`` s: `ResidualSampler`.
    """

    mount_angle: float = 0.5
    mount_position: float = 0.01
    clock: float = 0.02
    keypoint_correlation: float = 0.3

    def __post_init__(self) -> None:
        check_range("mount_angle", self.mount_angle, 0.0, 180.0)
        check_range("mount_position", self.mount_position, 0.0, 100.0)
        check_range("clock", self.clock, 0.0, LONGEST)
        check_range("keypoint_correlation", self.keypoint_correlation, 0.0)


@dataclass(frozen=True)
class TimingConfig:
    """How a sensor's messages come: ``rate`` Hz, ``latency`` s from the measurement to its arrival.

    ``jitter`` s is the mean of an exponential addition to the latency; ``dropout`` the fraction of
    messages lost.
    """

    rate: float
    latency: float
    jitter: float = 0.003
    dropout: float = 0.01

    def __post_init__(self) -> None:
        check_range("rate", self.rate, 0.1, 1000.0)
        check_range("latency", self.latency, 0.0, LONGEST)
        check_range("jitter", self.jitter, 0.0, LONGEST)
        check_range("dropout", self.dropout, 0.0, 1.0)


@dataclass(frozen=True)
class MountConfig:
    """Where a sensor sits on the vehicle: m in ``base_link``, and degrees (REP 103).

    For a camera the angles are those of the body frame that looks the same way. ``angle_error``
    in degrees replaces the ``mount_angle`` that all sensors share.
    """

    at: tuple[float, ...]
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0
    angle_error: float | None = None

    def __post_init__(self) -> None:
        check_point("at", self.at, 3)
        for name in ("roll", "pitch", "yaw"):
            check_finite(name, getattr(self, name))
        if self.angle_error is not None:
            check_range("angle_error", self.angle_error, 0.0, 180.0)


@dataclass(frozen=True)
class CameraConfig:
    """The camera whose skeletons are simulated; ``view`` is the horizontal angle in degrees."""

    mount: MountConfig = MountConfig((0.30, 0.0, 1.40), pitch=3.0)
    timing: TimingConfig = TimingConfig(rate=10.0, latency=0.08, jitter=0.01, dropout=0.01)
    width: int = 1280
    height: int = 720
    view: float = 70.0
    smallest: float = 20.0  # px: persons below are not detected
    box_error: float = 0.02  # of the person's size

    def __post_init__(self) -> None:
        _check_image(self.width, self.height, self.view)
        check_range("smallest", self.smallest, 1.0)
        check_range("box_error", self.box_error, 0.0, 1.0)


@dataclass(frozen=True)
class DepthConfig:
    """A stereo depth camera; ``error`` is the standard deviation at 1 m, growing with z²."""

    mount: MountConfig = MountConfig((0.32, 0.06, 1.35), pitch=3.0)
    timing: TimingConfig = TimingConfig(rate=10.0, latency=0.04, jitter=0.005, dropout=0.01)
    width: int = 212
    height: int = 120
    view: float = 86.0
    min_range: float = 0.3
    max_range: float = 10.0
    error: float = 0.0025
    holes: float = 0.02
    encoding: Literal["16UC1", "32FC1"] = "16UC1"

    def __post_init__(self) -> None:
        _check_image(self.width, self.height, self.view)
        _check_limits(self.min_range, self.max_range)
        check_range("error", self.error, 0.0, 1.0)
        check_range("holes", self.holes, 0.0, 1.0)
        if self.encoding == "16UC1" and self.max_range > DEEPEST_16UC1:
            raise ValueError(
                f"max_range must be up to {DEEPEST_16UC1:g} m with the encoding 16UC1, whose "
                f"pixels are 16 bits in mm, got {self.max_range:g}; 32FC1 reaches further"
            )


@dataclass(frozen=True)
class LidarConfig:
    """A spinning LIDAR of 16 beams."""

    mount: MountConfig = MountConfig((0.0, 0.0, 1.80))
    timing: TimingConfig = TimingConfig(rate=10.0, latency=0.015, jitter=0.003, dropout=0.005)
    beams: int = 16
    columns: int = 900
    lowest: float = -15.0
    highest: float = 15.0
    min_range: float = 0.5
    max_range: float = 60.0
    error: float = 0.03
    lost: float = 0.02  # fraction of beams without a return

    def __post_init__(self) -> None:
        check_range("beams", self.beams, 1, 256)
        check_range("columns", self.columns, 4, 10000)
        check_range("lowest", self.lowest, -90.0, self.highest)
        check_range("highest", self.highest, -90.0, 90.0)
        _check_limits(self.min_range, self.max_range)
        check_range("error", self.error, 0.0)
        check_range("lost", self.lost, 0.0, 1.0)


@dataclass(frozen=True)
class ScanConfig:
    """A planar laser scanner at the height of the shins."""

    mount: MountConfig = MountConfig((0.55, 0.0, 0.25))
    timing: TimingConfig = TimingConfig(rate=15.0, latency=0.01, jitter=0.002, dropout=0.005)
    beams: int = 541
    view: float = 270.0
    min_range: float = 0.05
    max_range: float = 20.0
    error: float = 0.02
    lost: float = 0.005

    def __post_init__(self) -> None:
        check_range("beams", self.beams, 2, 100000)
        check_range("view", self.view, 1.0, 360.0)
        _check_limits(self.min_range, self.max_range)
        check_range("error", self.error, 0.0)
        check_range("lost", self.lost, 0.0, 1.0)


@dataclass(frozen=True)
class UltrasonicConfig:
    """Four ultrasonic sensors in the front bumper; ``mounts`` in the order of `SENSORS`."""

    mounts: tuple[MountConfig, ...] = (
        MountConfig((0.50, 0.30, 0.45), yaw=45.0),
        MountConfig((0.60, 0.12, 0.45), yaw=10.0),
        MountConfig((0.60, -0.12, 0.45), yaw=-10.0),
        MountConfig((0.50, -0.30, 0.45), yaw=-45.0),
    )
    timing: TimingConfig = TimingConfig(rate=10.0, latency=0.03, jitter=0.005, dropout=0.02)
    cone: float = 30.0  # the whole angle
    min_range: float = 0.2
    max_range: float = 4.5
    error: float = 0.01
    missed: float = 0.1  # echoes of soft clothes that are not heard

    def __post_init__(self) -> None:
        if len(self.mounts) != 4:
            raise ValueError(f"mounts must be 4, got {len(self.mounts)}")
        check_range("cone", self.cone, 1.0, 120.0)
        _check_limits(self.min_range, self.max_range)
        check_range("error", self.error, 0.0)
        check_range("missed", self.missed, 0.0, 1.0)


@dataclass(frozen=True)
class ImuConfig:
    """An IMU that estimates its roll and pitch; standard deviations in its units.

    ``in_camera``: it is in the camera's housing, whose inside is known from the factory: both are
    off by the same mount error, so that the IMU tells the camera's tilt. Without, its own mount
    error comes on top.
    """

    mount: MountConfig = MountConfig((0.30, 0.02, 1.40))
    in_camera: bool = True
    timing: TimingConfig = TimingConfig(rate=100.0, latency=0.003, jitter=0.001, dropout=0.0)
    angle_error: float = 0.1  # degrees, constant plus slow wander
    rate_error: float = 0.1  # degrees per second
    rate_bias: float = 0.1
    acceleration_error: float = 0.05  # m/s²

    def __post_init__(self) -> None:
        for name in ("angle_error", "rate_error", "rate_bias", "acceleration_error"):
            check_range(name, getattr(self, name), 0.0)


@dataclass(frozen=True)
class OdometryConfig:
    """Wheel odometry: errors of the scale, of the yaw rate (degrees per second), and noise."""

    timing: TimingConfig = TimingConfig(rate=50.0, latency=0.005, jitter=0.001, dropout=0.0)
    scale_error: float = 0.01
    yaw_rate_bias: float = 0.1
    speed_error: float = 0.01

    def __post_init__(self) -> None:
        for name in ("scale_error", "yaw_rate_bias", "speed_error"):
            check_range(name, getattr(self, name), 0.0)


@dataclass(frozen=True)
class SensorConfigs:
    """All sensors; `SimulationScenario.sensors` says which there are."""

    camera: CameraConfig = CameraConfig()
    depth: DepthConfig = DepthConfig()
    lidar: LidarConfig = LidarConfig()
    scan: ScanConfig = ScanConfig()
    ultrasonic: UltrasonicConfig = UltrasonicConfig()
    imu: ImuConfig = ImuConfig()
    odometry: OdometryConfig = OdometryConfig()
