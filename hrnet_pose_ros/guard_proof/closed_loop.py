# SPDX-License-Identifier: Apache-2.0
"""One ride in closed loop: the guard's answers move the vehicle, and the vehicle moves the camera.

The ride ends at the first contact. Commands come at 20 Hz; a tick of the guard comes between them,
and replaces them when they stop.
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from hrnet_pose_ros.fusion.person import PeopleStatus
from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.guard.guard import Guard
from hrnet_pose_ros.guard.inputs import PeopleReport, PersonReport, VelocityCommand
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard_proof.driven_vehicle import STEP, DrivenVehicle, Drivetrain
from hrnet_pose_ros.guard_proof.ideal_brake import PERIOD, Detections, IdealBrake, known
from hrnet_pose_ros.guard_proof.rides import Dropout, Ride
from hrnet_pose_ros.guard_proof.world import Contact, RideWorld, distances_to
from hrnet_pose_ros.simulation.sensor import START_NS, generator_of, nanoseconds

COMMAND_PERIOD = 0.05  # s
CLOCK_STEP = 5.0  # s, of a jump of the clock


class PeopleSource(Detections, Protocol):
    """Where a ride's people come from."""

    def advance(self, time: float) -> list[tuple[float, PeopleReport]]:
        """Arrival in s and report of what is new at a time in s."""
        ...


@dataclass(frozen=True)
class DriveSample:
    """A sample of a ride, at each command."""

    time: float
    commanded: float  # m/s of the vehicle's fastest point
    allowed: float
    speed: float
    distance: float  # m, true: from the footprint to the nearest cylinder
    action: str
    reason: str
    needed: float  # factor that a guard with the true places of those whom it can know gives


@dataclass(frozen=True)
class DriveOutcome:
    """What came of one ride with one brake.

    Attributes
    ----------
    contact
        The first one, which ends the ride.
    trace
        At each command of the guard; empty for the ideal brake.
    places
        x, y in m and yaw in rad at each command, ``[K, 3]``, the last at the end of the ride.
    wall_ms, cpu_ms
        Of each decision: by the clock, and of the processor.
    errors
        Of each person with a skeleton in each report: index of the person, distance (m), error
        along and beside the line of sight and the standard deviations claimed for both (in parts of
        the distance), error of the velocity and what is claimed (m/s), squared Mahalanobis distance
        of the place.
    """

    contact: Contact | None
    trace: tuple[DriveSample, ...] = ()
    places: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    wall_ms: tuple[float, ...] = ()
    cpu_ms: tuple[float, ...] = ()
    errors: tuple[tuple[float, ...], ...] = ()

    @property
    def contact_speed(self) -> float:
        """m/s; 0 without a contact."""
        return self.contact.speed if self.contact else 0.0


def drive_with_ideal(
    ride: Ride,
    settings: GuardSettings,
    source: Callable[[RideWorld, DrivenVehicle], PeopleSource],
    delay: float,
) -> DriveOutcome:
    """The ride with the reference, which knows ``delay`` s late whom the source has found."""
    vehicle, world, planner = _begin(ride, settings)
    people = source(world, vehicle)
    ideal = IdealBrake(world, vehicle, people, delay)
    every, contact = round(PERIOD / STEP), None
    for step in range(round(ride.scenario.duration / STEP)):
        people.advance(vehicle.time)
        if step % every == 0:
            command = planner.command()
            vehicle.command(command * ideal.factor(command))
        planner.advance()
        vehicle.advance()
        contact = world.contact(vehicle.time)
        if contact:
            break
    return DriveOutcome(contact, places=vehicle.place[None])


def drive_with_guard(
    ride: Ride,
    settings: GuardSettings,
    source: Callable[[RideWorld, DrivenVehicle], PeopleSource],
    *,
    beside: bool = False,
) -> DriveOutcome:
    """The ride with the guard; with ``beside``, the ideal brake may brake more than the guard."""
    return _GuardedDrive(ride, settings, source, beside=beside).run()


