# SPDX-License-Identifier: Apache-2.0
"""Simulated drives in which every sensor dies and returns, and the status to expect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hrnet_pose_ros.simulation.bag import write_simulation
from hrnet_pose_ros.simulation.scenario import FaultConfig, SimulationScenario
from hrnet_pose_ros.simulation.scene_configs import PersonConfig, StepConfig
from hrnet_pose_ros.simulation.sensor import START_NS
from hrnet_pose_ros.simulation.sensor_configs import SENSORS, SensorConfigs

DURATION = 10.5
# The status has to be right within this time, s.
IN_TIME = 1.0
# From the stamp of an image to its arrival, ns.
CAMERA_LATENCY = 90_000_000
# Towards its end, a fault may be over already for messages that overtake an image, s.
SOON = 0.2


@dataclass(frozen=True)
class Expected:
    """A fault, and the word for it in PersonArray.reasons; "" if there is none.

    ``also`` is a word that may stand for it: of what comes late, nothing comes at first.
    """

    fault: FaultConfig
    word: str
    also: str = ""


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


_WORDS = {
    "depth": "depth_silent",
    "lidar": "lidar_silent",
    "scan": "scan_silent",
    "imu": "imu_silent",
    "odometry": "odometry_silent",
    "camera": "skeletons_refused",
} | {name: "ultrasonic_silent" for name in SENSORS if name.startswith("ultrasonic")}
# Stamps off by so much are refused, s.
_OFFSETS = (5.0, -3.0, 3600.0, -3600.0)
# Stamps off by this much are taken, but not matched with an image, s.
_IDLE = -0.25


def random_faults(seed: int, duration: float) -> tuple[Expected, ...]:
    """Faults of every sensor, again and again until the end; one begins without a transform."""
    random = np.random.default_rng(seed)
    found: list[Expected] = []
    unknown = str(random.choice(["camera", "depth", "lidar", "scan", "imu", "ultrasonic_left"]))
    word = "camera_transform_missing" if unknown == "camera" else _WORDS[unknown]
    found.append(_fault(unknown, "transform_missing", 0.0, 2.5, word))
    for sensor in ("camera", *(name for name in SENSORS if name != "camera")):
        rest = (3.0, 7.0) if sensor == "camera" else (1.3, 5.0)
        time = 2.5 + random.uniform(*rest)
        while (end := time + random.uniform(1.4, 3.0)) < duration - 1.5:
            found.append(_random_fault(random, sensor, time, end, found))
            time = end + random.uniform(*rest)
    return tuple(found)


def _random_fault(
    random: np.random.Generator, sensor: str, start: float, end: float, before: list[Expected]
) -> Expected:
    returns = sensor in ("depth", "lidar", "scan")
    kinds = ["silent", "nan", "stamp_offset", "late"]
    kinds += ["empty", "some nan"] if returns or sensor == "camera" else []
    # Whether stamps are near those of images is not known without images.
    blind = any(
        one.fault.start - 0.5 < end + 1.5 and start - 0.5 < one.fault.end + 1.5
        for one in before
        if one.fault.sensor == "camera"
    )
    kinds += ["idle"] if returns and not blind else []
    kind, word = str(random.choice(kinds)), _WORDS[sensor]
    if sensor == "camera" and kind == "silent":
        word = "skeletons_silent"
    if kind == "some nan" or (sensor == "camera" and kind in ("empty", "nan")):
        word = ""  # images without persons, or persons without joints
    if kind == "some nan":
        return _fault(sensor, "nan", start, end, "", 0.5)
    if kind == "idle":
        return _fault(sensor, "stamp_offset", start, end, word, _IDLE)
    amount = {"stamp_offset": float(random.choice(_OFFSETS)), "late": 0.8}.get(kind, 1.0)
    expected = _fault(sensor, kind, start, end, word, amount)
    late = sensor == "camera" and kind == "late"
    return replace(expected, also="skeletons_silent" if late else "")


def answered(at: int, faults: tuple[Expected, ...] = FAULTS) -> bool:
    """Whether the camera gives people at this time of a drive, by their arrival, ns."""
    seconds = (at - START_NS) / 1e9
    camera = [e.fault for e in faults if e.fault.sensor == "camera" and e.word]
    after = [0.3 + (fault.amount if fault.kind == "late" else 0.0) for fault in camera]
    return not any(
        fault.start < seconds < fault.end + more for fault, more in zip(camera, after, strict=True)
    )


def drive(duration: float = DURATION, faults: tuple[Expected, ...] = FAULTS) -> SimulationScenario:
    """The scenario: two people, sensors of low resolution."""
    default = SensorConfigs()
    still = (StepConfig(stay=3600.0, heading=180.0),)
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
        faults=tuple(one.fault for one in faults),
    )


def write_drive(
    path: Path, duration: float = DURATION, faults: tuple[Expected, ...] = FAULTS
) -> Path:
    """Write the drive as a bag."""
    write_simulation(path, drive(duration, faults))
    return path


def wrong_status(time: int, reasons: list[str], faults: tuple[Expected, ...] = FAULTS) -> str:
    """Return what is wrong about the reasons at a time of the bag, ns; empty if nothing is."""
    seconds = (time - START_NS) / 1e9
    known = {word for expected in faults for word in (expected.word, expected.also)} - {""}
    for one in sorted(known):
        must = any(
            e.fault.start + IN_TIME < seconds < e.fault.end - SOON for e in faults if e.word == one
        )
        may = any(
            e.fault.start < seconds < e.fault.end + IN_TIME
            for e in faults
            if one in (e.word, e.also)
        )
        if must and one not in reasons:
            return f"{one} is missing at {seconds:.2f} s: {reasons}"
        if one in reasons and not may:
            return f"{one} stands at {seconds:.2f} s: {reasons}"
    if unexpected := set(reasons) - known:
        return f"{unexpected} at {seconds:.2f} s"
    return ""
