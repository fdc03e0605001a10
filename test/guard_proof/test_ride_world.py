# SPDX-License-Identifier: Apache-2.0
"""Truth in a ride: distances, who can be seen, contacts; and the ideal brake on it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proof_rides import ride_with, settings

from hrnet_pose_ros.guard.footprint import Footprint
from hrnet_pose_ros.guard_proof.closed_loop import drive_with_ideal
from hrnet_pose_ros.guard_proof.driven_vehicle import DrivenVehicle, Drivetrain
from hrnet_pose_ros.guard_proof.ideal_brake import KNOWN, IdealBrake, known
from hrnet_pose_ros.guard_proof.people_model import CAMERA_ERRORS, ModelledPeople
from hrnet_pose_ros.guard_proof.world import RideWorld, distances_to
from hrnet_pose_ros.simulation.scene_configs import ObstacleConfig, PersonConfig, StepConfig
from hrnet_pose_ros.simulation.sensor import generator_of

FOOTPRINT = Footprint.rectangle(-0.35, 0.65, 0.6)
near = st.floats(-2.0, 2.0)


def modelled(world: RideWorld, vehicle: DrivenVehicle) -> ModelledPeople:
    return ModelledPeople(world, CAMERA_ERRORS, generator_of(3, "errors"))


def world_of(
    *people: PersonConfig, obstacles: tuple[ObstacleConfig, ...] = ()
) -> tuple[RideWorld, DrivenVehicle]:
    vehicle = DrivenVehicle(FOOTPRINT, Drivetrain(), np.random.default_rng(1))
    return RideWorld(ride_with(*people, obstacles=obstacles), vehicle), vehicle


@given(near, near)
def test_distance_to_a_rectangle(x: float, y: float) -> None:
    [distance], [nearest] = distances_to(FOOTPRINT, np.array([[x, y]]))
    inside = np.clip([x, y], [-0.35, -0.3], [0.65, 0.3])
    assert distance == pytest.approx(np.hypot(*(inside - [x, y])), abs=1e-9)
    assert nearest == pytest.approx(inside, abs=1e-9)


@given(near, near)
def test_distance_to_a_circle(x: float, y: float) -> None:
    [distance], _ = distances_to(Footprint.circle(0.4, (0.1, 0.0)), np.array([[x, y]]))
    assert distance == pytest.approx(max(np.hypot(x - 0.1, y) - 0.4, 0.0), abs=1e-6)


def test_who_can_be_seen() -> None:
    wall = ObstacleConfig("box", (3.0, -1.0), (0.2, 1.0), height=2.0)
    ahead, beside = PersonConfig((5.0, 0.0)), PersonConfig((0.3, 3.0))
    hidden, behind_ahead = PersonConfig((4.5, -1.5)), PersonConfig((8.0, 0.0))
    world, _ = world_of(ahead, beside, hidden, behind_ahead, obstacles=(wall,))
    seen = world.visible(0.0)
    assert seen[:3].tolist() == [1.0, 0.0, 0.0]
    assert seen[3] < 0.5
    assert world.in_view(0.0).tolist() == [True, False, True, True]


def test_a_contact_has_the_speed_of_the_place() -> None:
    world, vehicle = world_of(PersonConfig((2.0, 0.0), stature=1.7))
    contact = None
    while contact is None and vehicle.time < 5:
        vehicle.command(np.array([1.0, 0.0, 0.0]))
        vehicle.advance()
        contact = world.contact(vehicle.time)
    assert contact is not None
    assert contact.speed == pytest.approx(1.0)
    assert vehicle.place[0] == pytest.approx(2.0 - 0.65 - world.radii[0], abs=0.02)


def test_the_ideal_brake_stands_in_the_last_moment() -> None:
    ride = ride_with(PersonConfig((2.5, 0.0)), duration=4.0)
    assert drive_with_ideal(ride, settings(), modelled, 0.0).contact is None
    # Where there is no time to see anybody, it does not help.
    runner = PersonConfig((4.0, 8.0), steps=(StepConfig(walk_to=(1.5, 0.0), speed=3.0),))
    blind = drive_with_ideal(ride_with(runner), settings(), modelled, 60.0)
    assert blind.contact_speed > 0.5


def test_the_ideal_brake_does_not_stop_for_those_who_are_not_met() -> None:
    ride = ride_with(PersonConfig((2.5, 1.0)), duration=5.0)
    drive = drive_with_ideal(ride, settings(), modelled, 0.0)
    assert drive.contact is None
    assert drive.places[-1][0] > 3.0


def test_the_ideal_brake_knows_nobody_whom_the_detector_has_not_found() -> None:
    """Somebody comes from the side, behind the border of the view, and walks into the vehicle."""
    hidden = PersonConfig((0.5, 3.5), steps=(StepConfig(walk_to=(4.0, 0.0), speed=1.0),))
    world, vehicle = world_of(hidden)
    people = modelled(world, vehicle)
    brake = IdealBrake(world, vehicle, people)
    assert people.detected.tolist() == [-np.inf]
    people.detected[:] = vehicle.time
    beside = np.array([0.0, 1.0, 0.0])
    assert known(people, vehicle.time + KNOWN).tolist() == [True]
    assert known(people, vehicle.time + KNOWN + 0.1).tolist() == [False]
    assert IdealBrake(world, vehicle, people, delay=1.0).factor(beside) == 1
    people.detected[:] = -np.inf
    assert brake.factor(beside) == 1
