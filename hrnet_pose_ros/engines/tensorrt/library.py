# SPDX-License-Identifier: Apache-2.0
"""TensorRT by whichever of its two libraries is installed, their differences kept in here.

``tensorrt`` (10.3 on JetPack 6, later 10.x, 11.x) builds for the GPU at hand. ``tensorrt_rtx``
(TensorRT for RTX) has the same Python interface, and also builds where there is no GPU.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hrnet_pose_ros.engines.engine import EngineError

STANDARD, RTX = "tensorrt", "tensorrt_rtx"
# JetPack 6.1 and 6.2; older versions lack parts of what is used here.
OLDEST_STANDARD = (10, 3)
INSTALL = (
    "it comes with JetPack (python3-libnvinfer), with NVIDIA's packages, or on x86-64 by "
    "'pip install tensorrt-rtx-cu13' (docs/tensorrt.md)"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GpuTarget:
    """The GPUs that a plan is for.

    Attributes
    ----------
    compute_capabilities
        Like ``("8.6", "8.9")``; at least one.
    device
        Name of the GPU that the plan was built on and for; empty: any GPU with one of these
        compute capabilities.
    """

    compute_capabilities: tuple[str, ...]
    device: str = ""


class BuildMessages:
    """What the library says: passed to Python's logging, its last errors kept for exceptions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: deque[str] = deque(maxlen=4)

    def heard(self, level: int, text: str) -> None:
        """Log one message. The library's information is debugging's here: it says very much."""
        if level >= logging.ERROR:
            with self._lock:
                self._errors.append(" ".join(text.split()))
            # Whoever asked the library gets an exception with these words, and decides.
            level = logging.INFO
        _log.log(level, "%s", text)

    def take_errors(self) -> str:
        """The errors since the last call, joined; says so where there were none."""
        with self._lock:
            errors = "; ".join(dict.fromkeys(self._errors))
            self._errors.clear()
        return errors or "the library gave no reason"


@dataclass(frozen=True)
class TensorRt:
    """An installed library.

    Attributes
    ----------
    module
        The Python module.
    name
        ``tensorrt`` or ``tensorrt_rtx``.
    version
        Its version; plans of another one do not run.
    logger
        The logger that the library's objects are made with.
    messages
        What comes out of that logger.
    keeps_timings
        Whether a timing cache shortens later builds; with RTX it does nothing.
    """

    module: Any
    name: str
    version: str
    logger: Any
    messages: BuildMessages
    keeps_timings: bool

    @property
    def builds_without_gpu(self) -> bool:
        """Whether plans can be built for GPUs that are not there."""
        return self.name == RTX

    def buildable(self) -> tuple[str, ...]:
        """Compute capabilities that can be asked for by name; empty: only the GPU at hand."""
        names = dir(getattr(self.module, "ComputeCapability", None))
        found = [re.fullmatch(r"SM(\d+)(\d)", name) for name in names]
        return tuple(sorted((f"{m[1]}.{m[2]}" for m in found if m), key=_numbers))

    def set_target(self, config: Any, target: GpuTarget, here: str | None) -> None:
        """Tell a builder's configuration which GPUs the plan is for.

        Parameters
        ----------
        config
            The library's ``IBuilderConfig``.
        target
            The GPUs.
        here
            Compute capability of the device that builds; None without one.

        Raises
        ------
        EngineError
            The library cannot build for them here; the message says what it can.
        """
        if self.builds_without_gpu:
            self._set_compute_capabilities(config, target)
        elif here is None:
            raise EngineError(
                f"{self.name} {self.version} builds only on a machine with the GPU, and none is "
                "found here: build on the vehicle (docs/tensorrt.md)"
            )
        elif not target.device:
            config.hardware_compatibility_level = self.compatibility(target, here)

    def compatibility(self, target: GpuTarget, here: str) -> Any:
        """The ``HardwareCompatibilityLevel`` of a plan for other GPUs; or EngineError."""
        levels, wanted = self.module.HardwareCompatibilityLevel, target.compute_capabilities
        same = getattr(levels, "SAME_COMPUTE_CAPABILITY", None)  # since 10.8
        if set(wanted) == {here} and same is not None:
            return same
        if all(_numbers(capability) >= (8, 0) for capability in (*wanted, here)):
            return levels.AMPERE_PLUS
        raise EngineError(
            f"{self.name} {self.version} cannot build for compute capability "
            f"{', '.join(wanted)} on a GPU with {here}: build on the vehicle"
        )

    def _set_compute_capabilities(self, config: Any, target: GpuTarget) -> None:
        wanted = target.compute_capabilities
        unknown = sorted(set(wanted) - set(self.buildable()))
        if unknown and target.device:
            return  # a GPU that has no name of its own in the library: its default reaches further
        if unknown:
            raise EngineError(
                f"{self.name} {self.version} cannot build for compute capability "
                f"{', '.join(unknown)}; it can for {', '.join(self.buildable())}"
            )
        config.num_compute_capabilities = len(wanted)
        for index, capability in enumerate(wanted):
            value = getattr(self.module.ComputeCapability, f"SM{capability.replace('.', '')}")
            if not config.set_compute_capability(value, index):
                raise EngineError(f"compute capability {capability}: {self.messages.take_errors()}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


@lru_cache(maxsize=1)
def find_library() -> TensorRt:
    """The installed library: ``tensorrt``, else ``tensorrt_rtx``.

    Raises
    ------
    EngineError
        Neither can be used; the message says why and what to install.
    """
    reasons = []
    for name in (STANDARD, RTX):
        try:
            module = importlib.import_module(name)
        # OSError and RuntimeError: the module is there, its shared libraries are not.
        except (ImportError, OSError, RuntimeError) as error:
            reasons.append(f"{name}: {error}")
            continue
        if not hasattr(module, "__version__"):  # a folder of that name where Python looks first
            reasons.append(f"{name}: {module!r} is not the library")
            continue
        version = str(module.__version__)
        if name == STANDARD and _numbers(version)[:2] < OLDEST_STANDARD:
            reasons.append(f"{name} {version} is older than 10.3")
            continue
        return use_library(module, name, version)
    raise EngineError(f"no TensorRT ({'; '.join(reasons)}): {INSTALL}")


def use_library(module: Any, name: str, version: str) -> TensorRt:
    """Wrap an imported module; `find_library` is what others call."""
    messages = BuildMessages()
    return TensorRt(
        module=module,
        name=name,
        version=version,
        logger=_logger(module, messages),
        messages=messages,
        keeps_timings=name == STANDARD,
    )


def _logger(module: Any, messages: BuildMessages) -> Any:
    severity = module.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.ERROR,
        severity.ERROR: logging.ERROR,
        severity.WARNING: logging.WARNING,
        severity.INFO: logging.DEBUG,
    }

    class Logger(module.ILogger):
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            level = levels.get(severity)  # VERBOSE: hundreds of lines a build
            if level is not None:
                messages.heard(level, text)

    return Logger()
