# SPDX-License-Identifier: Apache-2.0
"""The fusion node's diagnostics: what came in, what became of it, and how fast."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from hrnet_pose_ros.fusion.person import PeopleStatus, StatusReason
from hrnet_pose_ros.fusion.refusals import Refusal, Tally
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput, words
from hrnet_pose_ros.ros.diagnostic_status import (
    DiagnosticCondition,
    DiagnosticLevel,
    Hysteresis,
    diagnostic_status,
    host_hardware_id,
    summary,
)

# Rates and percentiles are computed over this many seconds.
WINDOW = 10.0
PERCENTILES = (50, 95, 99)
_LEVELS = {
    PeopleStatus.OK: DiagnosticLevel.OK,
    PeopleStatus.DEGRADED: DiagnosticLevel.WARN,
    PeopleStatus.ERROR: DiagnosticLevel.ERROR,
}
# Which inputs a reason is about, for its explanation: the first one that has a problem.
_ABOUT = {
    StatusReason.DEPTH_SILENT: (Input.DEPTH,),
    StatusReason.LIDAR_SILENT: (Input.POINTS,),
    StatusReason.SCAN_SILENT: (Input.SCAN,),
    StatusReason.ULTRASONIC_SILENT: (Input.RANGE,),
    StatusReason.IMU_SILENT: (Input.IMU,),
    StatusReason.ODOMETRY_SILENT: (Input.ODOMETRY,),
    StatusReason.SKELETONS_REFUSED: (Input.SKELETONS,),
    StatusReason.SKELETON_INFO_MISSING: (Input.SKELETON_INFO, Input.SKELETONS),
    StatusReason.CAMERA_INFO_MISSING: (Input.SKELETONS,),
    StatusReason.CAMERA_TRANSFORM_MISSING: (Input.SKELETONS,),
}


@dataclass(frozen=True)
class FusionState:
    """The node's state at the time of a report, besides its counters.

    Attributes
    ----------
    active
        The lifecycle state.
    status, reasons
        As in PersonArray.
    account, cues
        Of `FusionRun`.
    problems
        Of `FusionRun.current_problems`.
    transforms_refused
        How many transforms were not usable.
    transform_problems
        Of `FusionRun`.
    incompatible_qos
        One sentence per peer.
    transition_problem
        Why the last transition failed; empty if it did not.
    warn_latency
        Seconds.
    """

    active: bool
    status: PeopleStatus
    reasons: tuple[StatusReason, ...]
    account: Mapping[Input, Tally]
    cues: Mapping[str, Tally]
    problems: Mapping[Input, str]
    transforms_refused: int
    transform_problems: list[str] = field(default_factory=list)
    incompatible_qos: list[str] = field(default_factory=list)
    transition_problem: str = ""
    warn_latency: float = 0.1


class FusionHealth:
    """Counters and recent times of the outputs; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hardware_id = host_hardware_id()
        self._held = {name: Hysteresis() for name in ("input", "output", "cues")}
        self._lost: Counter[Input] = Counter()
        self._published: Counter[PeopleStatus] = Counter()
        self._persons = 0
        # When, latency from the skeletons' arrival (NaN: unknown), and age of the stamp; seconds.
        self._recent: deque[tuple[float, float, float]] = deque()

    def lost(self, what: Input, count: int) -> None:
        """Count messages that the middleware has lost."""
        with self._lock:
            self._lost[what] += count

    def published(self, output: PeopleOutput, latency: float, age: float) -> None:
        """Note an output, with the time since its skeletons arrived and since its stamp, s."""
        with self._lock:
            self._published[output.status] += 1
            self._persons += len(output.people)
            if output.status is not PeopleStatus.ERROR:
                self._recent.append((time.monotonic(), latency, age))

    def statuses(self, name: str, state: FusionState) -> list[DiagnosticStatus]:
        """Return the statuses ``name: input``, ``name: output`` and ``name: cues``."""
        with self._lock:
            now = time.monotonic()
            while self._recent and self._recent[0][0] < now - WINDOW:
                self._recent.popleft()
            return [
                self._input(name, state, now),
                self._output(name, state, now),
                self._cues(name, state, now),
            ]

    def _input(self, name: str, state: FusionState, now: float) -> DiagnosticStatus:
        conditions = [
            DiagnosticCondition(f"incompatible_qos {place}", DiagnosticLevel.WARN, text)
            for place, text in enumerate(state.incompatible_qos)
        ]
        if state.active and state.status is not PeopleStatus.OK:
            text = _explained(state)
            conditions.append(DiagnosticCondition("status", _LEVELS[state.status], text))
        if state.transform_problems:
            text = "; ".join(state.transform_problems)
            conditions.append(DiagnosticCondition("tf", DiagnosticLevel.WARN, text))
        values: dict[str, str] = {}
        for what, tally in state.account.items():
            if tally.received or self._lost[what]:
                values |= tally_values(what.value, tally)
                if self._lost[what]:
                    values[f"lost.{what.value}"] = str(self._lost[what])
        if state.transforms_refused:
            values["refused.transforms"] = str(state.transforms_refused)
        level, message = summary(self._held["input"].update(now, conditions), "ok")
        return diagnostic_status(f"{name}: input", level, message, values, self._hardware_id)

    def _output(self, name: str, state: FusionState, now: float) -> DiagnosticStatus:
        values = {f"published.{one.name}": str(self._published[one]) for one in PeopleStatus}
        values["persons"] = str(self._persons)
        rate = len(self._recent) / max(now - self._recent[0][0], 1e-3) if self._recent else 0.0
        values["rate_hz"] = f"{rate:.2f}" if len(self._recent) > 1 else "0.00"
        conditions = []
        for place, what in ((1, "latency"), (2, "age")):
            samples = np.array([one[place] for one in self._recent], np.float64)
            samples = samples[np.isfinite(samples)]
            if not len(samples):
                continue
            percentiles = np.percentile(samples, PERCENTILES)
            for p, value in zip(PERCENTILES, percentiles, strict=True):
                values[f"{what}_ms.p{p}"] = f"{value * 1e3:.1f}"
            if what == "latency" and percentiles[1] > state.warn_latency:
                text = f"people come {percentiles[1] * 1e3:.0f} ms after the skeletons at p95"
                conditions.append(DiagnosticCondition("slow", DiagnosticLevel.WARN, text))
        if state.transition_problem:
            conditions.append(
                DiagnosticCondition(
                    "transition_failed", DiagnosticLevel.ERROR, state.transition_problem
                )
            )
        ok_text = f"{state.status.name}, {rate:.1f} images/s" if state.active else "not active"
        level, message = summary(self._held["output"].update(now, conditions), ok_text)
        return diagnostic_status(f"{name}: output", level, message, values, self._hardware_id)

    def _cues(self, name: str, state: FusionState, now: float) -> DiagnosticStatus:
        values: dict[str, str] = {}
        for cue, tally in state.cues.items():
            if tally.received:
                values |= tally_values(cue, tally)
        used = [cue for cue, tally in state.cues.items() if tally.used]
        level, message = summary([], f"used: {', '.join(used)}" if used else "none used yet")
        return diagnostic_status(f"{name}: cues", level, message, values, self._hardware_id)


def tally_values(name: str, tally: Tally) -> dict[str, str]:
    """Return the values ``received.NAME``, ``used.NAME``, ``refused.NAME.REASON`` of a tally."""
    values = {f"received.{name}": str(tally.received), f"used.{name}": str(tally.used)}
    if tally.waiting:
        values[f"waiting.{name}"] = str(tally.waiting)
    for reason in Refusal:
        if tally.reasons[reason]:
            values[f"refused.{name}.{reason.value}"] = str(tally.reasons[reason])
    return values


def _explained(state: FusionState) -> str:
    """Return the reasons of the status, each with the last explanation of its input."""
    texts = []
    for reason in state.reasons:
        found = (state.problems.get(one, "") for one in _ABOUT.get(reason, ()))
        problem = next(filter(None, found), "")
        texts.append(f"{reason.value} ({problem})" if problem else words([reason]))
    return f"{state.status.name}: {'; '.join(texts)}"
