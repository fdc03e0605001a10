# SPDX-License-Identifier: Apache-2.0
"""What the node knows about itself, and the diagnostics made of it."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from enum import Enum

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from hrnet_pose_ros.ros.drops import Drops, Reason
from hrnet_pose_ros.ros.skeleton_messages import Times

# Rates and percentiles are of the last so many seconds.
WINDOW = 10.0
PERCENTILES = (50, 95, 99)
# No image for so long is worth a warning.
SILENCE = 1.0

CLOCK_DIFFERS_TEXT = (
    "camera clock differs: stamps are over 10 s from this node's clock or in its future; "
    "synchronise the clocks, or set use_sim_time and play the bag with --clock"
)


class EngineState(Enum):
    """Where the engine stands."""

    NONE = "not configured"
    PREPARING = "preparing"
    READY = "ready"
    FAILED = "failed"


class Health:
    """Counters and recent times; thread-safe."""

    def __init__(self) -> None:
        self.drops = Drops()
        self._lock = threading.Lock()
        self._received: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._last_image: float | None = None
        self._published = 0
        self._persons = 0
        # (steady time, number of persons, times) of the images published lately
        self._recent: deque[tuple[float, int, Times]] = deque()
        self._engine_state = EngineState.NONE
        self._engine_text = ""
        self._empty_frame_id = False
        self._reported: Counter[str] = Counter()

    def received(self, topic: str, now: float) -> None:
        """Count a message of ``images``, ``detections`` or ``camera_info``."""
        with self._lock:
            self._received[topic] += 1
            if topic == "images":
                self._last_image = now

    def lost(self, topic: str, count: int) -> None:
        """Count messages that the middleware lost on the way."""
        with self._lock:
            self._lost[topic] += count

    def published(self, persons: int, times: Times, *, empty_frame_id: bool) -> None:
        """Note a published SkeletonArray."""
        with self._lock:
            self._published += 1
            self._persons += persons
            self._empty_frame_id = empty_frame_id
            self._recent.append((time.monotonic(), persons, times))

    def engine(self, state: EngineState, text: str = "") -> None:
        """Note where the engine stands, and why."""
        with self._lock:
            self._engine_state, self._engine_text = state, text

    @property
    def engine_state(self) -> tuple[EngineState, str]:
        """The state last noted and its text."""
        with self._lock:
            return self._engine_state, self._engine_text

    def statuses(
        self, name: str, *, active: bool, incompatible_qos: list[str], problems: list[str]
    ) -> list[DiagnosticStatus]:
        """The three statuses ``name: engine``, ``name: input`` and ``name: output``.

        Parameters
        ----------
        name
            The node's full name.
        active
            Whether the node is in the lifecycle state active.
        incompatible_qos
            One text for each peer whose QoS cannot match.
        problems
            Other texts that make the input a warning.
        """
        counts = self.drops.counts()
        with self._lock:
            now = time.monotonic()
            while self._recent and self._recent[0][0] < now - WINDOW:
                self._recent.popleft()
            return [
                self._engine_status(name),
                self._input_status(name, active, now, counts, [*incompatible_qos, *problems]),
                self._output_status(name, active, now),
            ]

    def _engine_status(self, name: str) -> DiagnosticStatus:
        failed = self._engine_state is EngineState.FAILED
        text = f"{self._engine_state.value}: {self._engine_text}".removesuffix(": ")
        return _status(
            f"{name}: engine",
            DiagnosticStatus.ERROR if failed else DiagnosticStatus.OK,
            text,
            {"state": self._engine_state.value},
        )

    def _input_status(
        self, name: str, active: bool, now: float, counts: dict[str, int], problems: list[str]
    ) -> DiagnosticStatus:
        level, texts = DiagnosticStatus.OK, list(problems)
        if problems:
            level = DiagnosticStatus.WARN
        if active:
            silent = self._last_image is None or now - self._last_image > SILENCE
            if silent:
                level = DiagnosticStatus.WARN
                texts.append("no images" if self._last_image is None else "images have stopped")
            elif not self._recent and self._received["detections"] == 0:
                level = DiagnosticStatus.WARN
                texts.append("no detections have come")
        if self._empty_frame_id:
            level = max(level, DiagnosticStatus.WARN)
            texts.append("images have an empty frame_id")
        differs = sum(n for key, n in counts.items() if key.endswith(Reason.CLOCK_DIFFERS.value))
        if differs > self._reported["clock"]:
            level = DiagnosticStatus.ERROR
            texts.insert(0, CLOCK_DIFFERS_TEXT)
        self._reported["clock"] = differs
        values = {f"received.{topic}": str(n) for topic, n in sorted(self._received.items())}
        values |= {f"lost.{topic}": str(n) for topic, n in sorted(self._lost.items())}
        values |= {f"dropped.{key}": str(n) for key, n in counts.items()}
        return _status(f"{name}: input", level, "; ".join(texts) or "ok", values)

    def _output_status(self, name: str, active: bool, now: float) -> DiagnosticStatus:
        values = {"published": str(self._published), "persons": str(self._persons)}
        rate = 0.0
        if len(self._recent) > 1:
            span = max(now - self._recent[0][0], 1e-3)
            rate = len(self._recent) / span
            values["persons_per_image"] = f"{np.mean([n for _, n, _ in self._recent]):.2f}"
        values["rate_hz"] = f"{rate:.2f}"
        for stage in Times.__dataclass_fields__:
            samples = np.array([getattr(times, stage) for _, _, times in self._recent])
            samples = samples[np.isfinite(samples)]
            if len(samples):
                for p, value in zip(PERCENTILES, np.percentile(samples, PERCENTILES), strict=True):
                    values[f"{stage}_ms.p{p}"] = f"{value * 1e3:.1f}"
        text = f"{rate:.1f} images/s" if active else "not active"
        return _status(f"{name}: output", DiagnosticStatus.OK, text, values)


def _status(name: str, level: bytes, message: str, values: dict[str, str]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
