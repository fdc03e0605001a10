# SPDX-License-Identifier: Apache-2.0
"""A few rides with the guard in closed loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from proof_rides import ride_with, settings

from hrnet_pose_ros.guard_proof.closed_loop import DriveOutcome, PeopleSource, drive_with_guard
from hrnet_pose_ros.guard_proof.driven_vehicle import DrivenVehicle, Drivetrain
from hrnet_pose_ros.guard_proof.fused_people import FusedPeople
from hrnet_pose_ros.guard_proof.people_model import CAMERA_ERRORS, ModelledPeople
from hrnet_pose_ros.guard_proof.ride_times import RideTimes, times_of
from hrnet_pose_ros.guard_proof.rides import (
    DROPOUTS,
    WEIGHTS,
    CommandPart,
    Dropout,
    Ride,
    draw_ride,
)
from hrnet_pose_ros.guard_proof.world import RideWorld
from hrnet_pose_ros.simulation.residuals import KeypointResiduals
from hrnet_pose_ros.simulation.scene_configs import PersonConfig, StepConfig
from hrnet_pose_ros.simulation.sensor import generator_of

STANDING = PersonConfig((4.0, 0.0), heading=180.0)
Source = Callable[[RideWorld, DrivenVehicle], PeopleSource]


def modelled(world: RideWorld, vehicle: DrivenVehicle) -> ModelledPeople:
    return ModelledPeople(world, CAMERA_ERRORS, generator_of(3, "errors"))


def fused(ride: Ride) -> Source:
    def source(world: RideWorld, vehicle: DrivenVehicle) -> FusedPeople:
        return FusedPeople(ride.scenario, KeypointResiduals.load(), vehicle)

    return source


def drive(ride: Ride, source: Source = modelled) -> DriveOutcome:
    return drive_with_guard(ride, settings(), source)


def test_it_stands_before_somebody_who_stands() -> None:
    result = drive(ride_with(STANDING, duration=5.5))
    assert result.contact is None
    # The last centimetres are driven as the estimate of the place allows.
    assert any(one.speed == 0 for one in result.trace[40:])
    assert result.trace[-1].speed < 0.3
    assert 0.1 < result.trace[-1].distance < 1.8
    assert {one.reason for one in result.trace} >= {"separation", "person_in_slowdown_zone"}
    # The true people have no effect on the guard, but are what it is measured by.
    assert times_of(result.trace).false == 0
    assert result.errors


def test_it_drives_on_when_the_person_has_gone() -> None:
    leaves = StepConfig(walk_to=(3.0, 8.0), speed=1.8)
    ride = ride_with(PersonConfig((4.0, 0.0), steps=(StepConfig(stay=5.0), leaves)), duration=12.0)
    result = drive(ride)
    assert result.contact is None
    assert result.trace[-1].speed == pytest.approx(1.0)
    times = times_of(result.trace)
    assert times.clear > 0
    assert max(times.to_resume, default=0.0) <= 0.6


def test_a_guard_that_is_starved_and_people_that_are_late() -> None:
    """The base stops by itself; the guard crawls, then stands."""
    starved = Dropout("guard_starved", 1.5, 60.0)
    assert drive(ride_with(STANDING, dropout=starved, duration=4.0)).contact is None
    blind = ride_with(STANDING, dropout=Dropout("people_late", 0.0, 60.0), duration=3.0)
    assert drive(blind).places[-1][0] < 1.0


@pytest.mark.parametrize("kind", [one for one in DROPOUTS if one not in ("none", "sensors_die")])
def test_no_dropout_leads_to_a_contact_with_somebody_who_stands(kind: str) -> None:
    dropout = Dropout(kind, 0.8, 60.0)  # type: ignore[arg-type]
    result = drive(ride_with(PersonConfig((2.4, 0.0)), dropout=dropout, duration=3.2))
    assert result.contact is None
    assert result.trace
    stays = ("people_sparse", "people_degraded", "clock_back", "clock_forwards")
    if kind not in (*stays, "guard_starved"):
        assert result.trace[-1].speed == 0


def test_the_same_ride_is_the_same() -> None:
    ride = draw_ride(5, 2)
    assert ride == draw_ride(5, 2)
    ride = replace(ride, scenario=replace(ride.scenario, duration=3.0))
    first, second = drive(ride), drive(ride)
    assert [str(one) for one in first.trace] == [str(one) for one in second.trace]
    assert first.contact == second.contact


def test_the_ideal_brake_beside_the_guard_only_brakes_more() -> None:
    ride = ride_with(STANDING, duration=4.5)
    alone, beside = (
        drive_with_guard(ride, settings(), modelled, beside=flag) for flag in (False, True)
    )
    assert beside.places[-1][0] <= alone.places[-1][0] + 1e-6


def test_the_fusion_on_the_simulators_sensors() -> None:
    ride = ride_with(STANDING, duration=3.5)
    result = drive(ride, fused(ride))
    assert result.contact is None
    assert len(result.errors) > 20


def test_nobody_has_to_stand_for_those_whom_the_camera_cannot_see() -> None:
    """nav2's figures: a person behind a vehicle that reverses."""
    behind = PersonConfig((-1.6, 0.0))
    ride = replace(ride_with(behind, duration=4.0), command=(CommandPart(60.0, -0.8),))
    result = drive(ride)
    assert result.contact is not None
    assert result.contact.speed <= settings().blind_speed + 0.01
    assert {one.needed for one in result.trace if one.time > 0.5} == {settings().blind_speed / 0.8}
    assert times_of(result.trace).hold == 0
    # The same person before a vehicle that drives forwards has been found.
    ahead = drive(ride_with(PersonConfig((1.2, 0.0)), duration=2.0))
    assert times_of(ahead.trace).hold > 0


