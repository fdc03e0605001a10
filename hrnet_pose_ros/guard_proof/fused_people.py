# SPDX-License-Identifier: Apache-2.0
"""People of the real fusion, on the simulator's sensors, while the vehicle is driven."""

from __future__ import annotations

import heapq

import numpy as np

from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.transforms import FixedExtrinsics
from hrnet_pose_ros.guard.inputs import PeopleReport
from hrnet_pose_ros.guard_proof.driven_vehicle import DrivenVehicle
from hrnet_pose_ros.guard_proof.people_model import COMPUTING
from hrnet_pose_ros.simulation.residuals import KeypointResiduals
from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.sensor import START_NS, SensorEvent, SimulatedSensor
from hrnet_pose_ros.simulation.simulator import Simulator
from hrnet_pose_ros.simulation.skeleton_sensor import SimulatedCamera

NS = 1e9


class FusedPeople:
    """The reports of one ride, in the order of their arrival.

    A sensor can only be simulated when the vehicle has moved to the end of its measurement: a
    sweep's message arrives when it has ended.
    """

    def __init__(
        self, scenario: SimulationScenario, residuals: KeypointResiduals, vehicle: DrivenVehicle
    ) -> None:
        simulator = Simulator(scenario, residuals, vehicle)
        [self._camera] = [
            one for one in simulator.sensors.values() if isinstance(one, SimulatedCamera)
        ]
        self._times: list[tuple[float, int, float, SimulatedSensor]] = []
        for number, (name, sensor) in enumerate(simulator.sensors.items()):
            sweep = 1 / sensor.timing.rate if name in ("lidar", "scan") else 0.0
            lasts = sweep + (0.01 if name == "imu" else 0.0)  # it looks at a step before and after
            self._times += [
                (time + lasts, number, time, sensor) for time in sensor.times().tolist()
            ]
        self._times.sort(key=lambda one: one[:3])
        self._done = 0
        self._waiting: list[tuple[int, int, SensorEvent]] = []
        self._fusion = PeopleFusion(
            FusionSettings(base_height=0.0), FixedExtrinsics(simulator.extrinsics())
        )

    @property
    def detected(self) -> np.ndarray:
        """When the last image was taken in which each person was found, s, ``[N]``; -inf: never."""
        return self._camera.detected

    def advance(self, time: float) -> list[tuple[float, PeopleReport]]:
        """Arrival in s and report of the images that have arrived up to now."""
        return [(at, PeopleReport.of_people(people)) for at, people in self.fused(time)]

    def fused(self, time: float) -> list[tuple[float, People]]:
        """Arrival in s and people of the images that have arrived up to now."""
        while self._done < len(self._times) and self._times[self._done][0] <= time:
            _, _, taken, sensor = self._times[self._done]
            event = sensor.event_at(taken)
            if event is not None:
                heapq.heappush(self._waiting, (event.arrival, self._done, event))
            self._done += 1
        now = START_NS + round(time * NS)
        found = []
        while self._waiting and self._waiting[0][0] <= now:
            arrival, _, event = heapq.heappop(self._waiting)
            if not isinstance(event.value, Skeletons):
                self._fusion.receive(event.value, arrival)
                continue
            people = self._fusion.fuse(event.value, arrival)
            if isinstance(people, People):
                at = max((arrival - START_NS) / NS, time) + COMPUTING
                found.append((at, people))
        return found
