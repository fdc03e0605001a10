# SPDX-License-Identifier: Apache-2.0
"""TensorRT by whichever of its two libraries is installed, their differences kept in here.

``tensorrt`` (10.3 on JetPack 6, later 10.x, 11.x) builds for the GPU at hand. ``tensorrt_rtx``
(TensorRT for RTX) has the same Python interface, also builds where there is no GPU, and runs on
fewer kinds of GPUs.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import one_line, version_text

STANDARD, RTX = "tensorrt", "tensorrt_rtx"
# JetPack 6.1 and 6.2; older versions lack parts of what is used here.
OLDEST_STANDARD = (10, 3)
OLDEST_CAPABILITY = (7, 5)  # of TensorRT 10 and 11
# Blackwell and later: 10.7 refuses them ("Target GPU SM 120 is not supported").
NEW_CAPABILITY, FIRST_WITH_NEW = (10, 0), (10, 8)
# What `hrnet_pose compile` can be asked for; a GPU at hand may be newer than this list.
KNOWN_CAPABILITIES = (
    *("7.5", "8.0", "8.6", "8.7", "8.9", "9.0"),
    *("10.0", "10.1", "10.3", "11.0", "12.0", "12.1"),
)
# Named by tensorrt_rtx's ComputeCapability, but not in NVIDIA's support matrix for it.
RTX_ONLY_NAMES = {"8.0"}
# Builds without kernels for a GPU that the version's other builds have.
MISSING_KERNELS = {("10.13.3", "8.7"): "PyPI's 10.13.3 has none for Jetson Orin"}
INSTALL = (
    "it comes with JetPack (python3-libnvinfer), or on x86-64 by 'pip install tensorrt-cu13' "
    "(beside a driver for CUDA 12: tensorrt-cu12), or for GeForce and RTX GPUs by "
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
    multiprocessors
        That GPU's number of streaming multiprocessors: all Orin modules have the same name, and a
        MIG instance the one of its GPU. 0: any.
    """

    compute_capabilities: tuple[str, ...]
    device: str = ""
    multiprocessors: int = 0


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

    @property
    def searches(self) -> bool:
        """Whether the optimisation level changes the plan; tensorrt_rtx ignores it."""
        return self.name == STANDARD

    @property
    def compiles_on_load(self) -> bool:
        """Whether kernels are compiled when a plan is loaded, not when it is built."""
        return self.name == RTX

    def builder(self) -> Any:
        """The library's ``Builder``; EngineError where library, driver and GPU do not fit."""
        return self._made("Builder")

    def runtime(self) -> Any:
        """The library's ``Runtime``; errors as for `builder`."""
        return self._made("Runtime")

    def _made(self, kind: str) -> Any:
        return self.given(
            f"make its {kind}",
            lambda: getattr(self.module, kind)(self.logger),
            lambda: (
                f"; {version_text()}. The library must be for a CUDA version that the driver "
                "knows: update the driver, or install the package for the driver's version "
                "(tensorrt-cu12, tensorrt-cu13), and cuda-python of the same major version "
                "(docs/tensorrt.md)"
            ),
        )

    def given(
        self, what: str, make: Callable[[], Any], advice: Callable[[], str] = lambda: ""
    ) -> Any:
        """What the library makes; EngineError with its words where that is null or an exception.

        Parameters
        ----------
        what
            What cannot be done where it does not, for the message: ``make its Builder``.
        make
            Calls the library.
        advice
            Ends the message; asked only then.
        """
        self.messages.take_errors()
        why = ""
        try:
            made = make()
        # TypeError: pybind11's word for a null from a constructor; MemoryError: for std::bad_alloc.
        except (TypeError, RuntimeError, MemoryError) as error:
            made, why = None, f" ({one_line(error)})"
        if made is None:
            raise EngineError(
                f"{self.name} {self.version} cannot {what} here{why}: "
                f"{self.messages.take_errors()}{advice()}"
            )
        return made

    def why_not_on(self, capability: str) -> str:
        """Why plans of this library do not run on GPUs of a compute capability; empty: they do."""
        if self.name == RTX:
            known = self.buildable()
            if capability in known:
                return ""
            return f"{self.name} {self.version} runs on compute capability {', '.join(known)}"
        if _numbers(capability) < OLDEST_CAPABILITY:
            return f"{self.name} {self.version} runs on compute capability 7.5 and later"
        if _numbers(capability) >= NEW_CAPABILITY and _numbers(self.version) < FIRST_WITH_NEW:
            return (
                f"{self.name} {self.version} has no kernels for {capability}; 10.8 and later have"
            )
        for (version, without), why in MISSING_KERNELS.items():
            if self.version.startswith(version) and capability == without:
                return f"{self.name} {self.version} has no kernels for {capability} ({why})"
        return ""

    def buildable(self) -> tuple[str, ...]:
        """Compute capabilities that can be asked for by name; empty: only the GPU at hand."""
        names = dir(getattr(self.module, "ComputeCapability", None))
        matches = [re.fullmatch(r"SM(\d+)(\d)", name) for name in names]
        found = {f"{match[1]}.{match[2]}" for match in matches if match}
        return tuple(sorted(found - RTX_ONLY_NAMES, key=_numbers))

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
            The library cannot build for them here, or does not run there; the message says what it
            can.
        """
        for capability in target.compute_capabilities:
            if why := self.why_not_on(capability):
                raise EngineError(
                    f"cannot build for compute capability {capability}: {why}; {INSTALL}"
                )
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
        for capability in target.compute_capabilities:
            if capability not in (here, *KNOWN_CAPABILITIES):
                raise EngineError(
                    f"no GPU is known to have compute capability {capability}; there are "
                    f"{', '.join(KNOWN_CAPABILITIES)}"
                )
        levels, wanted = self.module.HardwareCompatibilityLevel, target.compute_capabilities
        same = getattr(levels, "SAME_COMPUTE_CAPABILITY", None)  # since 10.9
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
        config.num_compute_capabilities = len(wanted)
        for index, capability in enumerate(wanted):
            value = getattr(self.module.ComputeCapability, f"SM{capability.replace('.', '')}")
            if not config.set_compute_capability(value, index):
                raise EngineError(f"compute capability {capability}: {self.messages.take_errors()}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def find_library(capability: str = "", *, without_gpu: bool = False) -> TensorRt:
    """The installed library that serves: ``tensorrt``, else ``tensorrt_rtx``.

    Parameters
    ----------
    capability
        Of the GPU that the plans are to run on; empty: whatever the library is for.
    without_gpu
        Whether it has to build where there is no GPU, which ``tensorrt_rtx`` alone can.

    Raises
    ------
    EngineError
        None can be used; the message says why and what to install.
    """
    libraries, missing = installed_libraries()
    reasons = list(missing)
    for library in libraries:
        why = library.why_not_on(capability) if capability else ""
        if without_gpu and not library.builds_without_gpu:
            why = f"{library.name} {library.version} builds only on a machine with the GPU"
        if not why:
            return library
        reasons.append(why)
    of = f" for a GPU of compute capability {capability}" if capability else ""
    where = " that builds without a GPU" if without_gpu else ""
    raise EngineError(f"no TensorRT{of}{where} ({'; '.join(reasons)}): {INSTALL}")


@lru_cache(maxsize=1)
def installed_libraries() -> tuple[tuple[TensorRt, ...], tuple[str, ...]]:
    """The libraries that can be imported, and why the others cannot."""
    found, reasons = [], []
    for name in (STANDARD, RTX):
        try:
            found.append(_installed(name))
        except EngineError as error:
            reasons.append(str(error))
        # Whatever is broken in it (shared libraries that are missing, a NumPy that it was not
        # built for): the next library, or OpenVINO, is no worse for that.
        except Exception as error:
            reasons.append(f"{name}: {one_line(error)}")
    return tuple(found), tuple(reasons)


def _installed(name: str) -> TensorRt:
    module = importlib.import_module(name)
    if not hasattr(module, "__version__"):  # a folder of that name where Python looks first
        raise EngineError(f"{name}: {module!r} is not the library")
    version = str(module.__version__)
    if name == STANDARD and _numbers(version)[:2] < OLDEST_STANDARD:
        raise EngineError(f"{name} {version} is older than 10.3")
    return use_library(module, name, version)


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
