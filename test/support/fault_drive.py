# SPDX-License-Identifier: Apache-2.0
"""A short simulated drive in which every sensor dies and returns, and the status to expect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_pose_ros.simulation.bag import write_simulation
from hrnet_pose_ros.simulation.scenario import FaultConfig, SimulationScenario
from hrnet_pose_ros.simulation.scene_configs import PersonConfig, StepConfig
from hrnet_pose_ros.simulation.sensor import START_NS
from hrnet_pose_ros.simulation.sensor_configs import SensorConfigs

DURATION = 10.5
# The status has to be right within this time, s.
IN_TIME = 1.0
# Towards its end, a fault may be over already for messages that overtake an image, s.
SOON = 0.2


@dataclass(frozen=True)
class Expected:
    """A fault, and the word for it in PersonArray.reasons."""

    fault: FaultConfig
    word: str


def _fault(sensor: str, kind: str, start: float, end: float, word: str, amount: float = 1.0):  # type: ignore[no-untyped-def]
    return Expected(FaultConfig(sensor, kind, start, end, amount), word)  # type: ignore[arg-type]


FAULTS = (
    _fault("depth", "transform_missing", 0.0, 1.2, "depth_silent"),
    _fault("lidar", "silent", 1.5, 3.0, "lidar_silent"),
    _fault("scan", "nan", 1.5, 3.0, "scan_silent"),
    _fault("depth", "empty", 2.5, 4.0, "depth_silent"),
    _fault("imu", "silent", 3.0, 4.5, "imu_silent"),
    _fault("odometry", "stamp_offset", 3.5, 5.0, "odometry_silent", -3.0),
    _fault("ultrasonic_left", "nan", 4.0, 5.5, "ultrasonic_silent"),
    _fault("lidar", "stamp_offset", 4.0, 5.5, "lidar_silent", 5.0),
    _fault("depth", "nan", 5.0, 6.5, "depth_silent"),
    _fault("camera", "silent", 6.0, 7.5, "skeletons_silent"),
    _fault("camera", "stamp_offset", 8.5, 10.0, "skeletons_refused", 5.0),
)


def drive(duration: float = DURATION) -> SimulationScenario:
    """The scenario: two people, sensors of low resolution."""
    default = SensorConfigs()
    still = (StepConfig(stay=60.0, heading=180.0),)
    return SimulationScenario(
        "faults",
        duration,
        people=(
            PersonConfig((6.0, 1.0), steps=still),
            PersonConfig((8.0, -2.0), steps=(StepConfig(walk_to=(8.0, 4.0), speed=0.5),)),
        ),
        configs=replace(
            default,
            depth=replace(default.depth, width=80, height=60),
            lidar=replace(default.lidar, columns=300),
        ),
        faults=tuple(one.fault for one in FAULTS),
    )


def write_drive(path: Path, duration: float = DURATION) -> Path:
    """Write the drive as a bag."""
    write_simulation(path, drive(duration))
    return path


def wrong_status(time: int, reasons: list[str]) -> str:
    """Return what is wrong about the reasons at a time of the bag, ns; empty if nothing is."""
    seconds = (time - START_NS) / 1e9
    for one in {expected.word for expected in FAULTS}:
        spans = [(e.fault.start, e.fault.end) for e in FAULTS if e.word == one]
        must = any(start + IN_TIME < seconds < end - SOON for start, end in spans)
        may = any(start < seconds < end + IN_TIME for start, end in spans)
        if must and one not in reasons:
            return f"{one} is missing at {seconds:.2f} s: {reasons}"
        if one in reasons and not may:
            return f"{one} stands at {seconds:.2f} s: {reasons}"
    return ""
