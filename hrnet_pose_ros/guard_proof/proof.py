# SPDX-License-Identifier: Apache-2.0
"""The proof: many rides with the guard and with the ideal brake, and what they say together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice, repeat
from typing import Any

from hrnet_pose_ros.guard.reasons import OF_PERSON
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard_proof.closed_loop import (
    DriveOutcome,
    PeopleSource,
    drive_with_guard,
    drive_with_ideal,
)
from hrnet_pose_ros.guard_proof.driven_vehicle import DrivenVehicle
from hrnet_pose_ros.guard_proof.fused_people import FusedPeople
from hrnet_pose_ros.guard_proof.people_model import (
    CAMERA_ERRORS,
    LIDAR_ERRORS,
    ModelledPeople,
    PeopleErrors,
)
from hrnet_pose_ros.guard_proof.ride_times import RideTimes, times_of
from hrnet_pose_ros.guard_proof.rides import Ride, draw_ride
from hrnet_pose_ros.guard_proof.world import RideWorld
from hrnet_pose_ros.simulation.residuals import KeypointResiduals
from hrnet_pose_ros.simulation.sensor import generator_of

# A contact at this speed is not counted as a failure, m/s.
HARMLESS = 0.3
CAMERA = ("camera", "imu", "odometry")
LIDAR = ("camera", "lidar", "imu", "odometry")


@dataclass(frozen=True)
class RideResult:
    """What came of one ride.

    Attributes
    ----------
    number, kind, dropout, source
        Of the ride; ``source`` is ``model`` or ``fusion``, with the sensors.
    guard, ideal, late, beside
        Contact speeds in m/s, 0 without a contact: with the guard, with the ideal brake, with the
        ideal brake that sees as late as the guard tolerates, and with the ideal brake in addition
        to the guard. The last three are NaN where they were not needed for the outcome.
    outcome
        ``no contact``, ``harmless``, ``failed``, ``unavoidable`` (the ideal brake does not avoid it
        either), ``unseen`` (not even the ideal brake in addition to the guard avoids it).
    stopped
        Whether the guard stopped the vehicle for a person; for free rides that is a false stop.
    times
        nav2's figures.
    wall_ms, cpu_ms
        Of the decisions.
    errors
        Of people, see `DriveOutcome`.
    drive
        The guard's, where it failed or stopped falsely, for its plot.
    """

    number: int
    kind: str
    dropout: str
    source: str
    guard: float
    ideal: float
    late: float
    beside: float
    outcome: str
    stopped: bool
    times: RideTimes
    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    errors: tuple[tuple[float, ...], ...]
    drive: DriveOutcome | None = None

    @property
    def false_stop(self) -> bool:
        """Whether the guard stopped for a person in a free ride without a dropout."""
        return self.kind == "free" and self.dropout == "none" and self.stopped

    def line(self) -> dict[str, Any]:
        """For report.json."""
        fields = ("number", "kind", "dropout", "source", "outcome", "stopped")
        speeds = ("guard", "ideal", "late", "beside")
        line: dict[str, Any] = {name: getattr(self, name) for name in fields}
        for name in speeds:
            value = getattr(self, name)
            line[f"{name}_contact_speed"] = round(value, 4) if math.isfinite(value) else None
        return line | {"times": asdict(self.times)}


def run_ride(seed: int, settings: GuardSettings, number: int, fused: bool) -> RideResult:
    """One ride; ``fused``: with the simulator's sensors and the fusion, else with their model."""
    with_lidar = number % 10 >= 7
    sensors = LIDAR if with_lidar else CAMERA
    ride = draw_ride(seed, number, sensors)
    if fused:
        source = partial(_fused, ride)
    else:
        source = partial(_modelled, ride, LIDAR_ERRORS if with_lidar else CAMERA_ERRORS)
    drive = drive_with_guard(ride, settings, source)
    outcome, ideal, late, beside = "no contact", math.nan, math.nan, math.nan
    if drive.contact:
        outcome = "harmless"
    if drive.contact_speed > HARMLESS:
        ideal = drive_with_ideal(ride, settings, source, 0.0).contact_speed
        late = drive_with_ideal(ride, settings, source, settings.people_timeout).contact_speed
        both = drive_with_guard(ride, settings, source, beside=True)
        beside = both.contact_speed
        outcome = "failed"
        if ideal > HARMLESS:
            outcome = "unavoidable"
        elif beside > HARMLESS:
            outcome = "unseen"
    people = {one.value for one in OF_PERSON}
    stopped = any(one.action == "stop" and one.reason in people for one in drive.trace)
    result = RideResult(
        number=number,
        kind=ride.kind,
        dropout=ride.dropout.kind,
        source=f"{'fusion' if fused else 'model'}, {'+'.join(sensors)}",
        guard=drive.contact_speed,
        ideal=ideal,
        late=late,
        beside=beside,
        outcome=outcome,
        stopped=stopped,
        times=times_of(drive.trace),
        wall_ms=drive.wall_ms,
        cpu_ms=drive.cpu_ms,
        errors=drive.errors,
    )
    if outcome in ("failed", "unavoidable", "unseen") or result.false_stop:
        return replace(result, drive=drive)
    return result


def rides_of(seed: int, rides: int, free_rides: int) -> list[int]:
    """Numbers of the first rides, and of so many free ones without a dropout that come after them.

    Among the first rides are too few of these to say how rare false stops are.

    >>> rides_of(1, 3, 0)
    [0, 1, 2]
    """
    free = (number for number in itertools.count(rides) if _is_free(seed, number))
    return [*range(rides), *islice(free, free_rides)]


def _is_free(seed: int, number: int) -> bool:
    ride = draw_ride(seed, number)
    return ride.kind == "free" and ride.dropout.kind == "none"


def run_rides(
    numbers: Sequence[int], seed: int, jobs: int, fused_every: int, settings: GuardSettings
) -> Iterator[RideResult]:
    """The rides in their order; numbers that ``fused_every`` divides have the real fusion, with 0
    none.
    """
    real = [bool(fused_every) and number % fused_every == 0 for number in numbers]
    if jobs == 1:
        yield from map(run_ride, repeat(seed), repeat(settings), numbers, real)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run_ride, repeat(seed), repeat(settings), numbers, real)


def _fused(ride: Ride, _: RideWorld, vehicle: DrivenVehicle) -> PeopleSource:
    return FusedPeople(ride.scenario, KeypointResiduals.load(), vehicle)


def _modelled(
    ride: Ride, errors: PeopleErrors, world: RideWorld, vehicle: DrivenVehicle
) -> PeopleSource:
    return ModelledPeople(world, errors, generator_of(ride.scenario.seed, "people errors"))