def _begin(ride: Ride, settings: GuardSettings) -> tuple[DrivenVehicle, RideWorld, Planner]:
    vehicle = DrivenVehicle(
        settings.footprint, Drivetrain(), generator_of(ride.scenario.seed, "vehicle")
    )
    return vehicle, RideWorld(ride, vehicle), Planner(ride, vehicle)


class Planner:
    """The commands of a ride: a part goes on while the vehicle does not move."""

    def __init__(self, ride: Ride, vehicle: DrivenVehicle) -> None:
        self._parts, self._vehicle = ride.command, vehicle
        self._part, self._progress = 0, 0.0

    def command(self) -> np.ndarray:
        """The planar twist now."""
        part = self._parts[self._part]
        return np.array([part.forward, 0.0, part.yaw_rate])

    def advance(self) -> None:
        """One step of the vehicle has passed."""
        full = self._vehicle.footprint.largest_speed(self.command())
        self._progress += STEP * (self._vehicle.speed / full if full else 1.0)
        if self._progress >= self._parts[self._part].duration:
            self._part, self._progress = min(self._part + 1, len(self._parts) - 1), 0.0


class _GuardedDrive:
    def __init__(
        self,
        ride: Ride,
        settings: GuardSettings,
        source: Callable[[RideWorld, DrivenVehicle], PeopleSource],
        *,
        beside: bool,
    ) -> None:
        self._ride, self._settings = ride, settings
        self._vehicle, self._world, self._planner = _begin(ride, settings)
        self._source = source(self._world, self._vehicle)
        # Who was found long ago is known to nobody: the reference has no memory of its own.
        self._guard, self._shadow = Guard(settings), Guard(replace(settings, memory=0.0))
        self._ideal = IdealBrake(self._world, self._vehicle, self._source) if beside else None
        self._told = np.zeros(3)
        self._random = generator_of(ride.scenario.seed, "dropouts")
        self._reports: list[tuple[float, PeopleReport]] = []
        self._trace: list[DriveSample] = []
        self._wall: list[float] = []
        self._cpu: list[float] = []
        self._errors: list[tuple[float, ...]] = []

    def run(self) -> DriveOutcome:
        vehicle, dropout = self._vehicle, self._ride.dropout
        every, contact = round(COMMAND_PERIOD / STEP), None
        places = []
        for step in range(round(self._ride.scenario.duration / STEP)):
            time = vehicle.time
            failing = dropout.kind if dropout.active(time) else "none"
            self._arrive(time)
            if failing != "guard_starved":
                self._receive(time)
                if step % every == 0:
                    self._command(time, failing)
                    places.append(vehicle.place.copy())
            if self._ideal is not None and self._ideal.factor(self._told) == 0:
                vehicle.command(np.zeros(3))
            self._planner.advance()
            vehicle.advance()
            contact = self._world.contact(vehicle.time)
            if contact:
                break
        places.append(vehicle.place.copy())
        return DriveOutcome(
            contact,
            tuple(self._trace),
            np.array(places),
            tuple(self._wall),
            tuple(self._cpu),
            tuple(self._errors),
        )

    def _now(self, time: float) -> int:
        """The clock of the vehicle, which may jump."""
        dropout = self._ride.dropout
        jumped = time >= dropout.start
        sign = {"clock_back": -1.0, "clock_forwards": 1.0}.get(dropout.kind, 0.0)
        return nanoseconds(time + (sign * CLOCK_STEP if jumped else 0.0))

    def _arrive(self, time: float) -> None:
        """What has been sent up to now waits for the guard."""
        for arrival, report in self._source.advance(time):
            self._note_errors(report)
            for late, changed in _with_dropout(arrival, report, self._ride.dropout, self._random):
                self._reports.append((late, changed))

    def _receive(self, time: float) -> None:
        ready = [one for one in self._reports if one[0] <= time]
        self._reports = [one for one in self._reports if one[0] > time]
        for _, report in sorted(ready, key=lambda one: one[0]):
            stamp = self._now((report.stamp - START_NS) / 1e9)
            self._guard.people(replace(report, stamp=stamp), self._now(time))

    def _command(self, time: float, failing: str) -> None:
        twist = self._planner.command()
        command = VelocityCommand.planar(float(twist[0]), float(twist[2]))
        now = self._now(time)
        began, used = clock.perf_counter(), clock.process_time()
        if failing == "command_stops":
            decision = self._guard.tick(now)
        elif failing == "command_nan":
            decision = self._guard.command(replace(command, linear=(math.nan, 0.0, 0.0)), now)
        else:
            decision = self._guard.command(command, now)
        self._wall.append(1e3 * (clock.perf_counter() - began))
        self._cpu.append(1e3 * (clock.process_time() - used))
        self._told = decision.twist.on_ground
        self._vehicle.command(self._told)
        self._note(time, twist, decision)

    def _note(self, time: float, twist: np.ndarray, decision: Decision) -> None:
        footprint = self._settings.footprint
        needed = math.nan
        places, velocities = self._world.in_base(time)
        if self._ride.dropout.kind == "none":
            stamp = nanoseconds(time)
            who = known(self._source, time)
            self._shadow.people(_true_people(places, velocities, self._world, who, stamp), stamp)
            needed = self._shadow.command(
                VelocityCommand.planar(float(twist[0]), float(twist[2])), stamp
            ).factor
        distance = (distances_to(footprint, places)[0] - self._world.radii).min(initial=math.inf)
        self._trace.append(
            DriveSample(
                time=time,
                commanded=footprint.largest_speed(twist),
                allowed=footprint.largest_speed(decision.twist.on_ground),
                speed=self._vehicle.speed,
                distance=float(distance),
                action=decision.action.value,
                reason=decision.reason.value,
                needed=needed,
            )
        )

    def _note_errors(self, report: PeopleReport) -> None:
        """Errors of the people who have a skeleton, each against the nearest true person."""
        time = (report.stamp - START_NS) / 1e9
        places, velocities = self._world.in_base(time)
        for one in report.people:
            if one.coasting or not len(places):
                continue
            who = int(np.linalg.norm(places - one.position, axis=1).argmin())
            off = one.position - places[who]
            distance = float(np.hypot(*places[who]))
            if distance < 0.5 or np.hypot(*off) > 0.5 * distance:
                continue
            along = places[who] / distance
            beside = np.array([-along[1], along[0]])
            place = one.covariance[:2, :2]
            slower = one.velocity - velocities[who]
            self._errors.append(
                (
                    float(who),
                    distance,
                    float(along @ off) / distance,
                    float(beside @ off) / distance,
                    math.sqrt(along @ place @ along) / distance,
                    math.sqrt(beside @ place @ beside) / distance,
                    float(np.hypot(*slower)),
                    math.sqrt(max(one.covariance[2, 2] + one.covariance[3, 3], 0.0)),
                    float(off @ np.linalg.solve(place, off)),
                )
            )


