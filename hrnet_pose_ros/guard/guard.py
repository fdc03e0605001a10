# SPDX-License-Identifier: Apache-2.0
"""Limits a vehicle's commands for the people around it. Not a safety function: docs/guard.md."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import replace

import numpy as np

from hrnet_pose_ros.fusion.person import PeopleStatus
from hrnet_pose_ros.guard.believed_motion import BelievedMotion
from hrnet_pose_ros.guard.commanded_path import STILL, CommandedPath
from hrnet_pose_ros.guard.decision import NO_LIMIT, Decision, Limit, decided
from hrnet_pose_ros.guard.inputs import PeopleReport, PersonReport, VelocityCommand
from hrnet_pose_ros.guard.people_limit import PeopleLimit, PersonLimit
from hrnet_pose_ros.guard.people_memory import PeopleMemory
from hrnet_pose_ros.guard.reasons import COMMAND_FAULTS, GuardAction, GuardReason
from hrnet_pose_ros.guard.separation import (
    braking_distance,
    reaction_distance,
    stopping_speeds,
)
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard.watchdog import NS, TOLERANCE, Watchdog


class Guard:
    """Takes people and commands with the time of the clock (ns), and limits the commands.

    It has neither a clock nor a thread. `tick` must be called at a steady rate, at least every
    ``overload_after``; its decision is for the case that commands have stopped, or that people have
    come nearer since the last one.

    Attributes
    ----------
    counts
        Decisions by each of their reasons.

    Examples
    --------
    >>> from hrnet_pose_ros.guard.guard import Guard
    >>> from hrnet_pose_ros.guard.inputs import PeopleReport, VelocityCommand
    >>> guard = Guard(GuardSettings())
    >>> guard.people(PeopleReport(stamp=0), now=10_000_000)
    >>> decision = guard.command(VelocityCommand.planar(1.0), now=20_000_000)
    >>> decision.factor, decision.action.value
    (1.0, 'none')
    """

    def __init__(self, settings: GuardSettings) -> None:
        self.settings = settings
        self.counts: Counter[GuardReason] = Counter()
        self._watchdog = Watchdog(settings)
        self._motion = BelievedMotion(settings)
        self._least_motion = BelievedMotion(settings, least=True)
        self._memory = PeopleMemory(settings, self._motion, self._least_motion)
        self._people: PeopleReport | None = None
        self._person_invalid = False
        self._command: VelocityCommand | None = None
        self._command_stamp: int | None = None
        self._command_invalid = False
        self._command_over = False  # it was too old once: only another one moves the vehicle
        self._history: deque[tuple[int, Limit]] = deque()  # elapsed ns, the lowest limit
        self._holding: frozenset[str] = frozenset()
        # What was allowed when the present faults began, m/s; and the limits by inputs.
        self._before_faults = math.inf
        self._by_inputs: list[Limit] = []

    def apply(self, settings: GuardSettings) -> None:
        """Use other settings from now on; nothing of what is known is forgotten."""
        self.settings = settings
        self._watchdog.apply(settings)
        self._motion.apply(settings)
        self._least_motion.apply(settings)
        self._memory.apply(settings)

    def people(self, report: PeopleReport, now: int) -> bool:
        """Take the people of an image; False: they are older than the last, and not used."""
        self._advance(now)
        if self._people is not None and report.stamp < self._people.stamp <= now:
            return False
        self._people = report
        self._person_invalid = not all(one.placed for one in report.people)
        if report.stamp <= now + TOLERANCE * NS:  # else it is a fault, and shows nothing
            twist = (self._command or VelocityCommand()).on_ground
            self._memory.observe(report, self.settings.footprint.largest_speed(twist))
        return True

    def command(self, command: VelocityCommand, now: int, stamp: int | None = None) -> Decision:
        """Take a command and limit it.

        ``stamp`` is the command's own time, or when it was received (ns): one that has waited for
        the guard is older than ``now``, which is the default.
        """
        self._advance(now)
        self._command_invalid = not command.usable
        if command.usable:
            self._command = command
            self._command_stamp = now if stamp is None else stamp
            self._command_over = False
        return self._decide(now)

    def tick(self, now: int) -> Decision:
        """The decision about the last command at this time."""
        self._advance(now)
        return self._decide(now)

    def allowed_of(self, speed: float, now: int) -> float:
        """How much of a speed (m/s) the vehicle may have on the arc of the last command.

        Of the fastest point; straight ahead without a command. Command faults do not count: it is
        for planners that want to know what they may command.
        """
        twist = (self._command or VelocityCommand()).on_ground
        fastest = self.settings.footprint.largest_speed(twist)
        twist = twist * (speed / fastest) if fastest > STILL else np.array([speed, 0.0, 0.0])
        limits, _ = self._limits_ahead(twist, now, self._holding)
        limits += [one for one in self._by_inputs if one.reason not in COMMAND_FAULTS]
        return min([speed, *(one.speed for one in limits)])

    def _advance(self, now: int) -> None:
        event = self._watchdog.advance(now)
        if event in (GuardReason.CLOCK_JUMPED_BACK, GuardReason.CLOCK_JUMPED_FORWARDS):
            self._people, self._person_invalid = None, False
            self._motion.clear()
            self._least_motion.clear()
            self._memory.clear()
            if self._command_stamp is not None:
                self._command_stamp = now  # its age is not known any more, and counts from now

    def _decide(self, now: int) -> Decision:
        command = self._command or VelocityCommand()
        twist = command.on_ground
        speed = self.settings.footprint.largest_speed(twist)
        self._by_inputs = self._input_limits(now)
        limits, people = self._limits_ahead(twist, now, self._holding)
        # The delay runs from when the cause has gone, the margin must be there when it ends.
        without_margin = limits
        if self._holding:
            without_margin, _ = self._limits_ahead(twist, now, frozenset())
        self._remember_limit(without_margin + self._by_inputs)
        limits += self._by_inputs
        limits += self._release(limits, speed)
        person = min(people, key=lambda one: one.factor, default=None)
        decision = decided(command, speed, limits, person, self.settings.stop_speed)
        # While it stands, everybody for whom it had to must be further away before it starts.
        stands = decision.factor <= 0
        stopping = frozenset().union(*(one.stopping for one in people))
        self._holding = self._holding | stopping if stands else frozenset()
        self._motion.add(decision.twist.on_ground, now)
        self._least_motion.add(decision.twist.on_ground, now)
        self.counts.update(decision.reasons)
        decision = replace(decision, remembered=self._memory.count(now))
        if self._people is None:
            return decision
        return replace(decision, people_age=(now - self._people.stamp) / NS)

    def _limits_ahead(
        self, twist: np.ndarray, now: int, holding: frozenset[str]
    ) -> tuple[list[Limit], list[PersonLimit]]:
        """The limits by view and people on the way of a planar twist, and those by people.

        ``holding``: for whom the vehicle stands.
        """
        settings = self.settings
        speed = settings.footprint.largest_speed(twist)
        if speed <= STILL:
            return [], []
        stopping = reaction_distance(speed, settings) + braking_distance(speed, settings)
        path = CommandedPath(
            twist, settings.footprint, max(stopping, settings.horizon * speed) + settings.intrusion
        )
        person = self._person_limit(path, self._reported(now), now, holding)
        limits = self._view_limit(path) + self._people_limits(person, speed)
        absent = self._person_limit(path, self._memory.people(now), now, holding)
        if absent is not None and absent.factor < 1:
            slow = absent.factor * speed
            limits.append(Limit(slow, GuardAction.APPROACH, GuardReason.PERSON_REMEMBERED))
        return limits, [one for one in (person, absent) if one is not None]

    def _input_limits(self, now: int) -> list[Limit]:
        faults = self._watchdog.faults(
            self._people,
            self._command_stamp,
            now,
            command_invalid=self._command_invalid,
            command_over=self._command_over,
            person_invalid=self._person_invalid,
        )
        self._command_over = GuardReason.COMMAND_TOO_OLD in faults
        began = self._watchdog.faulty
        speed = self._watchdog.allowed_speed(faults)
        if faults and not began:
            # A fault never raises the speed: who stands for somebody does not begin to crawl.
            self._before_faults = min((one.speed for _, one in self._history), default=math.inf)
        speed = min(speed, self._before_faults)
        limits = [Limit(speed, GuardAction.LIMIT, fault) for fault in faults]
        degraded = self._people is not None and self._people.status == PeopleStatus.DEGRADED
        if degraded and math.isfinite(self.settings.degraded_speed):
            limits.append(
                Limit(self.settings.degraded_speed, GuardAction.LIMIT, GuardReason.PEOPLE_DEGRADED)
            )
        return limits

    def _view_limit(self, path: CommandedPath) -> list[Limit]:
        """The speed from which the vehicle stands before its way leaves the view."""
        settings = self.settings
        if settings.view >= 2 * math.pi:
            return []
        off = math.remainder(path.bearing(0.0) - settings.view_direction, 2 * math.pi)
        turn = path.bearing(1.0) - path.bearing(0.0)  # for each metre
        rest = settings.view / 2 - off * math.copysign(1.0, turn)  # to the border of the view
        speed = settings.blind_speed
        if abs(off) <= settings.view / 2 and settings.view:  # so not for NaN, a turn on the spot
            if abs(turn) < STILL:
                return []
            length = np.array([rest / abs(turn)])
            speed = max(speed, float(stopping_speeds(length, settings)[0]))
        return [Limit(speed, GuardAction.LIMIT, GuardReason.OUT_OF_VIEW)]

    def _reported(self, now: int) -> list[PersonReport]:
        """Those of the last people who count, in the base frame of now."""
        if self._people is None:
            return []
        turn, place = self._motion.since(self._people.stamp, now)
        return [
            one.moved(turn, place)
            for one in self._people.people
            if one.placed and not one.existence < self.settings.min_existence
        ]

    def _person_limit(
        self, path: CommandedPath, people: list[PersonReport], now: int, holding: frozenset[str]
    ) -> PersonLimit | None:
        if not people or self._people is None:
            return None
        age = max((now - self._people.stamp) / NS, 0.0)
        return PeopleLimit(self.settings, people, age, path, holding).limit()

    def _people_limits(self, person: PersonLimit | None, speed: float) -> list[Limit]:
        limits = []
        if person is not None and person.factor < 1:
            reason = GuardReason.SEPARATION
            if person.inside:
                reason = GuardReason.PERSON_IN_STOP_ZONE
            limits.append(Limit(person.factor * speed, GuardAction.APPROACH, reason))
        if person is not None and person.slowdown_id and self.settings.slowdown_ratio < 1:
            slow = self.settings.slowdown_ratio * speed
            limits.append(Limit(slow, GuardAction.SLOWDOWN, GuardReason.PERSON_IN_SLOWDOWN_ZONE))
        return limits

    def _remember_limit(self, limits: list[Limit]) -> None:
        """Keep the lowest limit of now for ``release_delay``."""
        now = self._watchdog.elapsed
        lowest = min(limits, key=lambda one: one.speed, default=NO_LIMIT)
        self._history.append((now, lowest))
        while self._history[0][0] < now - round(self.settings.release_delay * NS):
            self._history.popleft()

    def _release(self, limits: list[Limit], speed: float) -> list[Limit]:
        """The lowest limit within ``release_delay``, if it is lower than those that there are now.

        Under its own reason if that still limits the commanded speed, and as RELEASING if not.
        """
        lowest = min((one.speed for one in limits), default=math.inf)
        before = min((one for _, one in self._history), key=lambda one: one.speed)
        if before.speed >= lowest:
            return []
        if before.reason in {one.reason for one in limits if one.speed < speed}:
            return [before]
        return [Limit(before.speed, GuardAction.LIMIT, GuardReason.RELEASING)]
