# SPDX-License-Identifier: Apache-2.0
"""The node's engine: made, made again after a failure, replaced by the CPU's, announced, closed.

What happens to an engine that fails:

1. It is closed and made again at once; a TensorRT engine comes back from its plan.
2. If that cannot be done, or the new one fails before it counts as stable (`RetryPolicy`), a GPU
   engine is given up: with ``fallback: cpu`` OpenVINO goes on, and says so, until the node is
   cleaned up and configured. The GPU is not tried in between: an engine that comes and goes would
   change latency and precision under the consumer's hands.
3. Without a fallback, and for engines of the CPU, it is made again after 1 s, doubling up to 30 s.
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
from hrnet_pose_ros.ros.log import ThrottledWarnings

GPU_ENGINE = "tensorrt"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """When an engine that failed is made again.

    Attributes
    ----------
    first_delay, longest_delay
        Seconds until it is made again; doubled from failure to failure.
    stable_images, stable_seconds
        What an engine that was made again has to answer, and how long it has to live, before its
        next failure counts as a first one.
    """

    first_delay: float = 1.0
    longest_delay: float = 30.0
    stable_images: int = 100
    stable_seconds: float = 60.0


class EngineSupervisor:
    """Owns the engine; every method but the constructor runs on the engine thread."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        health: Health,
        warnings: ThrottledWarnings,
        watch: BuildProgress,
        announce: Callable[[EngineInfo, bool], None],
        *,
        make: Callable[..., PoseEngine] = make_engine,
        select: Callable[[Mapping[str, Any]], EngineSelection] = selected_engine,
        retry: RetryPolicy = RetryPolicy(),
    ) -> None:
        """See the class.

        Parameters
        ----------
        settings
            Returns the settings of the moment.
        announce
            Called as ``announce(info, fallback)`` when there is a new engine; ``fallback``: the CPU
            stands in for the GPU.
        make
            `make_engine`, or something that takes its arguments.
        select
            `selected_engine`, or something else that chooses for the arguments of an engine.
        """
        self._settings = settings
        self._health = health
        self._warnings = warnings
        self._watch = watch
        self._announce = announce
        self._make_engine = make
        self._select = select
        self._retry = retry
        self._engine: PoseEngine | None = None
        self._selected = ""  # the engine that `auto` took; it stays until the next `prepare`
        self._fallback_reason = ""  # why the CPU stands in for the GPU, while it does
        self._retry_at: float | None = None
        self._retry_delay = retry.first_delay
        self._remade = False  # whether this engine stands in for one that failed
        self._made_at = 0.0
        self._answered = 0  # images

    def prepare(self) -> None:
        """Make the engine that the settings ask for; what it raises is noted and passed on."""
        self.release()
        self._retry_delay = self._retry.first_delay
        try:
            self._make()
        except BuildCancelled:
            self._set_state(EngineState.NONE)
            raise
        except ValueError as error:  # a parameter or a model file: the user's to mend
            self._set_state(EngineState.FAILED, str(error))
            raise
        except Exception as error:
            if not self._may_fall_back(self._selected):
                self._set_state(EngineState.FAILED, str(error))
                raise
            self._health.engine_failed(str(error))
            self._fall_back(error)
        else:
            self._check_fallback()

    def announce(self) -> None:
        """Announce the engine again, where there is one."""
        if self._engine is not None:
            self._announce(self._engine.info, bool(self._fallback_reason))

    def release(self) -> None:
        """Close the engine and free its memory."""
        self._close()
        self._retry_at = None
        self._selected = self._fallback_reason = ""
        self._set_state(EngineState.NONE)

    def ready(self) -> bool:
        """Whether there is an engine; one that failed is made again when its time has come."""
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

    def estimate(self, frame: np.ndarray, boxes: np.ndarray) -> Poses | None:
        """The poses; None where the engine failed. Call `ready` first."""
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
        if len(boxes):  # without persons an engine has nothing to do
            self._answered += 1
        if self._watch.reported:
            self._set_ready()  # it was built for another size of images meanwhile
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
        """Close an engine that failed and see to the next one."""
        name = engine.info.engine
        self._close()
        self._health.engine_failed(str(error))
        if self._is_stable():
            self._warnings.warn("engine", f"engine failed: {error}; made again at once")
            self._retry_delay = self._retry.first_delay
            try:
                self._make(again=True)
            except BuildCancelled as cancelled:
                self._build_again(cancelled)
                return
            except Exception as also:
                error = EngineError(f"{error}; and it cannot be made again: {also}")
            else:
                return
        self._recover(name, error)

    def _is_stable(self) -> bool:
        """Whether a failure now counts as a first one."""
        if not self._remade:
            return True
        seconds = time.monotonic() - self._made_at
        enough = self._answered >= self._retry.stable_images
        return enough and seconds >= self._retry.stable_seconds

    def _may_fall_back(self, engine: str) -> bool:
        return engine == GPU_ENGINE and self._settings().fallback == "cpu"

    def _check_fallback(self) -> None:
        """Warn now, not when it is needed, where the CPU could not stand in for the GPU."""
        assert self._engine is not None
        wanted = self._may_fall_back(self._engine.info.engine)
        if wanted and (why := why_no_cpu(self._settings())):
            _log.warning("fallback: cpu will not work when the GPU fails: %s", why)

    def _recover(self, engine: str, error: Exception) -> None:
        """After an engine that cannot be made again at once: fall back to the CPU, or wait."""
        if self._may_fall_back(engine):
            try:
                self._fall_back(error)
                return
            except Exception as also:
                error = also
        self._retry_later(str(error))

    def _fall_back(self, error: Exception) -> None:
        """Make the CPU's engine instead of the GPU's; where it fails too, say both."""
        self._fallback_reason = str(error)
        asked = self._settings().precision
        taken = cpu_arguments(self._settings())["precision"]
        _log.error(
            "the GPU engine is given up: %s; falling back to the CPU%s",
            error,
            "" if taken == asked else f", in precision {taken} instead of {asked}",
        )
        try:
            self._make()
        except Exception as also:
            both = f"{error}; and the CPU cannot stand in: {also}"
            self._set_state(EngineState.FAILED, both)
            raise EngineError(both) from also

    def _retry_later(self, failure: str) -> None:
        """Plan to make the engine again after a while."""
        self._warnings.warn(
            "waiting", f"engine failed: {failure}; it is made again in {self._retry_delay:.0f} s"
        )
        self._set_state(EngineState.FAILED, failure)
        self._retry_at = time.monotonic() + self._retry_delay
        self._retry_delay = min(2 * self._retry_delay, self._retry.longest_delay)

    def _build_again(self, error: BuildCancelled) -> None:
        """A build was cancelled: that is not a failure; the next image has it started again."""
        self._close()
        self._set_state(EngineState.PREPARING, f"{error}; goes on with the next image")
        self._retry_at = time.monotonic()

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        try:
            engine.close()
        except Exception as error:  # after a failure of the device, closing can fail too
            self._warnings.warn("closing", f"engine did not close: {error}")

    def _set_state(self, state: EngineState, text: str = "") -> None:
        fallback = self._fallback_reason if state is EngineState.READY else ""
        self._health.engine(state, text, fallback)
        self._watch.reported = False
