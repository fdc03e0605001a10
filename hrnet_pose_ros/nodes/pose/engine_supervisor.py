# SPDX-License-Identifier: Apache-2.0
"""The node's engine: made, made again after a failure, replaced by the CPU's, announced, closed.

What happens to an engine that fails:

1. It is closed and made again at once; a TensorRT engine comes back from its plan.
2. If that cannot be done, or the new one fails before it has proven itself (`PROVEN_FRAMES` images
   and `PROVEN_SECONDS`), a GPU engine is given up: with ``fallback: cpu`` OpenVINO goes on, and
   says so, until the node is cleaned up and configured. The GPU is not tried in between: an engine
   that comes and goes would change latency and precision under the consumer's hands.
3. Without a fallback, and for engines of the CPU, it is made again after 1 s, doubling up to 30 s.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol

import numpy as np

from hrnet_pose_ros.engines.build_watch import BuildCancelled
from hrnet_pose_ros.engines.engine import EngineError, EngineInfo, PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.nodes.pose.build_progress import BuildProgress
from hrnet_pose_ros.nodes.pose.diagnostics import EngineState, Health
from hrnet_pose_ros.pipeline.engine_arguments import (
    cpu_arguments,
    engine_arguments,
    selected_engine,
    why_no_cpu,
)
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pose.poses import Poses

# An engine that failed is made again after so many seconds, doubled up to the maximum.
FIRST_RETRY = 1.0
LAST_RETRY = 30.0
# What an engine that was made again has to do before its next failure counts as a first one.
PROVEN_FRAMES = 100
PROVEN_SECONDS = 60.0

GPU_ENGINE = "tensorrt"

_log = logging.getLogger(__name__)


class EngineOutputs(Protocol):
    """What the supervisor asks of its node."""

    settings: Settings

    def engine_changed(self, info: EngineInfo, fallback: bool) -> None: ...

    def complain(self, kind: str, text: str) -> None:
        """A warning in the log, throttled by its kind."""


class EngineSupervisor:
    """Owns the engine; every method but the constructor runs on the engine thread."""

    def __init__(self, outputs: EngineOutputs, health: Health, watch: BuildProgress) -> None:
        self._outputs = outputs
        self._health = health
        self._watch = watch
        self._engine: PoseEngine | None = None
        self._selected = ""  # the engine that `auto` took; it stays until the next `prepare`
        self._given_up = ""  # why the GPU is, while the CPU stands in
        self._retry_at: float | None = None
        self._retry_after = FIRST_RETRY
        self._made_again = False
        self._made_at = 0.0
        self._frames = 0  # that this engine has answered

    def prepare(self) -> None:
        """Make the engine that the settings ask for; what it raises is noted and passed on."""
        self.release()
        self._retry_after = FIRST_RETRY
        try:
            self._make()
        except BuildCancelled:
            self._note(EngineState.NONE)
            raise
        except ValueError as error:  # a parameter or a model file: the user's to mend
            self._note(EngineState.FAILED, str(error))
            raise
        except Exception as error:
            if not self._may_fall_back(self._selected):
                self._note(EngineState.FAILED, str(error))
                raise
            self._health.engine_failed(str(error))
            self._fall_back(error)
        else:
            self._check_fallback()

    def announce(self) -> None:
        """Have the node publish what the engine is, where there is one."""
        if self._engine is not None:
            self._outputs.engine_changed(self._engine.info, bool(self._given_up))

    def release(self) -> None:
        """Close the engine and free its memory."""
        self._close()
        self._retry_at = None
        self._selected = self._given_up = ""
        self._note(EngineState.NONE)

    def ready(self) -> bool:
        """Whether there is an engine; one that failed is made again when its time has come."""
        if self._engine is not None:
            return True
        if self._retry_at is None or time.monotonic() < self._retry_at:
            return False
        try:
            self._make(again=True)
        except BuildCancelled as error:
            self._postpone(error)
        except Exception as error:
            self._go_on_without("" if self._given_up else self._selected, error)
        return self._engine is not None

    def estimate(self, frame: np.ndarray, boxes: np.ndarray) -> Poses | None:
        """The poses; None where the engine failed. Call `ready` first."""
        engine = self._engine
        assert engine is not None
        try:
            poses = engine.estimate(frame, boxes)
        except BuildCancelled as error:
            self._postpone(error)
            return None
        except Exception as error:
            self._failed(engine, error)
            return None
        if len(boxes):  # without persons an engine has nothing to do
            self._frames += 1
        if self._health.engine_state[0] is not EngineState.READY:
            self._is_ready()  # it was built for another size of images meanwhile
        return poses

    def _make(self, again: bool = False) -> None:
        settings = self._outputs.settings
        self._note(EngineState.PREPARING, f"model {settings.model}")
        if self._given_up:
            arguments = cpu_arguments(settings)
            selection = selected_engine(arguments)
        else:
            arguments = engine_arguments(settings)
            if self._selected:  # a GPU that is gone for a moment must not become a CPU unsaid
                arguments["engine"] = self._selected
            selection = selected_engine(arguments)
            self._selected = selection.engine
        self._engine = make_engine(**arguments, selection=selection, watch=self._watch)
        self._retry_at = None
        self._made_again, self._made_at, self._frames = again, time.monotonic(), 0
        self._is_ready()

    def _is_ready(self) -> None:
        assert self._engine is not None
        info = self._engine.info
        text = f"{info.model}, {info.engine} {info.precision} on {info.device}"
        self._note(EngineState.READY, text)
        self.announce()

    def _failed(self, engine: PoseEngine, error: Exception) -> None:
        """Close an engine that failed and see to the next one."""
        name = engine.info.engine
        self._close()
        self._health.engine_failed(str(error))
        if self._proven():
            self._outputs.complain("engine", f"engine failed: {error}; made again at once")
            self._retry_after = FIRST_RETRY
            try:
                self._make(again=True)
            except BuildCancelled as cancelled:
                self._postpone(cancelled)
                return
            except Exception as also:
                error = EngineError(f"{error}; and it cannot be made again: {also}")
            else:
                return
        self._go_on_without(name, error)

    def _proven(self) -> bool:
        if not self._made_again:
            return True
        seconds = time.monotonic() - self._made_at
        return self._frames >= PROVEN_FRAMES and seconds >= PROVEN_SECONDS

    def _may_fall_back(self, engine: str) -> bool:
        return engine == GPU_ENGINE and self._outputs.settings.fallback == "cpu"

    def _check_fallback(self) -> None:
        """Warn now, not when it is needed, where the CPU could not stand in for the GPU."""
        assert self._engine is not None
        wanted = self._may_fall_back(self._engine.info.engine)
        if wanted and (why := why_no_cpu(self._outputs.settings)):
            _log.warning("fallback: cpu will not work when the GPU fails: %s", why)

    def _go_on_without(self, engine: str, error: Exception) -> None:
        """See to the time after an engine that cannot be made again: the CPU, or waiting."""
        if self._may_fall_back(engine):
            try:
                self._fall_back(error)
                return
            except Exception as also:
                error = also
        self._wait_after(str(error))

    def _fall_back(self, error: Exception) -> None:
        """Make the CPU's engine instead of the GPU's; where it fails too, say both."""
        self._given_up = str(error)
        asked = self._outputs.settings.precision
        taken = cpu_arguments(self._outputs.settings)["precision"]
        _log.error(
            "the GPU engine is given up: %s; falling back to the CPU%s",
            error,
            "" if taken == asked else f", in precision {taken} instead of {asked}",
        )
        try:
            self._make()
        except Exception as also:
            both = f"{error}; and the CPU cannot stand in: {also}"
            self._note(EngineState.FAILED, both)
            raise EngineError(both) from also

    def _wait_after(self, failure: str) -> None:
        """Plan to make the engine again after a while."""
        self._outputs.complain(
            "waiting", f"engine failed: {failure}; it is made again in {self._retry_after:.0f} s"
        )
        self._note(EngineState.FAILED, failure)
        self._retry_at = time.monotonic() + self._retry_after
        self._retry_after = min(2 * self._retry_after, LAST_RETRY)

    def _postpone(self, error: BuildCancelled) -> None:
        """A build was ended from outside: no failure; the next image has the engine made again."""
        self._close()
        self._note(EngineState.PREPARING, f"{error}; goes on with the next image")
        self._retry_at = time.monotonic()

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        try:
            engine.close()
        except Exception as error:  # after a failure of the device, closing can fail too
            self._outputs.complain("closing", f"engine did not close: {error}")

    def _note(self, state: EngineState, text: str = "") -> None:
        fallback = self._given_up if state is EngineState.READY else ""
        self._health.engine(state, text, fallback)
