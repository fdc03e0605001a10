# SPDX-License-Identifier: Apache-2.0
"""The guard node's diagnostics: what came in, what it decides and why, and how fast it answers."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from hrnet_pose_ros.fusion.refusals import Refusal, Tally
from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.guard.reasons import COMMAND_FAULTS, INPUT_FAULTS, GuardReason
from hrnet_pose_ros.nodes.people.diagnostics import tally_values
from hrnet_pose_ros.pipeline.guard.guard_markers import decision_text
from hrnet_pose_ros.pipeline.guard.guard_run import GuardInput, GuardSituation
from hrnet_pose_ros.pipeline.guard.settings import PedestrianGuardSettings
from hrnet_pose_ros.ros.diagnostic_status import (
    DiagnosticCondition,
    DiagnosticLevel,
    Hysteresis,
    diagnostic_status,
    host_hardware_id,
    summary,
)

# Percentiles are computed over this many seconds.
WINDOW = 10.0
PERCENTILES = (50, 95, 99)
# Terms of the separation distance, in the order of the sum.
TERMS = ("human", "reaction", "braking", "intrusion", "uncertainty", "child", "total")
# Without commands a robot stands, which is no fault.
_IDLE = (GuardReason.NO_COMMAND, GuardReason.COMMAND_TOO_OLD)
_WARNINGS = (
    *(one for one in COMMAND_FAULTS if one not in _IDLE),
    GuardReason.PEOPLE_DEGRADED,
)
_ERRORS = tuple(one for one in INPUT_FAULTS if one not in COMMAND_FAULTS)


@dataclass(frozen=True)
class GuardState:
    """The node's state at the time of a report, besides its counters.

    Attributes
    ----------
    situation, account, problems, counts
        Of `GuardRun`.
    settings
        The parameters.
    incompatible_qos
        One sentence per peer.
    """

    situation: GuardSituation
    account: Mapping[GuardInput, Tally]
    problems: Mapping[GuardInput, str]
    counts: Mapping[GuardReason, int]
    settings: PedestrianGuardSettings
    incompatible_qos: list[str] = field(default_factory=list)


class GuardHealth:
    """Counters and recent times; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hardware_id = host_hardware_id()
        self._held = {name: Hysteresis() for name in ("input", "output")}
        self._lost: Counter[GuardInput] = Counter()
        self._published = 0
        self._late_people = 0  # up to the last report
        # Of all decisions since the last report.
        self._seen: set[GuardReason] = set()
        # When, and from the arrival of the command to its answer; seconds.
        self._recent: deque[tuple[float, float]] = deque()

    def lost(self, what: GuardInput, count: int) -> None:
        """Count messages that the middleware has lost."""
        with self._lock:
            self._lost[what] += count

    def decided(self, decision: Decision | None) -> None:
        """Note a decision, published or not."""
        if decision is not None:
            with self._lock:
                self._seen.update(decision.reasons)

    def published(self, latency: float = math.nan) -> None:
        """Note an answer, with the time since its command arrived, s; NaN without a command."""
        with self._lock:
            self._published += 1
            if math.isfinite(latency):
                self._recent.append((time.monotonic(), latency))

    def statuses(self, name: str, state: GuardState) -> list[DiagnosticStatus]:
        """Return the statuses ``name: input`` and ``name: output``."""
        with self._lock:
            now = time.monotonic()
            while self._recent and self._recent[0][0] < now - WINDOW:
                self._recent.popleft()
            seen, self._seen = self._seen, set()
            return [self._input(name, state, seen, now), self._output(name, state, now)]

    def _input(
        self, name: str, state: GuardState, seen: set[GuardReason], now: float
    ) -> DiagnosticStatus:
        conditions = [
            DiagnosticCondition(f"incompatible_qos {place}", DiagnosticLevel.WARN, text)
            for place, text in enumerate(state.incompatible_qos)
        ]
        for level, reasons in ((DiagnosticLevel.ERROR, _ERRORS), (DiagnosticLevel.WARN, _WARNINGS)):
            conditions += [
                DiagnosticCondition(one.value, level, _explained(one, state))
                for one in reasons
                if one in seen
            ]
        late = state.situation.late
        if GuardReason.COMMAND_TOO_OLD in seen and math.isfinite(late):
            # They come, and none is used: that is not a robot that is idle.
            text = (
                f"command_too_old (stamped {late:.1f} s before they come, and command_timeout_ms "
                f"is {state.settings.command_timeout_ms:g}: do the clocks differ, or use_sim_time?)"
            )
            conditions.append(DiagnosticCondition("command_too_old", DiagnosticLevel.WARN, text))
        late_before = self._late_people
        self._late_people = state.account[GuardInput.PEOPLE].reasons[Refusal.LATE]
        if self._late_people > late_before:
            # Of two nodes that tell people, the guard hears only the one whose images are newer.
            text = (
                f"{self._late_people - late_before} people messages not used: older than the one "
                "before (does more than one node publish people?)"
            )
            conditions.append(DiagnosticCondition("people late", DiagnosticLevel.WARN, text))
        values: dict[str, str] = {}
        for what, tally in state.account.items():
            values |= tally_values(what.value, tally)
            if self._lost[what]:
                values[f"lost.{what.value}"] = str(self._lost[what])
        ages = state.situation.ages
        values["people_age_ms"] = _ms(ages[GuardInput.PEOPLE])
        values["command_age_ms"] = _ms(ages[GuardInput.COMMANDS])
        people = state.situation.people
        values["persons"] = str(len(people.people) if people is not None else 0)
        ok_text = "ok" if state.situation.active else "not active"
        level, message = summary(self._held["input"].update(now, conditions), ok_text)
        return diagnostic_status(f"{name}: input", level, message, values, self._hardware_id)

    def _output(self, name: str, state: GuardState, now: float) -> DiagnosticStatus:
        situation, settings = state.situation, state.settings
        decision = situation.decision
        ok_text = "not active"
        values: dict[str, str] = {}
        if situation.active and decision is not None:
            commanded = settings.core().footprint.largest_speed(situation.command.on_ground)
            ok_text = decision_text(decision, commanded).replace("\n", ", ")
            values |= decision_values(decision, commanded)
        values |= {
            f"decided.{one.value}": str(n) for one in GuardReason if (n := state.counts[one])
        }
        values["published"] = str(self._published)
        conditions = []
        if self._recent:
            samples = np.array([latency for _, latency in self._recent]) * 1e3
            percentiles = np.percentile(samples, PERCENTILES)
            for p, value in zip(PERCENTILES, percentiles, strict=True):
                values[f"latency_ms.p{p}"] = f"{value:.2f}"
            if percentiles[-1] > settings.warn_latency_ms:
                text = f"commands are answered after {percentiles[-1]:.1f} ms at p99"
                conditions.append(DiagnosticCondition("slow", DiagnosticLevel.WARN, text))
        level, message = summary(self._held["output"].update(now, conditions), ok_text)
        return diagnostic_status(f"{name}: output", level, message, values, self._hardware_id)


