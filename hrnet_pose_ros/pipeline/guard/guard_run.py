# SPDX-License-Identifier: Apache-2.0
"""The guard between messages: which are used, when an answer is published, and what is counted.

It has neither a clock nor a thread: the node passes the times. ``now`` is that of the clock of the
stamps, in ns; ``steady`` is that of a monotonic clock, in s.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from hrnet_pose_ros.fusion.refusals import Refusal, Tally
from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.guard.guard import Guard
from hrnet_pose_ros.guard.inputs import LARGEST, PeopleReport, VelocityCommand
from hrnet_pose_ros.guard.reasons import COMMAND_FAULTS, GuardAction, GuardReason
from hrnet_pose_ros.pipeline.guard.settings import PedestrianGuardSettings
from hrnet_pose_ros.pipeline.stamps import stamp_of

# The node calls `GuardRun.tick` with this period, s.
TICK = 0.05
# A status that PersonArray does not have: for people that cannot be used.
_NO_STATUS = 255
# For so long a command that was late when it came is spoken of, s.
LATE_SHOWN = 2.0
_NAN = VelocityCommand((math.nan, 0.0, 0.0))
STOPPED = Decision(VelocityCommand(), 0.0, GuardAction.STOP, GuardReason.NONE)


class GuardInput(str, Enum):
    """What the guard receives; the values are names of topics."""

    PEOPLE = "people"
    COMMANDS = "cmd_vel_in"


@dataclass(frozen=True)
class GuardSituation:
    """What is known at one time, for diagnostics and drawings.

    Attributes
    ----------
    active
        Whether the guard answers commands.
    command
        The last valid one.
    decision
        The last one; None before the first.
    people
        The last report; None without one.
    ages
        Seconds since the stamps of people and command; NaN without one.
    late
        How old the last command was when it came, s, if it was too old already; NaN if it was not,
        or if none has come for `LATE_SHOWN`.
    """

    active: bool
    command: VelocityCommand
    decision: Decision | None
    people: PeopleReport | None
    ages: Mapping[GuardInput, float]
    late: float = math.nan


class GuardRun:
    """Takes messages of any library, and returns what is to be published, or None.

    Attributes
    ----------
    account
        What became of the messages, by input.
    problems
        The last explanation of a refusal, by input.
    """

    def __init__(self, settings: PedestrianGuardSettings) -> None:
        self.account = {one: Tally() for one in GuardInput}
        self.problems: dict[GuardInput, str] = {}
        self._settings = settings
        self._guard = Guard(settings.core())
        self._new: set[GuardInput] = set()
        self._before: Counter[GuardReason] = Counter()
        self._active = False
        self._forget()

    @property
    def active(self) -> bool:
        """Whether commands are answered."""
        return self._active

    @property
    def decision(self) -> Decision | None:
        """The last decision, published or not; None before the first."""
        return self._decision

    @property
    def counts(self) -> Counter[GuardReason]:
        """Decisions by each of their reasons, since the beginning."""
        return self._before + self._guard.counts

    def new_problem(self, what: GuardInput) -> str:
        """The explanation of a refusal that has not been asked for yet; empty without one."""
        if what not in self._new:
            return ""
        self._new.remove(what)
        return self.problems[what]

    def _forget(self) -> None:
        self._before += self._guard.counts
        self._guard = Guard(self._settings.core())
        self._decision: Decision | None = None
        self._published: VelocityCommand | None = None
        self._people: PeopleReport | None = None
        self._command = VelocityCommand()
        self._commanded_at: int | None = None
        self._late, self._late_until = math.nan, 0
        self._standing_since = math.inf

    def apply(self, settings: PedestrianGuardSettings) -> None:
        """Use other settings from now on."""
        self._settings = settings
        self._guard.apply(settings.core())

    def open(self) -> None:
        """Begin to answer; nothing is known of what was before."""
        self._forget()
        self._active = True

    def close(self) -> Decision | None:
        """Answer no more; returns the zero that is to be published if it did."""
        active, self._active = self._active, False
        self._decision = None  # what was wrong is not what is wrong
        return STOPPED if active else None

    def people(self, message: Any, now: int, steady: float) -> Decision | None:
        """Take a PersonArray; returns a decision if it changes what was published."""
        tally = self.account[GuardInput.PEOPLE]
        if not self._active:
            tally.count(Refusal.NOT_ACTIVE)
            return None
        frame = message.header.frame_id
        if frame == self._settings.base_frame:
            report = PeopleReport.of_message(message)
            used = self._guard.people(report, now)
            tally.count(None if used else Refusal.LATE)
            self._people = report if used else self._people
        else:
            report = PeopleReport(stamp_of(message), status=_NO_STATUS)
            self._guard.people(report, now)
            self._refuse(
                GuardInput.PEOPLE,
                f"people are in frame '{frame}', and base_frame is '{self._settings.base_frame}': "
                "set base_frame of both nodes alike",
            )
        return self._changed(self._guard.tick(now), steady)

    def command(self, message: Any, now: int, arrived: int, steady: float) -> Decision | None:
        """Take a Twist or TwistStamped; returns the answer, or None if the guard is not active.

        ``arrived``: when the middleware received it, ns of the clock of the stamps.
        """
        tally = self.account[GuardInput.COMMANDS]
        if not self._active:
            tally.count(Refusal.NOT_ACTIVE)
            return None
        header = getattr(message, "header", None)
        twist = message if header is None else message.twist
        stamp = arrived if header is None else stamp_of(message) or arrived
        command = VelocityCommand.of_message(twist)
        problem = ""
        if header is not None and header.frame_id not in self._settings.command_frames:
            problem = (
                f"a command is in frame '{header.frame_id}', which command_frames does not have"
            )
        elif not command.usable:
            problem = f"a command has numbers that are not finite, or beyond {LARGEST:g}: {command}"
        if problem:
            self._refuse(GuardInput.COMMANDS, problem)
            command = _NAN
        else:
            tally.count(None)
            self._command, self._commanded_at = command, stamp
            late = (arrived - stamp) / 1e9
            self._late = late if late > self._settings.command_timeout_ms / 1e3 else math.nan
            self._late_until = arrived + round(LATE_SHOWN * 1e9)
        return self._noted(self._guard.command(command, now, stamp), steady)

    def tick(self, now: int, steady: float) -> Decision | None:
        """Call it every `TICK`, also while nothing arrives; returns what is to be published."""
        if not self._active:
            return None
        decision = self._guard.tick(now)
        if not set(COMMAND_FAULTS) & set(decision.reasons):
            return self._changed(decision, steady)
        # Nobody commands: the guard goes on until the vehicle has been stopped for some time.
        silent = steady - self._standing_since > self._settings.stop_pub_timeout_ms / 1e3
        if self._published is None or silent:
            self._decision = decision
            return None
        return self._noted(decision, steady)

    def situation(self, now: int) -> GuardSituation:
        """What is known now."""
        people, commanded = self._people, self._commanded_at
        return GuardSituation(
            active=self._active,
            command=self._command,
            decision=self._decision,
            people=people,
            ages={
                GuardInput.PEOPLE: math.nan if people is None else (now - people.stamp) / 1e9,
                GuardInput.COMMANDS: math.nan if commanded is None else (now - commanded) / 1e9,
            },
            late=self._late if now < self._late_until else math.nan,
        )

    def speed_limit(self, now: int) -> float:
        """What is allowed of ``max_speed`` on the present way, m/s."""
        return self._guard.allowed_of(self._settings.max_speed, now)

    def _refuse(self, what: GuardInput, problem: str) -> None:
        self.account[what].count(Refusal.MALFORMED)
        self.problems[what] = problem
        self._new.add(what)

    def _changed(self, decision: Decision, steady: float) -> Decision | None:
        """A decision that nobody asked for: it is published if it is another one."""
        self._decision = decision
        if self._published is None or decision.twist == self._published:
            return None
        return self._noted(decision, steady)

    def _noted(self, decision: Decision, steady: float) -> Decision:
        if decision.twist != VelocityCommand():
            self._standing_since = math.inf
        elif self._published != decision.twist or self._standing_since == math.inf:
            self._standing_since = steady
        self._decision, self._published = decision, decision.twist
        return decision