def _with_dropout(
    arrival: float, report: PeopleReport, dropout: Dropout, random: np.random.Generator
) -> list[tuple[float, PeopleReport]]:
    """What arrives of a report."""
    sparse = random.random() < 0.5
    if not dropout.active(arrival):
        return [(arrival, report)]
    if dropout.kind == "people_stop" or (dropout.kind == "people_sparse" and sparse):
        return []
    if dropout.kind == "people_late":
        return [(arrival + 0.6, report)]
    if dropout.kind == "people_error":
        return [(arrival, replace(report, status=PeopleStatus.ERROR, people=()))]
    if dropout.kind == "people_degraded" or dropout.kind == "sensors_die":
        return [(arrival, replace(report, status=PeopleStatus.DEGRADED))]
    if dropout.kind == "people_nan":
        people = tuple(replace(one, position=np.full(2, math.nan)) for one in report.people)
        return [(arrival, replace(report, people=people))]
    return [(arrival, report)]


def _true_people(
    places: np.ndarray, velocities: np.ndarray, world: RideWorld, who: np.ndarray, stamp: int
) -> PeopleReport:
    """Some of the people (bool ``[N]``), without errors."""
    return PeopleReport(
        stamp,
        tuple(
            PersonReport(
                world.names[n],
                places[n],
                velocities[n],
                np.zeros((4, 4)),
                radius=float(world.radii[n]),
            )
            for n in np.flatnonzero(who).tolist()
        ),
    )
