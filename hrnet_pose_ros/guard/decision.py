# SPDX-License-Identifier: Apache-2.0
"""What the vehicle may do, and which of several limits decides it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hrnet_pose_ros.guard.commanded_path import STILL
from hrnet_pose_ros.guard.inputs import VelocityCommand
from hrnet_pose_ros.guard.people_limit import PersonLimit
from hrnet_pose_ros.guard.reasons import INPUT_FAULTS, OF_PERSON, GuardAction, GuardReason
from hrnet_pose_ros.guard.separation import Separation


@dataclass(frozen=True)
class Decision:
    """What the vehicle may do, and why.

    Attributes
    ----------
    twist
        The command, scaled.
    factor
        On linear and angular speed alike, 0 to 1.
    action, reason
        Of the lowest limit; NONE if the command is passed on as it is.
    reasons
        All that limit it, in their order of precedence.
    limit
        Speed of the vehicle's fastest point that is allowed, m/s; infinite without a limit.
    terms
        The separation distance to the person who decides, or who is the most critical one if
        nobody does; None without people.
    person_id
        Whose; empty without people.
    distance
        From the vehicle to that person's cylinder, m; NaN without people.
    place
        Of that person, x and y in the base frame of now, m; NaN without people.
    people_age
        Seconds since the image; NaN without people's message.
    remembered
        How many people are remembered who are not reported any more.
    """

    twist: VelocityCommand
    factor: float
    action: GuardAction
    reason: GuardReason
    reasons: tuple[GuardReason, ...] = ()
    limit: float = math.inf
    terms: Separation | None = None
    person_id: str = ""
    distance: float = math.nan
    place: tuple[float, float] = (math.nan, math.nan)
    people_age: float = math.nan
    remembered: int = 0

    @property
    def of_person(self) -> bool:
        """Whether the separation distance to the person `person_id` decides."""
        return self.reason in OF_PERSON


@dataclass(frozen=True)
class Limit:
    """A speed of the vehicle's fastest point, m/s, and why it may not go faster."""

    speed: float
    action: GuardAction
    reason: GuardReason


NO_LIMIT = Limit(math.inf, GuardAction.NONE, GuardReason.NONE)


def decided(
    command: VelocityCommand,
    speed: float,
    limits: list[Limit],
    person: PersonLimit | None,
    stop_speed: float,
) -> Decision:
    """Return what follows from the limits of a command whose fastest point has a speed, m/s.

    ``person`` is the most critical one; below ``stop_speed`` the vehicle stops.
    """
    order = list(GuardReason).index
    active = sorted(
        (
            one
            for one in limits
            if one.speed < speed or one.speed <= 0 or one.reason in INPUT_FAULTS
        ),
        key=lambda one: (one.speed, order(one.reason)),
    )
    factor, action, reason, lowest = 1.0, GuardAction.NONE, GuardReason.NONE, math.inf
    if active:
        lowest = active[0].speed
        factor = min(lowest / speed, 1.0) if speed > STILL else float(lowest > 0)
        action, reason = active[0].action, active[0].reason
        if lowest < stop_speed or lowest <= 0:
            factor, action, lowest = 0.0, GuardAction.STOP, 0.0
    return Decision(
        twist=command.scaled(factor),
        factor=factor,
        action=action,
        reason=reason,
        reasons=tuple(sorted({one.reason for one in active}, key=order)),
        limit=lowest,
        terms=None if person is None else person.terms,
        person_id="" if person is None else person.id,
        distance=math.nan if person is None else person.distance,
        place=(math.nan, math.nan) if person is None else person.place,
    )
