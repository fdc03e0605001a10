# SPDX-License-Identifier: Apache-2.0
"""What all simulated sensors have in common: clock, latency, losses, and faults."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias
from zlib import crc32

import numpy as np

from hrnet_pose_ros.fusion.inputs import (
    DepthImage,
    ImuSample,
    LaserScan,
    OdometrySample,
    PointCloud,
    Skeletons,
    UltrasonicRange,
)
from hrnet_pose_ros.simulation.faults import emptied, with_nans
from hrnet_pose_ros.simulation.scenario import FaultConfig, SimulationScenario
from hrnet_pose_ros.simulation.scene import SimulatedScene
from hrnet_pose_ros.simulation.sensor_configs import TimingConfig
from hrnet_pose_ros.simulation.vehicle import Mount, MovingVehicle

# The time of the truth at the beginning of every scenario: 2025-10-09 08:53:20 UTC.
START_NS = 1_760_000_000 * 10**9

Measurement: TypeAlias = (
    Skeletons | DepthImage | PointCloud | LaserScan | UltrasonicRange | ImuSample | OdometrySample
)


@dataclass(frozen=True)
class SensorEvent:
    """A measurement: its ``arrival`` and its ``time`` in truth, ns since the epoch."""

    arrival: int
    sensor: str
    time: int
    value: Measurement


def generator_of(seed: int, purpose: str) -> np.random.Generator:
    """Random numbers of one purpose: those of one sensor do not depend on the others."""
    return np.random.default_rng(np.random.SeedSequence([seed, crc32(purpose.encode())]))


def nanoseconds(time: float) -> int:
    """Seconds of the scenario as nanoseconds since the epoch."""
    return START_NS + round(time * 1e9)


class SimulatedSensor(ABC):
    """A sensor of the vehicle; a subclass measures.

    Parameters
    ----------
    name
        One of `hrnet_pose_ros.simulation.sensor_configs.SENSORS`.
    timing, mount
        When its messages come, and where it is.
    scenario, scene, vehicle
        The world.
    """

    def __init__(
        self,
        name: str,
        timing: TimingConfig,
        mount: Mount,
        scenario: SimulationScenario,
        scene: SimulatedScene,
        vehicle: MovingVehicle,
    ) -> None:
        self.name, self.timing, self.mount = name, timing, mount
        self.scenario, self.scene, self.vehicle = scenario, scene, vehicle
        self.generator = generator_of(scenario.seed, f"{name} values")
        self._chance = generator_of(scenario.seed, f"{name} messages")
        self._faults = tuple(fault for fault in scenario.faults if fault.sensor == name)
        phase, offset = self._chance.uniform(0, 1), self._chance.uniform(-1, 1)
        self._first = phase / timing.rate
        self._last_arrival = -math.inf
        # The camera's clock is the time of the truth.
        self.clock_error = 0.0 if name == "camera" else offset * scenario.errors.clock

    @abstractmethod
    def measure(self, time: float) -> Measurement:
        """The measurement that begins at ``time`` s, stamped by `stamp`."""

    def stamp(self, time: float) -> int:
        """The stamp that the sensor's clock gives to a time, ns."""
        return nanoseconds(time) + round(self.clock_error * 1e9)

    def times(self) -> np.ndarray:
        """When the sensor measures, s."""
        return np.arange(self._first, self.scenario.duration, 1 / self.timing.rate)

    def events(self) -> Iterator[SensorEvent]:
        """The measurements that arrive, in this order."""
        for time in self.times().tolist():
            event = self.event_at(time)
            if event is not None:
                yield event

    def event_at(self, time: float) -> SensorEvent | None:
        """The measurement of one of `times`; None if it does not arrive. Times must increase."""
        # Always the same draws, so that a fault changes nothing but what it concerns.
        lost = self._chance.random() < self.timing.dropout
        delay = self.timing.latency + self._chance.exponential() * self.timing.jitter
        now = [fault for fault in self._faults if fault.start <= time < fault.end]
        value = self.measure(time)
        for fault in now:
            if fault.kind == "late":
                delay += fault.amount
            value = self._with_fault(value, fault)
        if lost or any(fault.kind == "silent" for fault in now):
            return None
        # Messages of a topic do not overtake each other.
        self._last_arrival = max(self._last_arrival, time + delay)
        return SensorEvent(nanoseconds(self._last_arrival), self.name, nanoseconds(time), value)

    def _with_fault(self, value: Measurement, fault: FaultConfig) -> Measurement:
        if fault.kind == "stamp_offset":
            return replace(value, stamp=value.stamp + round(fault.amount * 1e9))
        if fault.kind == "empty":
            return emptied(value)
        if fault.kind == "nan":
            return with_nans(value, fault.amount, self._chance)
        return value
