# SPDX-License-Identifier: Apache-2.0
"""Rides of the tests: straight on at 1 m/s."""

from __future__ import annotations

import math

from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard_proof.rides import CommandPart, Dropout, Ride
from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.scene_configs import ObstacleConfig, PersonConfig


def settings() -> GuardSettings:
    """The defaults."""
    return GuardSettings()


def ride_with(
    *people: PersonConfig,
    obstacles: tuple[ObstacleConfig, ...] = (),
    dropout: Dropout | None = None,
    duration: float = 6.0,
    sensors: tuple[str, ...] = ("camera", "imu", "odometry"),
) -> Ride:
    """A ride among these people."""
    scenario = SimulationScenario(
        name="test",
        duration=duration,
        seed=3,
        people=people,
        obstacles=obstacles,
        sensors=sensors,  # type: ignore[arg-type]
    )
    command = (CommandPart(60.0, 1.0),)
    return Ride(0, "standing", scenario, command, dropout or Dropout("none"), math.nan)
