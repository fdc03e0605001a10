# SPDX-License-Identifier: Apache-2.0
"""The scenarios of the simulator: dataclasses that a YAML file is read into.

The world's frame: the vehicle starts at its origin and looks along x; y is to the left, z up; the
ground is z = 0. Lengths are metres, times seconds from the beginning, angles degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hrnet_pose_ros.installed import installed_folders
from hrnet_pose_ros.simulation.config_checks import check_range
from hrnet_pose_ros.simulation.scene_configs import (
    CrowdConfig,
    ObstacleConfig,
    PersonConfig,
    VehicleConfig,
)
from hrnet_pose_ros.simulation.sensor_configs import (
    LONGEST,
    SENSORS,
    ErrorConfig,
    SensorConfigs,
    SensorName,
)
from hrnet_pose_ros.yaml_config import ConfigError, from_mapping, read_yaml

SHARED, PACKAGED = "config/simulation", "simulation_data"

FaultKind = Literal["silent", "empty", "nan", "stamp_offset", "late", "transform_missing"]


@dataclass(frozen=True)
class FaultConfig:
    """What goes wrong with a sensor from ``start`` to ``end``.

    silent: no messages. empty: no points, no skeletons, no pixels. nan: ``amount`` of the values
    are NaN. stamp_offset: ``amount`` s are added to the stamps. late: ``amount`` s are added to the
    latency. transform_missing: the sensor's transform is not published until ``end``; that of the
    odometry is ``/tf``.
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
            check_range("amount", self.amount, 0.0, 1.0)
        if self.kind == "stamp_offset":
            check_range("amount", self.amount, -LONGEST, LONGEST)
        if self.kind == "late":
            check_range("amount", self.amount, 0.0, LONGEST)


@dataclass(frozen=True)
class SimulationScenario:
    """A scene, a drive through it, and what the sensors do.

    ``sensors`` are those that the vehicle has; empty means all. ``seed`` makes all chance
    repeatable.
    """

    name: str
    duration: float
    seed: int = 0
    vehicle: VehicleConfig = field(default_factory=VehicleConfig)
    people: tuple[PersonConfig, ...] = ()
    crowd: CrowdConfig | None = None
    obstacles: tuple[ObstacleConfig, ...] = ()
    errors: ErrorConfig = field(default_factory=ErrorConfig)
    sensors: tuple[SensorName, ...] = ()
    configs: SensorConfigs = field(default_factory=SensorConfigs)
    faults: tuple[FaultConfig, ...] = ()

    def __post_init__(self) -> None:
        check_range("duration", self.duration, 0.1, 3600.0)
        check_range("seed", self.seed, 0)

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
