# SPDX-License-Identifier: Apache-2.0
"""The vehicle of the proof obeys commands as its drivetrain says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hrnet_pose_ros.guard.footprint import Footprint
from hrnet_pose_ros.guard_proof.driven_vehicle import STEP, DrivenVehicle, Drivetrain
from hrnet_pose_ros.simulation.scene_configs import VehicleConfig

FOOTPRINT = Footprint.rectangle(-0.35, 0.65, 0.6)


def vehicle(**changes: float) -> DrivenVehicle:
    return DrivenVehicle(FOOTPRINT, Drivetrain(**changes), np.random.default_rng(1))


def drive(one: DrivenVehicle, twist: tuple[float, float, float], seconds: float) -> None:
    for _ in range(round(seconds / STEP)):
        one.command(np.array(twist))
        one.advance()


def test_it_brakes_after_the_delay_within_its_distance() -> None:
    one = vehicle(delay=0.2, acceleration=1.0, deceleration=2.0)
    drive(one, (1.5, 0.0, 0.0), 4.0)
    assert one.speed == pytest.approx(1.5)
    start = one.place[0]
    drive(one, (0.0, 0.0, 0.0), 2.0)
    assert one.speed == 0
    assert one.place[0] - start == pytest.approx(1.5 * 0.2 + 1.5**2 / 4, abs=0.02)


def test_it_keeps_the_curvature_while_its_speed_changes() -> None:
    one = vehicle()
    drive(one, (1.0, 0.0, 0.5), 3.0)  # a circle of 2 m about (0, 2)
    x, y, yaw = one.place
    assert math.hypot(x, y - 2.0) == pytest.approx(2.0, abs=1e-3)
    assert yaw == pytest.approx(math.atan2(x, 2.0 - y), abs=1e-6)


def test_it_stands_before_it_reverses() -> None:
    one = vehicle()
    drive(one, (1.0, 0.0, 0.0), 2.0)
    drive(one, (-1.0, 0.0, 0.0), 4.0)
    speeds = [one.speeds(time)[0] for time in np.arange(0, 6, STEP)]
    assert min(speeds) == pytest.approx(-1.0)
    steps = np.abs(np.diff(speeds))
    assert steps.max() <= 1.5 * STEP + 1e-9


def test_without_commands_it_stops_by_itself() -> None:
    one = vehicle(command_timeout=0.5)
    drive(one, (1.0, 0.0, 0.0), 2.0)
    for _ in range(200):
        one.advance()
    assert one.speed == 0


def test_it_pitches_when_it_brakes_and_the_level_frame_does_not() -> None:
    one = DrivenVehicle(
        FOOTPRINT,
        Drivetrain(delay=0.0),
        np.random.default_rng(1),
        VehicleConfig(pitching=0.0, diving=2.0),
    )
    drive(one, (1.0, 0.0, 0.0), 2.0)
    drive(one, (0.0, 0.0, 0.0), 0.3)
    assert math.degrees(one.tilt(one.time)[1]) == pytest.approx(2.0 * 1.5)
    assert one.level_pose(one.time).rotation[2, 2] == 1
