# SPDX-License-Identifier: Apache-2.0
"""The node's counters and recent times, and the diagnostics computed from them."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from hrnet_pose_ros.pipeline.drop_reasons import Drops, Reason, Subject
from hrnet_pose_ros.pipeline.skeleton_messages import Times
from hrnet_pose_ros.ros.diagnostic_status import (
    DiagnosticCondition,
    DiagnosticLevel,
    Hysteresis,
    diagnostic_status,
    host_hardware_id,
    summary,
)

# Rates, percentiles and fractions are computed over this many seconds.
WINDOW = 10.0
PERCENTILES = (50, 95, 99)
# The node warns when no image has arrived for this many seconds.
SILENCE = 1.0
# The node warns when more than this fraction of the detection messages find no image. Images
# without detections are normal: a detector slower than the camera skips most of them.
MANY_UNMATCHED = 0.2

CLOCK_DIFFERS_TEXT = (
    "camera clock differs: stamps are over 10 s from this node's clock or in the future; "
    "synchronise the clocks, or set use_sim_time and play the bag with --clock"
)


class EngineState(Enum):
    """The state of the engine."""

    NONE = "not configured"
    PREPARING = "preparing"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Build:
    """The state of a build: a text, the progress in [0, 1], and its start on the steady clock."""

    text: str
    progress: float | None
    since: float

    def line(self, now: float) -> str:
        """Return one line such as ``building a plan, 42 %, 35 s``."""
        done = "" if self.progress is None else f", {self.progress:.0%}".replace("%", " %")
        return f"{self.text}{done}, {now - self.since:.0f} s"


@dataclass(frozen=True)
class NodeStatus:
    """The node's state at the time of a report, besides its counters."""

    active: bool
    incompatible_qos: list[str]  # one sentence per peer
    transition_problem: str  # why the last transition failed; empty if it did not
    warn_age: float  # seconds


