# SPDX-License-Identifier: Apache-2.0
"""The figures of nav2's collision monitor bag test, for rides.

nav2 knows by a polygon when the robot has to stand. Here a second guard says it, which gets the
true places of those whom the detector has found, without delay: while its factor is 0, the vehicle
has to stand, and while it is 1, the way is clear: nobody is even in the slowdown zone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_pose_ros.guard_proof.closed_loop import COMMAND_PERIOD, DriveSample

FREE = 1.0  # factor at which standing is false
SETTLED = 0.6  # s: nav2's limit for stopping, from which on the vehicle must hold


@dataclass(frozen=True)
class RideTimes:
    """Figures of one ride.

    Attributes
    ----------
    to_stop, to_resume
        Seconds of each stop and each start.
    held, hold
        Samples in which the guard stood, of those in which it had to (after `SETTLED`).
    false, clear
        Samples in which it stood falsely, of those in which the way was clear for `SETTLED`.
    """

    to_stop: tuple[float, ...] = ()
    to_resume: tuple[float, ...] = ()
    held: int = 0
    hold: int = 0
    false: int = 0
    clear: int = 0


def times_of(trace: Sequence[DriveSample]) -> RideTimes:
    """The figures of a ride without a dropout; empty with one."""
    if not trace or math.isnan(trace[0].needed):
        return RideTimes()
    to_stop: list[float] = []
    to_resume: list[float] = []
    held = hold = false = clear = 0
    needed_since = free_since = -math.inf
    stopping = starting = False
    before: DriveSample | None = None
    for one in trace:
        stands = one.allowed <= 0 < one.commanded
        must, may = one.needed <= 0, one.needed >= FREE
        if must and not (before and before.needed <= 0):
            needed_since = one.time
            stopping = not stands
            if stands:
                to_stop.append(0.0)
        if may and not (before and before.needed >= FREE):
            free_since = one.time
            starting = stands
        if stopping and stands:
            to_stop.append(one.time - needed_since)
            stopping = False
        if stopping and not must:  # it was over before the guard stood
            stopping = False
        if starting and not stands:
            to_resume.append(one.time - free_since)
            starting = False
        if starting and not may:
            starting = False
        settled = SETTLED - COMMAND_PERIOD / 2
        if must and one.time - needed_since >= settled:
            hold += 1
            held += stands
        if may and one.time - free_since >= settled:
            clear += 1
            false += stands
        before = one
    return RideTimes(_rounded(to_stop), _rounded(to_resume), held, hold, false, clear)


def _rounded(values: list[float]) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in values)