def decision_values(decision: Decision, commanded: float) -> dict[str, str]:
    """Return what was decided and why, with each term of the separation distance, m."""
    values = {
        "action": decision.action.value,
        "reason": decision.reason.value,
        "reasons": " ".join(one.value for one in decision.reasons),
        "factor": f"{decision.factor:.3f}",
        "commanded_m_s": f"{commanded:.3f}",
        "limit_m_s": f"{decision.limit:.3f}",
        "person_id": decision.person_id,
        "distance_m": f"{decision.distance:.2f}",
        "remembered": str(decision.remembered),
    }
    for term in TERMS if decision.terms is not None else ():
        values[f"separation.{term}_m"] = f"{getattr(decision.terms, term):.3f}"
    return values


def _explained(reason: GuardReason, state: GuardState) -> str:
    """Return a reason with what is known about it."""
    settings = state.settings
    text = ""
    if reason is GuardReason.PEOPLE_TOO_OLD:
        text = f"older than people_timeout_ms, {settings.people_timeout_ms:g}"
    elif reason is GuardReason.NO_PEOPLE:
        text = "nothing on people"
    elif reason in (GuardReason.PEOPLE_IN_FUTURE, GuardReason.COMMAND_IN_FUTURE):
        text = "stamped ahead of this clock"
    elif reason is GuardReason.OVERLOAD:
        text = f"not called for more than {settings.overload_after_ms:g} ms"
    elif reason is GuardReason.PEOPLE_INVALID:
        text = state.problems.get(GuardInput.PEOPLE, "a status that PersonArray does not have")
    elif reason is GuardReason.PERSON_INVALID:
        text = "somebody has no finite position or covariance"
    elif reason is GuardReason.COMMAND_INVALID:
        text = state.problems.get(GuardInput.COMMANDS, "")
    return f"{reason.value} ({text})" if text else reason.value


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}" if math.isfinite(seconds) else "nan"
