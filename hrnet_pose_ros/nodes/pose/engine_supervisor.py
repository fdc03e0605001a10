# SPDX-License-Identifier: Apache-2.0
"""Makes the node's engine, remakes it after a failure, falls back to the CPU, and closes it.

When an engine fails:

1. It is closed and made again at once; a TensorRT engine is loaded from its plan.
2. If that is not possible, or the new engine fails before it counts as stable (`RetryPolicy`), a
   GPU engine is given up: with ``fallback: cpu`` OpenVINO continues, and this is announced, until
   the node is cleaned up and configured. The GPU is not tried in between: an engine that comes and
   goes would change latency and precision unexpectedly for consumers.
3. Without a fallback, and for CPU engines, it is made again after 1 s, doubling up to 30 s.
4. A device that is lost to this process (`DeviceLost`) is never tried again in it: OpenVINO
   continues, or, without a fallback, the process ends with a code that makes launch and systemd
   start it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.engines.build_watch import BuildCancelled
from hrnet_pose_ros.engines.choose_engine import EngineSelection
from hrnet_pose_ros.engines.engine import EngineError, EngineInfo, PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import DeviceLost
from hrnet_pose_ros.nodes.pose.build_progress import BuildProgress
from hrnet_pose_ros.nodes.pose.diagnostics import EngineState, Health
from hrnet_pose_ros.pipeline.engine_arguments import (
    cpu_arguments,
    engine_arguments,
    selected_engine,
    why_no_cpu_fallback,
)
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.ros.log import ThrottledWarnings

GPU_ENGINE = "tensorrt"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """When an engine that failed is made again.

    Attributes
    ----------
    first_delay, longest_delay
        Seconds until it is made again; the delay doubles with each failure.
    stable_images, stable_seconds
        How many images an engine that was made again has to answer, and how long it has to run,
        before its next failure counts as a first one.
    """

    first_delay: float = 1.0
    longest_delay: float = 30.0
    stable_images: int = 100
    stable_seconds: float = 60.0


class EngineSupervisor:
    """Owns the engine; every method except the constructor runs on the engine thread."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        health: Health,
        warnings: ThrottledWarnings,
        watch: BuildProgress,
        announce: Callable[[EngineInfo, bool], None],
        end_process: Callable[[str], None] = lambda reason: None,
        *,
        make: Callable[..., PoseEngine] = make_engine,
        select: Callable[[Mapping[str, Any]], EngineSelection] = selected_engine,
        retry: RetryPolicy = RetryPolicy(),
    ) -> None:
        """See the class.

        Parameters
        ----------
        settings
            Returns the current settings.
        announce
            Called as ``announce(info, fallback)`` when there is a new engine; ``fallback``: the CPU
            replaces the GPU.
        end_process
            Called with the reason where only a new process can have an engine.
        make
            `make_engine` or a function with the same arguments.
        select
            `selected_engine` or a function that chooses for the arguments of an engine.
        """
        self._settings = settings
        self._health = health
        self._warnings = warnings
        self._watch = watch
        self._announce = announce
        self._end_process = end_process
        self._make_engine = make
        self._select = select
        self._retry = retry
        self._engine: PoseEngine | None = None
        self._selected = ""  # the engine that `auto` took; it stays until the next `prepare`
        self._fallback_reason = ""  # why the CPU replaces the GPU, while it does
        self._lost = ""  # why this process cannot use the GPU any more
        self._retry_at: float | None = None
        self._retry_delay = retry.first_delay
        self._remade = False  # whether this engine replaces one that failed
        self._made_at = 0.0
        self._answered = 0  # number of images

    def prepare(self) -> None:
        """Make the engine that the settings ask for; exceptions are recorded and raised again."""
        self.release()
        self._retry_delay = self._retry.first_delay
        try:
            self._make()
        except BuildCancelled:
            self._set_state(EngineState.NONE)
            raise
        except ValueError as error:  # a parameter or a model file, which the user has to correct
            self._set_state(EngineState.FAILED, str(error))
            raise
        except Exception as error:
            if not self._may_fall_back(self._selected):
                self._set_state(EngineState.FAILED, str(error))
                self._note_loss(error)
                raise
            self._health.engine_failed(str(error))
            self._fall_back(error)
        else:
            self._check_fallback()

    def announce(self) -> None:
        """Announce the engine again, if there is one."""
        if self._engine is not None:
            self._announce(self._engine.info, bool(self._fallback_reason))

    def release(self) -> None:
        """Close the engine and free its memory."""
        self._close()
        self._retry_at = None
        self._selected = self._fallback_reason = ""
        self._set_state(EngineState.NONE)

    def ready(self) -> bool:
        """Return whether there is an engine; one that failed is made again when it is due."""
        if self._engine is not None:
            return True
        if self._retry_at is None or time.monotonic() < self._retry_at:
            return False
        try:
            self._make(again=True)
        except BuildCancelled as error:
            self._build_again(error)
        except Exception as error:
            self._recover("" if self._fallback_reason else self._selected, error)
        return self._engine is not None

    def frame_buffer(self, height: int, width: int) -> np.ndarray | None:
        """See `PoseEngine.frame_buffer`; None where there is no engine."""
        return None if self._engine is None else self._engine.frame_buffer(height, width)

    def estimate(self, frame: np.ndarray, boxes: np.ndarray) -> Poses | None:
        """Return the poses; None if the engine failed. Call `ready` first."""
        engine = self._engine
        assert engine is not None
        try:
            poses = engine.estimate(frame, boxes)
        except BuildCancelled as error:
            self._build_again(error)
            return None
        except Exception as error:
            self._failed(engine, error)
            return None
        if len(boxes):  # without persons the engine does no work
            self._answered += 1
        if self._watch.reported:
            self._set_ready()  # in the meantime it was built for another image size
        return poses

    def _make(self, again: bool = False) -> None:
        settings = self._settings()
        self._set_state(EngineState.PREPARING, f"model {settings.model}")
        if self._fallback_reason:
            arguments = cpu_arguments(settings)
            selection = self._select(arguments)
        else:
            arguments = engine_arguments(settings)
            if self._selected:  # a GPU that is gone for a moment must not become a CPU unsaid
                arguments["engine"] = self._selected
            selection = self._select(arguments)
            self._selected = selection.engine
            for_gpu = GPU_ENGINE in (selection.engine, *selection.passed_over)
            if self._lost and for_gpu and settings.precision != "bfloat16":
                # The processor stands in for the lost GPU, and that has to be announced.
                self._selected = GPU_ENGINE
                raise DeviceLost(self._lost)
        self._engine = self._make_engine(**arguments, selection=selection, watch=self._watch)
        self._retry_at = None
        self._remade, self._made_at, self._answered = again, time.monotonic(), 0
        self._set_ready()

    def _set_ready(self) -> None:
        assert self._engine is not None
        info = self._engine.info
        text = f"{info.model}, {info.engine} {info.precision} on {info.device}"
        self._set_state(EngineState.READY, text)
        self.announce()

    def _failed(self, engine: PoseEngine, error: Exception) -> None:
        """Close an engine that failed and make the next one, now or later."""
        name = engine.info.engine
        self._close()
        self._health.engine_failed(str(error))
        if self._is_stable() and not isinstance(error, DeviceLost):
            self._warnings.warn("engine", f"engine failed: {error}; it is being made again")
            self._retry_delay = self._retry.first_delay
            try:
                self._make(again=True)
            except BuildCancelled as cancelled:
                self._build_again(cancelled)
                return
            except Exception as also:
                kind = DeviceLost if isinstance(also, DeviceLost) else EngineError
                error = kind(f"{error}; and it cannot be made again: {also}")
            else:
                return
        self._recover(name, error)

    def _is_stable(self) -> bool:
        """Return whether a failure now counts as a first one."""
        if not self._remade:
            return True
        seconds = time.monotonic() - self._made_at
        enough = self._answered >= self._retry.stable_images
        return enough and seconds >= self._retry.stable_seconds

    def _may_fall_back(self, engine: str) -> bool:
        return engine == GPU_ENGINE and self._settings().fallback == "cpu"

    def _check_fallback(self) -> None:
        """Warn in advance if the CPU could not replace the GPU."""
        assert self._engine is not None
        wanted = self._may_fall_back(self._engine.info.engine)
        if wanted and (why := why_no_cpu_fallback(self._settings())):
            _log.warning("'fallback: cpu' will not work if the GPU fails: %s", why)

    def _recover(self, engine: str, error: Exception) -> None:
        """Fall back to the CPU, or retry later, when an engine cannot be made again at once."""
        if self._may_fall_back(engine):
            try:
                self._fall_back(error)
                return
            except Exception as also:
                error = also
        self._note_loss(error)
        self._retry_later(str(error))

    def _note_loss(self, error: Exception, ends: bool = True) -> None:
        """Remember a lost device; without a fallback, the process has to end."""
        if not isinstance(error, DeviceLost):
            return
        self._lost = self._lost or str(error)
        if ends:
            _log.error("the process ends, so that a new one can use the GPU: %s", error)
            self._end_process(str(error))

    def _fall_back(self, error: Exception) -> None:
        """Make the CPU engine instead of the GPU engine; if it fails too, report both errors."""
        self._note_loss(error, ends=False)
        self._fallback_reason = str(error)
        asked = self._settings().precision
        taken = cpu_arguments(self._settings())["precision"]
        _log.error(
            "the GPU engine was given up: %s; falling back to the CPU%s",
            error,
            "" if taken == asked else f", in precision {taken} instead of {asked}",
        )
        try:
            self._make()
        except Exception as also:
            both = f"{error}; and the CPU cannot replace it: {also}"
            self._set_state(EngineState.FAILED, both)
            raise EngineError(both) from also

    def _retry_later(self, failure: str) -> None:
        """Schedule making the engine again."""
        self._warnings.warn(
            "waiting",
            f"engine failed: {failure}; it will be made again in {self._retry_delay:.0f} s",
        )
        self._set_state(EngineState.FAILED, failure)
        self._retry_at = time.monotonic() + self._retry_delay
        self._retry_delay = min(2 * self._retry_delay, self._retry.longest_delay)

    def _build_again(self, error: BuildCancelled) -> None:
        """Let the next image restart a build that was cancelled, which is not a failure."""
        self._close()
        self._set_state(EngineState.PREPARING, f"{error}; it restarts with the next image")
        self._retry_at = time.monotonic()

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        try:
            engine.close()
        except Exception as error:  # after a failure of the device, closing can fail too
            self._warnings.warn("closing", f"the engine could not be closed: {error}")

    def _set_state(self, state: EngineState, text: str = "") -> None:
        fallback = self._fallback_reason if state is EngineState.READY else ""
        self._health.engine(state, text, fallback)
        self._watch.reported = False
