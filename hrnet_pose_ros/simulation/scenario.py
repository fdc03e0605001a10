# SPDX-License-Identifier: Apache-2.0
"""The scenarios of the simulator: dataclasses that a YAML file is read into.

The world's frame: the vehicle starts at its origin and looks along x; y is to the left, z up; the
ground is z = 0. Lengths are metres, times seconds from the beginning, angles degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from hrnet_pose_ros.installed import installed_folders
from hrnet_pose_ros.simulation.statures import AGES
from hrnet_pose_ros.yaml_config import ConfigError, from_mapping, read_yaml

SHARED, PACKAGED = "config/simulation", "simulation_data"

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

FaultKind = Literal["silent", "empty", "nan", "stamp_offset", "late", "transform_missing"]


def _point(name: str, values: tuple[float, ...], length: int) -> None:
    if len(values) != length or not all(map(math.isfinite, values)):
        raise ValueError(f"{name} must be {length} numbers, got {list(values)}")


def _range(name: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high:
        limits = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be {limits}, got {value:g}")


def _image(width: int, height: int, view: float) -> None:
    _range("width", width, 16, 8192)
    _range("height", height, 16, 8192)
    _range("view", view, 1.0, 170.0)


def _limits(low: float, high: float) -> None:
    _range("min_range", low, 0.0)
    if not low < high:
        raise ValueError(f"min_range must be below max_range, got {low:g} and {high:g}")


@dataclass(frozen=True)
class StepConfig:
    """One thing that a person does: walk to a point, or stay for a time.

    ``heading``: where the person faces while staying; without it as before. ``hands``: those that
    are raised.
    """

    walk_to: tuple[float, ...] | None = None
    speed: float = 1.3
    stay: float = 0.0
    posture: Literal["standing", "sitting", "crouching", "lying"] = "standing"
    heading: float | None = None
    hands: Literal["none", "left", "right", "both"] = "none"

    def __post_init__(self) -> None:
        if (self.walk_to is None) == (self.stay == 0):
            raise ValueError("a step must have either walk_to or stay above 0")
        _range("stay", self.stay, 0.0)
        if self.walk_to is not None:
            _point("walk_to", self.walk_to, 2)
            _range("speed", self.speed, 0.1, 8.0)
            if self.posture != "standing" or self.heading is not None:
                raise ValueError("a step with walk_to has neither posture nor heading")


@dataclass(frozen=True)
class PersonConfig:
    """A person: who, where at time 0, and what they do.

    ``adult`` is a man or a woman by chance. ``age`` in years is for a ``child``, 5 to 17; by chance
    if it is not given. ``stature`` in m replaces the one drawn from the published distribution.
    ``heading`` is where they face before the first step.
    """

    start: tuple[float, ...]
    kind: Literal["adult", "man", "woman", "child"] = "adult"
    age: float | None = None
    stature: float | None = None
    heading: float | None = None
    steps: tuple[StepConfig, ...] = ()

    def __post_init__(self) -> None:
        _point("start", self.start, 2)
        if self.stature is not None:
            _range("stature", self.stature, 0.9, 2.2)
        if self.age is not None:
            if self.kind != "child":
                raise ValueError(f"age is for kind child, not for {self.kind}")
            _range("age", self.age, AGES[0], AGES[-1])


@dataclass(frozen=True)
class CrowdConfig:
    """Persons who walk to and fro between random points of an area (x from, to, y from, to)."""

    count: int
    area: tuple[float, ...]
    children: float = 0.15
    standing: float = 0.2

    def __post_init__(self) -> None:
        _range("count", self.count, 0, 200)
        _point("area", self.area, 4)
        if not (self.area[0] < self.area[1] and self.area[2] < self.area[3]):
            raise ValueError(f"area must be x from, to, y from, to; got {list(self.area)}")
        _range("children", self.children, 0, 1)
        _range("standing", self.standing, 0, 1)


@dataclass(frozen=True)
class ObstacleConfig:
    """A thing in the scene, from the ground up to ``height`` unless ``bottom`` is given.

    box: ``size`` is its length and width (m), turned by ``heading``. pole: upright, ``size`` is its
    radius. table: four legs of 3 cm radius and a top of 4 cm; ``size`` as a box.
    """

    kind: Literal["box", "pole", "table"]
    at: tuple[float, ...]
    size: tuple[float, ...]
    height: float
    bottom: float = 0.0
    heading: float = 0.0

    def __post_init__(self) -> None:
        _point("at", self.at, 2)
        _point("size", self.size, 1 if self.kind == "pole" else 2)
        if not min(self.size) > 0 or not self.height > self.bottom:
            raise ValueError("an obstacle must have a size above 0 and its height above bottom")


@dataclass(frozen=True)
class DriveConfig:
    """A part of the drive with a speed in m/s and a yaw rate in degrees per second."""

    duration: float
    speed: float
    yaw_rate: float = 0.0

    def __post_init__(self) -> None:
        _range("duration", self.duration, 0.01)
        _range("speed", self.speed, -3.0, 15.0)
        _range("yaw_rate", self.yaw_rate, -90.0, 90.0)


@dataclass(frozen=True)
class PitchJumpConfig:
    """The vehicle pitches by ``angle`` degrees (nose down) for ``duration``: a kerb, a ramp."""

    time: float
    angle: float
    duration: float = 1.0

    def __post_init__(self) -> None:
        _range("angle", self.angle, -20.0, 20.0)
        _range("duration", self.duration, 0.05)


@dataclass(frozen=True)
class VehicleConfig:
    """How the vehicle moves; after the last part of the drive it stands.

    ``pitching`` is the standard deviation of the pitch in degrees at 1 m/s and more, about half of
    it in roll; ``diving`` degrees of nose-down pitch for 1 m/s² of braking.
    """

    drive: tuple[DriveConfig, ...] = ()
    pitching: float = 0.4
    diving: float = 0.5
    pitch_jumps: tuple[PitchJumpConfig, ...] = ()

    def __post_init__(self) -> None:
        _range("pitching", self.pitching, 0.0, 5.0)
        _range("diving", self.diving, 0.0, 5.0)


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
        for name in ("mount_angle", "mount_position", "clock", "keypoint_correlation"):
            _range(name, getattr(self, name), 0.0)


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
        _range("rate", self.rate, 0.1, 1000.0)
        _range("latency", self.latency, 0.0)
        _range("jitter", self.jitter, 0.0)
        _range("dropout", self.dropout, 0.0, 1.0)


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
        _point("at", self.at, 3)


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
        _image(self.width, self.height, self.view)
        _range("smallest", self.smallest, 1.0)
        _range("box_error", self.box_error, 0.0, 1.0)


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
        _image(self.width, self.height, self.view)
        _limits(self.min_range, self.max_range)
        _range("error", self.error, 0.0, 1.0)
        _range("holes", self.holes, 0.0, 1.0)


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
        _range("beams", self.beams, 1, 256)
        _range("columns", self.columns, 4, 10000)
        _range("lowest", self.lowest, -90.0, self.highest)
        _range("highest", self.highest, -90.0, 90.0)
        _limits(self.min_range, self.max_range)
        _range("error", self.error, 0.0)
        _range("lost", self.lost, 0.0, 1.0)


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
        _range("beams", self.beams, 2, 100000)
        _range("view", self.view, 1.0, 360.0)
        _limits(self.min_range, self.max_range)
        _range("error", self.error, 0.0)
        _range("lost", self.lost, 0.0, 1.0)


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
        _range("cone", self.cone, 1.0, 120.0)
        _limits(self.min_range, self.max_range)
        _range("error", self.error, 0.0)
        _range("missed", self.missed, 0.0, 1.0)


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
            _range(name, getattr(self, name), 0.0)


@dataclass(frozen=True)
class OdometryConfig:
    """Wheel odometry: errors of the scale, of the yaw rate (degrees per second), and noise."""

    timing: TimingConfig = TimingConfig(rate=50.0, latency=0.005, jitter=0.001, dropout=0.0)
    scale_error: float = 0.01
    yaw_rate_bias: float = 0.1
    speed_error: float = 0.01

    def __post_init__(self) -> None:
        for name in ("scale_error", "yaw_rate_bias", "speed_error"):
            _range(name, getattr(self, name), 0.0)


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


@dataclass(frozen=True)
class FaultConfig:
    """What goes wrong with a sensor from ``start`` to ``end``.

    silent: no messages. empty: no points, no skeletons, no pixels. nan: ``amount`` of the values
    are NaN. stamp_offset: ``amount`` s are added to the stamps. late: ``amount`` s are added to the
    latency. transform_missing: the sensor's transform is not published until ``end``.
    """

    sensor: SensorName
    kind: FaultKind
    start: float = 0.0
    end: float = 1e9
    amount: float = 1.0

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"start must be before end, got {self.start:g} and {self.end:g}")
        if self.kind == "nan":
            _range("amount", self.amount, 0.0, 1.0)
        if self.kind == "late":
            _range("amount", self.amount, 0.0)


@dataclass(frozen=True)
class SimulationScenario:
    """A scene, a drive through it, and what the sensors do.

    ``sensors`` are those that the vehicle has; empty means all. ``seed`` makes all chance
    repeatable.
    """

    name: str
    duration: float
    seed: int = 0
    vehicle: VehicleConfig = VehicleConfig()
    people: tuple[PersonConfig, ...] = ()
    crowd: CrowdConfig | None = None
    obstacles: tuple[ObstacleConfig, ...] = ()
    errors: ErrorConfig = ErrorConfig()
    sensors: tuple[SensorName, ...] = ()
    configs: SensorConfigs = field(default_factory=SensorConfigs)
    faults: tuple[FaultConfig, ...] = ()

    def __post_init__(self) -> None:
        _range("duration", self.duration, 0.1, 3600.0)
        _range("seed", self.seed, 0)

    @property
    def present(self) -> tuple[str, ...]:
        """The vehicle's sensors, in the order of `SENSORS`."""
        return tuple(name for name in SENSORS if not self.sensors or name in self.sensors)


def scenario_of(values: Any) -> SimulationScenario:
    """A scenario from the content of a YAML file; ConfigError where it is none."""
    return from_mapping(SimulationScenario, values)


def read_simulation(path: Path) -> SimulationScenario:
    """Read a scenario file; ConfigError names the file, the place in it, and what is wrong."""
    try:
        return scenario_of(read_yaml(path, "simulation scenario"))
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if str(path) in text else f"{path}: {text}") from None


def bundled_scenarios() -> dict[str, Path]:
    """The bundled scenario files by name, in alphabetical order."""
    found: dict[str, Path] = {}
    for folder in installed_folders(SHARED, PACKAGED):
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def find_scenario(name: str) -> Path:
    """A bundled scenario by its name, or a file by its path; FileNotFoundError lists the names."""
    bundled = bundled_scenarios()
    if name in bundled:
        return bundled[name]
    path = Path(name)
    if path.is_file():
        return path
    raise FileNotFoundError(
        f"there is no scenario file '{name}'; the bundled scenarios are {', '.join(bundled)}"
    )
