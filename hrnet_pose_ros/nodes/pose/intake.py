# SPDX-License-Identifier: Apache-2.0
"""What the subscriptions of the pose node call: messages go through the gate to the engine thread.

On any thread; nothing is decoded here.
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
    """Counts what comes, sends it through the gate, and hands frames to the engine thread."""

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
        """Begin to take messages."""
        with self._lock:
            self._gate.open()

    def close(self) -> None:
        """Take nothing more; what waits for its partner or for the engine counts as dropped."""
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
        """Give up, or hand over, what has waited long enough; see `FrameGate.expire`."""
        with self._lock:
            frames = self._gate.expire()
        self._hand_over(frames)

    def _hand_over(self, frames: list[PairedFrame]) -> None:
        for frame in frames:
            if self._engine_thread.put(frame) is not None:
                self._health.drops.add(Subject.IMAGE, Reason.OVERWRITTEN)


def warn_of_refusals(
    warnings: ThrottledWarnings, image_topic: str
) -> Callable[[Subject, Reason, str], None]:
    """Something for ``refused`` of `FrameGate`: warnings that name the topic or the input."""

    def refused(subject: Subject, reason: Reason, text: str) -> None:
        if reason is Reason.UNREADABLE:
            warnings.warn("image", f"{image_topic}: image dropped: {text}")
        else:
            warnings.warn(f"{reason.value} of {subject.value}", f"{text}; dropped")

    return refused
