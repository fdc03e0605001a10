# SPDX-License-Identifier: Apache-2.0
"""The node's counters and recent times, and the diagnostics computed from them."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import Enum

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from hrnet_pose_ros.nodes.pose.no_answers import NoAnswers, NodeCounts
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
# The node warns when no detections have arrived for this many seconds: a detector may be slow.
DETECTOR_SILENCE = 5.0
# The node warns when more than this fraction of the detection messages find no image. Images
# without detections are normal: a detector slower than the camera skips most of them.
MANY_UNMATCHED = 0.2
# At most so many names of other classes are kept.
OTHER_CLASSES = 20

CLOCK_DIFFERS = "stamps are over 10 s from this node's clock or in the future"
SYNCHRONISE = "synchronise the clocks, or set use_sim_time and play the bag with --clock"
# Images with one of these faults are not offered to detections.
_NOT_PAIRED = (Reason.UNREADABLE, Reason.LATE, Reason.CLOCK_DIFFERS, Reason.ENGINE_NOT_READY)


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
class Totals:
    """The counters at one time on the steady clock: what arrived, was lost, and came of it."""

    time: float
    received: Counter[str]
    lost: Counter[str]
    counts: NodeCounts


NO_TOTALS = Totals(0.0, Counter(), Counter(), NodeCounts())


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
        self._last_detections: float | None = None
        self._published = 0
        self._persons = 0
        # (steady time, number of persons, times) of the recently published images
        self._recent: deque[tuple[float, int, Times]] = deque()
        self._totals: deque[Totals] = deque()  # of the last seconds
        self._previous = NO_TOTALS  # those of the last report
        self._no_answers = NoAnswers()
        self._details: dict[Reason, str] = {}  # the last explanation of each reason
        self._other_classes: set[str] = set()
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
            elif topic == Subject.DETECTIONS.value:
                last, self._last_detections = self._last_detections, now
                if last is not None and now - last > DETECTOR_SILENCE:
                    self._judge_persons_anew()  # it may have been replaced by another one

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

    def refused(self, reason: Reason, text: str) -> None:
        """Remember the explanation of a drop, which diagnostics repeat if that is the rule."""
        with self._lock:
            self._details[reason] = text

    def left_out(self, classes: Iterable[str]) -> None:
        """Remember the classes of detections that were left out because of their class."""
        with self._lock:
            if len(self._other_classes) < OTHER_CLASSES:
                self._other_classes.update(classes)

    def judge_persons_anew(self) -> None:
        """Forget that persons were accepted, because the parameters of their choice changed."""
        with self._lock:
            self._judge_persons_anew()

    def _judge_persons_anew(self) -> None:
        self._other_classes.clear()
        self._no_answers.judge_persons_anew(self._counts())

    def _counts(self) -> NodeCounts:
        return NodeCounts(self._published, self._persons, self.drops.counts())

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
        with self._lock:
            now = self._steady()
            while self._recent and self._recent[0][0] < now - WINDOW:
                self._recent.popleft()
            totals = Totals(now, self._received.copy(), self._lost.copy(), self._counts())
            self._previous = self._totals[-1] if self._totals else NO_TOTALS
            if self._images_have_stopped(now):
                self._totals.clear()  # detections without images are nobody's fault
            self._totals.append(totals)
            while self._totals[0].time < now - WINDOW:
                self._totals.popleft()
            return [
                self._engine_status(name, node_status, now),
                self._input_status(name, node_status, now, totals.counts.drops),
                self._output_status(name, node_status, now, totals.counts),
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
        self, name: str, node_status: NodeStatus, now: float, drops: Mapping[str, int]
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
        conditions += self._wrong_stamps()
        level, message = summary(self._held["input"].update(now, conditions), "ok")
        values = {f"received.{topic}": str(n) for topic, n in sorted(self._received.items())}
        values |= {f"lost.{topic}": str(n) for topic, n in sorted(self._lost.items())}
        values |= {f"dropped.{key}": str(n) for key, n in drops.items()}
        return self._status(f"{name}: input", level, message, values)

    def _images_have_stopped(self, now: float) -> bool:
        return self._last_image is None or now - self._last_image > SILENCE

    def _missing_input(self, now: float) -> list[DiagnosticCondition]:
        if self._last_image is None:
            text = "no images have arrived"
            return [DiagnosticCondition("no_images", DiagnosticLevel.WARN, text)]
        if self._images_have_stopped(now):
            return [DiagnosticCondition("no_images", DiagnosticLevel.WARN, "images have stopped")]
        if not self._received[Subject.DETECTIONS.value] and not self._recent:
            text = "no detections have arrived"
            return [DiagnosticCondition("no_detections", DiagnosticLevel.WARN, text)]
        last = self._last_detections
        answered = self._recent and now - self._recent[-1][0] < DETECTOR_SILENCE
        if last is not None and now - last > DETECTOR_SILENCE and not answered:
            text = "detections have stopped"
            return [DiagnosticCondition("no_detections", DiagnosticLevel.WARN, text)]
        return []

    def _wrong_stamps(self) -> list[DiagnosticCondition]:
        """Return the conditions that follow from the counts of the last seconds."""
        conditions = []
        last, first = self._totals[-1], self._totals[0]
        if any(
            last.counts.dropped_since(self._previous.counts, subject).get(Reason.CLOCK_DIFFERS)
            for subject in (Subject.IMAGE, Subject.DETECTIONS)
        ):
            text = self._details.get(Reason.CLOCK_DIFFERS, CLOCK_DIFFERS)
            text = f"camera clock differs: {text}"
            if "this node's clock" in text:
                text += f"; {SYNCHRONISE}"
            conditions.append(DiagnosticCondition("clock_differs", DiagnosticLevel.ERROR, text))
        if text := _unmatched_detections(first, last):
            conditions.append(DiagnosticCondition("many_unmatched", DiagnosticLevel.WARN, text))
        return conditions

    def _output_status(
        self, name: str, node_status: NodeStatus, now: float, counts: NodeCounts
    ) -> DiagnosticStatus:
        values = {"published": str(self._published), "persons": str(self._persons)}
        rate = 0.0
        if len(self._recent) > 1:
            rate = len(self._recent) / max(now - self._recent[0][0], 1e-3)
            values["persons_per_image"] = f"{np.mean([n for _, n, _ in self._recent]):.2f}"
        values["rate_hz"] = f"{rate:.2f}"
        conditions = self._no_answers.conditions(
            now,
            node_status.active,
            counts,
            self._totals[0].counts,
            self._details,
            self._other_classes,
        )
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


def _unmatched_detections(first: Totals, last: Totals) -> str:
    """Return what is wrong if many detections find no image; empty if that has other reasons.

    Detections of images that could not be used, or were lost, have other reasons.
    """
    detections, images = Subject.DETECTIONS.value, Subject.IMAGE.value
    received = last.received[detections] - first.received[detections]
    unmatched = last.counts.dropped_since(first.counts, Subject.DETECTIONS)
    count = unmatched.get(Reason.UNMATCHED, 0)
    refused = last.counts.dropped_since(first.counts, Subject.IMAGE)
    without_image = sum(refused.get(reason, 0) for reason in _NOT_PAIRED)
    lost = last.lost[images] - first.lost[images]
    if (count - without_image) / max(received, 1) <= MANY_UNMATCHED:
        return ""
    fraction = min(count / max(received, 1), 1)
    text = f"{fraction:.0%} of the detections find no image"
    if (count - without_image - lost) / max(received, 1) <= MANY_UNMATCHED:
        return f"{text}: the middleware has lost {lost} images; check its shared memory"
    return f"{text}: compare the stamps"