def test_the_detections_of_both_sources() -> None:
    behind, before = PersonConfig((-3.0, 0.0)), STANDING
    ride = ride_with(behind, before, duration=2.0)
    for source in (modelled, fused(ride)):
        vehicle = DrivenVehicle(settings().footprint, Drivetrain(), generator_of(1, "vehicle"))
        people = source(RideWorld(ride, vehicle), vehicle)
        for _ in range(100):
            people.advance(vehicle.time)
            vehicle.advance()
        never, last = people.detected.tolist()
        assert never == -math.inf
        assert last == pytest.approx(vehicle.time, abs=0.25)


@pytest.mark.parametrize(("hardly_placed", "larger"), [(0.0, 1.0), (1.0, CAMERA_ERRORS.larger)])
def test_what_is_claimed_for_the_modelled_people_contains_what_stays(
    hardly_placed: float, larger: float
) -> None:
    """However many images there are of somebody who stands."""
    ride = ride_with(STANDING, duration=6.0)
    vehicle = DrivenVehicle(settings().footprint, Drivetrain(), generator_of(1, "vehicle"))
    errors = replace(CAMERA_ERRORS, hardly_placed=hardly_placed)
    people = ModelledPeople(RideWorld(ride, vehicle), errors, generator_of(3, "errors"))
    reports = []
    for _ in range(600):
        reports += [report for _, report in people.advance(vehicle.time)]
        vehicle.advance()
    [one] = reports[-1].people
    distance = float(np.hypot(*one.position))
    along = one.position / distance
    claimed = math.sqrt(along @ one.covariance[:2, :2] @ along) / distance
    stays = larger * CAMERA_ERRORS.range_constant
    assert stays < claimed < 2 * stays


def test_all_kinds_are_drawn() -> None:
    rides = [draw_ride(1, number) for number in range(300)]
    assert {one.kind for one in rides} == set(WEIGHTS)
    assert {one.dropout.kind for one in rides} == set(DROPOUTS)


def test_the_times_of_a_trace() -> None:
    from hrnet_pose_ros.guard_proof.closed_loop import DriveSample

    def trace(rows: list[tuple[float, float]]) -> list[DriveSample]:
        """Rows of: factor that is needed, speed that is allowed."""
        at = partial(DriveSample, commanded=1.0, speed=0.0, distance=1.0, action="", reason="")
        return [
            at(time=0.05 * n, allowed=allowed, needed=needed)
            for n, (needed, allowed) in enumerate(rows)
        ]

    drives, must = [(1.0, 1.0)] * 20, [(0.0, 1.0)] * 4 + [(0.0, 0.0)] * 16
    resumes = [(1.0, 0.0)] * 6 + [(1.0, 1.0)] * 10
    found = times_of(trace(drives + must + resumes))
    assert found == RideTimes((0.2,), (0.3,), held=8, hold=8, false=0, clear=12)
    wrong = times_of(trace(drives + [(1.0, 0.0)] * 5))
    assert (wrong.false, wrong.clear) == (5, 13)
    assert times_of([]) == RideTimes()
