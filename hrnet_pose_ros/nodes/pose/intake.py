# SPDX-License-Identifier: Apache-2.0
"""The callbacks of the pose node's subscriptions: they pass messages through the gate.

They may run on any thread, and they decode nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from hrnet_pose_ros.nodes.pose.diagnostics import Health
from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject
from hrnet_pose_ros.pipeline.gate import FrameGate, PairedFrame
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.ros.engine_thread import EngineThread
from hrnet_pose_ros.ros.log import ThrottledWarnings


class MessageIntake:
    """Counts incoming messages, passes them through the gate, and queues frames for the engine."""

    def __init__(
        self, gate: FrameGate, health: Health, engine_thread: EngineThread[PairedFrame]
    ) -> None:
        self._gate = gate
        self._health = health
        self._engine_thread = engine_thread
        self._lock = threading.Lock()

    def apply(self, settings: Settings) -> None:
        """Use these settings from now on."""
        with self._lock:
            self._gate.apply(settings)

    def open(self) -> None:
        """Start accepting messages."""
        with self._lock:
            self._gate.open()

    def close(self) -> None:
        """Stop accepting messages; those that wait for a partner or the engine are dropped."""
        with self._lock:
            self._gate.close()
        if self._engine_thread.discard() is not None:
            self._health.drops.add(Subject.IMAGE, Reason.ENGINE_NOT_READY)

    def image(self, message: Any) -> None:
        """Take an image message of the gate's transport."""
        self._health.received(Subject.IMAGE.value, time.monotonic())
        with self._lock:
            frames = self._gate.image(message)
        self._hand_over(frames)

    def detections(self, message: Any) -> None:
        """Take a Detection2DArray."""
        self._health.received(Subject.DETECTIONS.value, time.monotonic())
        with self._lock:
            frames = self._gate.detections(message)
        self._hand_over(frames)

    def expire(self) -> None:
        """Release messages that have waited too long; see `FrameGate.expire`."""
        with self._lock:
            frames = self._gate.expire()
        self._hand_over(frames)

    def _hand_over(self, frames: list[PairedFrame]) -> None:
        for frame in frames:
            if self._engine_thread.put(frame) is not None:
                self._health.drops.add(Subject.IMAGE, Reason.OVERWRITTEN)


def refusal_warnings(
    warnings: ThrottledWarnings,
    image_topic: str,
    remember: Callable[[Reason, str], None] = lambda reason, text: None,
) -> Callable[[Subject, Reason, str], None]:
    """Return a function for ``refused`` of `FrameGate` that warns and names the topic or input.

    ``remember`` is also called, with the reason and the explanation.
    """

    def refused(subject: Subject, reason: Reason, text: str) -> None:
        remember(reason, text)
        if reason is Reason.UNREADABLE:
            warnings.warn("image", f"{image_topic}: image dropped: {text}")
        else:
            warnings.warn(f"{reason.value} of {subject.value}", f"{text}; dropped")

    return refused