class Health:
    """Counters and recent times; thread-safe.

    Parameters
    ----------
    hardware_id
        The hardware_id of every status; by default the name of this computer.
    steady
        The steady clock, seconds.
    """

    def __init__(
        self,
        hardware_id: str | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.drops = Drops()
        self._hardware_id = host_hardware_id() if hardware_id is None else hardware_id
        self._steady = steady
        self._lock = threading.Lock()
        self._received: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._last_image: float | None = None
        self._published = 0
        self._persons = 0
        # (steady time, number of persons, times) of the recently published images
        self._recent: deque[tuple[float, int, Times]] = deque()
        # (steady time, and the totals of detection messages received and unmatched, and of stamps
        # from another clock)
        self._counted: deque[tuple[float, int, int, int]] = deque()
        self._engine_state = EngineState.NONE
        self._engine_text = ""
        self._fallback = ""  # why the CPU replaces the GPU
        self._failures = 0
        self._unreported_failure = ""  # since the last report
        self._build: Build | None = None
        self._empty_frame_id = False
        self._held = {name: Hysteresis() for name in ("engine", "input", "output")}

    def received(self, topic: str, now: float) -> None:
        """Count a message of ``images``, ``detections`` or ``camera_info``."""
        with self._lock:
            self._received[topic] += 1
            if topic == Subject.IMAGE.value:
                self._last_image = now

    def lost(self, topic: str, count: int) -> None:
        """Count messages that the middleware lost."""
        with self._lock:
            self._lost[topic] += count

    def published(self, persons: int, times: Times, *, empty_frame_id: bool) -> None:
        """Record a published SkeletonArray."""
        with self._lock:
            self._published += 1
            self._persons += persons
            self._empty_frame_id = empty_frame_id
            self._recent.append((self._steady(), persons, times))

    def engine(self, state: EngineState, text: str = "", fallback: str = "") -> None:
        """Record the engine's state and a text; ``fallback``: why the CPU replaces the GPU."""
        with self._lock:
            self._engine_state, self._engine_text, self._fallback = state, text, fallback
            self._build = None

    def building(self, text: str, progress: float | None) -> str:
        """Record the progress of a long build, in [0, 1], and return it as one line."""
        with self._lock:
            since = self._steady() if self._build is None else self._build.since
            self._build = Build(text, progress, since)
            self._engine_state = EngineState.PREPARING
            return self._build.line(self._steady())

    def engine_failed(self, text: str) -> None:
        """Count a failure; it is reported as an error even if the engine has recovered by then."""
        with self._lock:
            self._failures += 1
            self._unreported_failure = text

    @property
    def engine_state(self) -> tuple[EngineState, str]:
        """The last recorded state and its text."""
        with self._lock:
            return self._engine_state, self._engine_text

    def statuses(self, name: str, node_status: NodeStatus) -> list[DiagnosticStatus]:
        """Return the three statuses ``name: engine``, ``name: input`` and ``name: output``.

        Call it once per second; each level is held for 3 s.
        """
        drops = self.drops.counts()
        with self._lock:
            now = self._steady()
            while self._recent and self._recent[0][0] < now - WINDOW:
                self._recent.popleft()
            return [
                self._engine_status(name, node_status, now),
                self._input_status(name, node_status, now, drops),
                self._output_status(name, node_status, now),
            ]

    def _engine_status(self, name: str, node_status: NodeStatus, now: float) -> DiagnosticStatus:
        state, build = self._engine_state, self._build
        text = self._engine_text if build is None else build.line(now)
        values = {
            "state": state.value,
            "fallback": str(bool(self._fallback)).lower(),
            "failures": str(self._failures),
        }
        if build is not None:
            values["build_seconds"] = f"{now - build.since:.0f}"
            if build.progress is not None:
                values["build_progress"] = f"{build.progress:.2f}"
        conditions = self._engine_conditions(node_status, text)
        ok_text = f"{state.value}: {text}" if text else state.value
        level, message = summary(self._held["engine"].update(now, conditions), ok_text)
        return self._status(f"{name}: engine", level, message, values)

    def _engine_conditions(self, node_status: NodeStatus, text: str) -> list[DiagnosticCondition]:
        state, failure = self._engine_state, self._unreported_failure
        self._unreported_failure = ""
        conditions = []
        if state is EngineState.FAILED:
            conditions.append(
                DiagnosticCondition("engine_failed", DiagnosticLevel.ERROR, f"failed: {text}")
            )
        elif failure:
            conditions.append(
                DiagnosticCondition("engine_failed", DiagnosticLevel.ERROR, f"failed: {failure}")
            )
        elif node_status.transition_problem:
            problem = node_status.transition_problem
            conditions.append(
                DiagnosticCondition("transition_failed", DiagnosticLevel.ERROR, problem)
            )
        if self._fallback:
            message = f"CPU fallback: {text}; the GPU engine was given up: {self._fallback}"
            conditions.append(DiagnosticCondition("cpu_fallback", DiagnosticLevel.WARN, message))
        if node_status.active and state is EngineState.PREPARING:
            message = f"no skeletons until the engine is ready; preparing: {text}"
            conditions.append(
                DiagnosticCondition("engine_preparing", DiagnosticLevel.WARN, message)
            )
        return conditions

    def _input_status(
        self, name: str, node_status: NodeStatus, now: float, drops: dict[str, int]
    ) -> DiagnosticStatus:
        conditions = [
            DiagnosticCondition(f"incompatible_qos {place}", DiagnosticLevel.WARN, text)
            for place, text in enumerate(node_status.incompatible_qos)
        ]
        if node_status.active:
            conditions += self._missing_input(now)
        if self._empty_frame_id:
            text = "images have an empty frame_id: TF cannot place the skeletons"
            conditions.append(DiagnosticCondition("empty_frame_id", DiagnosticLevel.WARN, text))
        conditions += self._wrong_stamps(now, drops)
        level, message = summary(self._held["input"].update(now, conditions), "ok")
        values = {f"received.{topic}": str(n) for topic, n in sorted(self._received.items())}
        values |= {f"lost.{topic}": str(n) for topic, n in sorted(self._lost.items())}
        values |= {f"dropped.{key}": str(n) for key, n in drops.items()}
        return self._status(f"{name}: input", level, message, values)

    def _missing_input(self, now: float) -> list[DiagnosticCondition]:
        if self._last_image is None:
            text = "no images have arrived"
            return [DiagnosticCondition("no_images", DiagnosticLevel.WARN, text)]
        if now - self._last_image > SILENCE:
            return [DiagnosticCondition("no_images", DiagnosticLevel.WARN, "images have stopped")]
        if not self._received[Subject.DETECTIONS.value] and not self._recent:
            text = "no detections have arrived"
            return [DiagnosticCondition("no_detections", DiagnosticLevel.WARN, text)]
        return []

    def _wrong_stamps(self, now: float, drops: dict[str, int]) -> list[DiagnosticCondition]:
        """Return the conditions that follow from the counts of the last seconds."""
        unmatched = drops.get(f"{Subject.DETECTIONS.value}.{Reason.UNMATCHED.value}", 0)
        differing = sum(n for key, n in drops.items() if key.endswith(Reason.CLOCK_DIFFERS.value))
        received = self._received[Subject.DETECTIONS.value]
        self._counted.append((now, received, unmatched, differing))
        while self._counted[0][0] < now - WINDOW:
            self._counted.popleft()
        _, received_before, unmatched_before, _ = self._counted[0]
        differing_before = self._counted[-2][3] if len(self._counted) > 1 else 0
        conditions = []
        if differing > differing_before:
            conditions.append(
                DiagnosticCondition("clock_differs", DiagnosticLevel.ERROR, CLOCK_DIFFERS_TEXT)
            )
        fraction = (unmatched - unmatched_before) / max(received - received_before, 1)
        if fraction > MANY_UNMATCHED:
            text = f"{min(fraction, 1):.0%} of the detections find no image: compare the stamps"
            conditions.append(DiagnosticCondition("many_unmatched", DiagnosticLevel.WARN, text))
        return conditions

    def _output_status(self, name: str, node_status: NodeStatus, now: float) -> DiagnosticStatus:
        values = {"published": str(self._published), "persons": str(self._persons)}
        rate = 0.0
        if len(self._recent) > 1:
            rate = len(self._recent) / max(now - self._recent[0][0], 1e-3)
            values["persons_per_image"] = f"{np.mean([n for _, n, _ in self._recent]):.2f}"
        values["rate_hz"] = f"{rate:.2f}"
        conditions = []
        for stage in fields(Times):
            samples = np.array([getattr(times, stage.name) for _, _, times in self._recent])
            samples = samples[np.isfinite(samples)]
            if not len(samples):
                continue
            percentiles = np.percentile(samples, PERCENTILES)
            for p, value in zip(PERCENTILES, percentiles, strict=True):
                values[f"{stage.name}_ms.p{p}"] = f"{value * 1e3:.1f}"
            if stage.name == "age" and percentiles[1] > node_status.warn_age:
                text = f"the age is {percentiles[1] * 1e3:.0f} ms at p95"
                conditions.append(DiagnosticCondition("old", DiagnosticLevel.WARN, text))
        ok_text = f"{rate:.1f} images/s" if node_status.active else "not active"
        level, message = summary(self._held["output"].update(now, conditions), ok_text)
        return self._status(f"{name}: output", level, message, values)

    def _status(
        self, name: str, level: DiagnosticLevel, message: str, values: dict[str, str]
    ) -> DiagnosticStatus:
        return diagnostic_status(name, level, message, values, self._hardware_id)


def status_line(state: str, statuses: list[DiagnosticStatus]) -> str:
    """Return one line of JSON: lifecycle ``state``, worst ``level``, and each status by its name.

    Numeric values are numbers in JSON.
    """
    worst = max((status.level[0] for status in statuses), default=int(DiagnosticLevel.OK))
    parts = {
        status.name.rsplit(": ", 1)[-1]: {
            "level": DiagnosticLevel(status.level[0]).name,
            "message": status.message,
            "values": {value.key: _number(value.value) for value in status.values},
        }
        for status in statuses
    }
    return json.dumps({"state": state, "level": DiagnosticLevel(worst).name} | parts)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
