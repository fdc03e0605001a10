# SPDX-License-Identifier: Apache-2.0
"""Devices, memory, streams and events of CUDA, by cuda-python: every return code is checked.

cuda-python has had two import layouts, ``cuda.bindings.runtime`` and before it ``cuda.cudart``.
Importing this module needs neither a driver nor cuda-python.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from hrnet_pose_ros.engines.engine import EngineError

LAYOUTS = ("cuda.bindings.runtime", "cuda.cudart")
OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
VISIBLE = "CUDA_VISIBLE_DEVICES"
INSTALL = "pip install cuda-python (for CUDA 12: 'cuda-python<13')"

_log = logging.getLogger(__name__)


class CudaError(EngineError):
    """A call of CUDA, or work that it started, failed."""


class DeviceLost(CudaError):
    """This process cannot use the device any more; NVIDIA promises that only to a new process.

    After some errors (an illegal address, a failed assertion on the device, a GPU that fell off
    the bus) every later call in the process's CUDA context fails in the same way.
    """


class OutOfDeviceMemory(CudaError):
    """The device has too little free memory; the same call can succeed later."""


@dataclass(frozen=True)
class CudaDevice:
    """A GPU.

    Attributes
    ----------
    index, name, compute_capability, memory
        Index from 0, name, ``8.7``, and bytes.
    multiprocessors
        Number of its streaming multiprocessors: all modules of a Jetson family have the same name.
    uuid
        NVIDIA's identifier of this one GPU or MIG instance, hexadecimal; empty where not known.
    """

    index: int
    name: str
    compute_capability: str
    memory: int
    multiprocessors: int = 0
    uuid: str = ""


def one_line(error: Exception) -> str:
    """What an error says, in one line; the name of its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


@lru_cache(maxsize=1)
def runtime() -> Any:
    """cuda-python's module of the CUDA runtime; EngineError where it cannot be imported."""
    reasons = []
    for layout in LAYOUTS:
        try:
            return importlib.import_module(layout)
        except Exception as error:  # missing or broken in whatever way: there is no GPU without it
            reasons.append(f"{layout}: {one_line(error)}")
    raise EngineError(f"cuda-python cannot be imported ({'; '.join(reasons)}): {INSTALL}")


def call(function: str, *arguments: Any) -> Any:
    """Call a function of the CUDA runtime by name and return its results.

    Returns None, one value, or a tuple of values, as the function has them.

    Raises
    ------
    CudaError
        The call failed; the message names it, the error and CUDA's own text. OutOfDeviceMemory
        where that is the error.
    EngineError
        cuda-python is not installed, or it does not find its libraries.
    """
    try:
        code, *values = getattr(runtime(), function)(*arguments)
    # cuda-python 12.0 to 12.8 raise RuntimeError where libcuda is missing; a library of another
    # version lacks a function (AttributeError here, RuntimeError or OSError further down) or takes
    # other arguments (TypeError).
    except (RuntimeError, OSError, AttributeError, TypeError) as error:
        if isinstance(error, EngineError):
            raise
        raise EngineError(f"{function} cannot be called: {error}") from error
    if int(code) == OUT_OF_MEMORY:
        raise OutOfDeviceMemory(f"{function} failed: {_text(code)}")
    if int(code) != 0:
        raise CudaError(f"{function} failed: {_text(code)}")
    if len(values) == 1:
        return values[0]
    return tuple(values) or None


def _text(code: Any) -> str:
    name, text = (
        function(code)[1] for function in (runtime().cudaGetErrorName, runtime().cudaGetErrorString)
    )
    return f"{_decoded(name)} ({int(code)}): {_decoded(text)}"


def _decoded(text: bytes | str) -> str:
    return text.decode(errors="replace").rstrip("\0") if isinstance(text, bytes) else str(text)


def device_count() -> tuple[int, str]:
    """Number of CUDA devices, and where there are none why. Does not raise."""
    try:
        if not int(call("cudaDriverGetVersion")):  # the device count blames an old driver then
            return 0, "no CUDA device: no NVIDIA driver is loaded"
        count = int(call("cudaGetDeviceCount"))
    except EngineError as error:
        return 0, f"no CUDA device: {error}{_visibility()}"
    return count, "" if count else f"no CUDA device: the driver lists none{_visibility()}"


def _visibility() -> str:
    """What the environment hides, for messages."""
    shown = os.environ.get(VISIBLE)
    return "" if shown is None else f" ({VISIBLE} is '{shown}')"


def why_no_device(index: int) -> str:
    """Why this process cannot compute on a device; empty where it can. Does not raise.

    A device may be listed and still refuse: in exclusive or prohibited compute mode, as MIG
    without an instance, or with too little memory for a context. So this makes its context.
    """
    try:
        find_device(index)
        use_device(index)
        free_memory()  # before CUDA 12, nothing else made the context
    except EngineError as error:
        text = str(error)
        return text if text.startswith("no CUDA device") else f"no CUDA device {index}: {text}"
    return ""


def find_device(index: int) -> CudaDevice:
    """The device with an index.

    Raises
    ------
    EngineError
        There is no such device; the message says why.
    """
    count, reason = device_count()
    if not count:
        raise EngineError(reason)
    if index >= count:
        raise EngineError(
            f"no CUDA device {index}: there are {count}, counted from 0{_visibility()}"
        )
    properties = call("cudaGetDeviceProperties", index)
    return CudaDevice(
        index=index,
        name=_decoded(properties.name),
        compute_capability=f"{properties.major}.{properties.minor}",
        memory=int(properties.totalGlobalMem),
        multiprocessors=int(properties.multiProcessorCount),
        uuid=_uuid(properties),
    )


def _uuid(properties: Any) -> str:
    value = getattr(getattr(properties, "uuid", None), "bytes", b"")
    raw = value.encode("latin-1") if isinstance(value, str) else bytes(value)
    return raw.hex() if any(raw) else ""


def machine_id(device: CudaDevice) -> str:
    """What numbers depend on besides the plan: this GPU and the driver; empty where not known."""
    return f"{device.uuid} driver {versions()[0]}" if device.uuid else ""


def use_device(index: int) -> None:
    """Make a device the one that this thread's calls are for."""
    call("cudaSetDevice", index)


def versions() -> tuple[str, str]:
    """Highest CUDA version that the driver knows, and the runtime's version, like ``13.0``.

    The first is "0.0" without a driver. EngineError where cuda-python is not installed.
    """
    driver, own = (int(call(name)) for name in ("cudaDriverGetVersion", "cudaRuntimeGetVersion"))
    return tuple(f"{v // 1000}.{v % 1000 // 10}" for v in (driver, own))  # type: ignore[return-value]


def free_memory() -> int:
    """Bytes of memory that nobody uses on this thread's device."""
    return int(call("cudaMemGetInfo")[0])


def version_text() -> str:
    """The versions for messages: ``the driver knows CUDA 12.4, cuda-python has 13.0``."""
    try:
        driver, own = versions()
    except EngineError as error:
        return str(error)
    return f"the driver knows CUDA {driver}, cuda-python has {own}"


def context_is_dead() -> bool:
    """Whether an earlier error made this process's context on the device unusable."""
    try:
        call("cudaDeviceSynchronize")
    except EngineError:
        return True
    return False


class CudaStream:
    """Work on the device in order. ``handle`` is what other libraries take."""

    def __init__(self) -> None:
        self._stream = call("cudaStreamCreateWithFlags", runtime().cudaStreamNonBlocking)
        self.handle = int(self._stream)

    def upload(self, target: int, source: np.ndarray) -> None:
        """Begin to copy a pinned array to an address on the device."""
        self._copy(target, source.ctypes.data, source.nbytes, "cudaMemcpyHostToDevice")

    def download(self, target: np.ndarray, source: int) -> None:
        """Begin to fill a pinned array from an address on the device."""
        self._copy(target.ctypes.data, source, target.nbytes, "cudaMemcpyDeviceToHost")

    def _copy(self, target: int, source: int, size: int, kind: str) -> None:
        direction = getattr(runtime().cudaMemcpyKind, kind)
        call("cudaMemcpyAsync", target, source, size, direction, self._stream)

    def synchronize(self) -> None:
        """Wait until all work is done; CudaError where some of it failed."""
        call("cudaStreamSynchronize", self._stream)

    def record(self) -> CudaEvent:
        """A new event at this point of the stream."""
        event = CudaEvent()
        call("cudaEventRecord", event.event, self._stream)
        return event

    def capture(self, work: Callable[[], None]) -> CudaGraph:
        """What ``work`` puts on this stream, as a graph; nothing of it runs.

        CudaError where that cannot be captured; errors of ``work`` pass.
        """
        mode = runtime().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call("cudaStreamBeginCapture", self._stream, mode)
        try:
            work()
        except BaseException:
            with suppress(EngineError):  # ends the capture, whatever it holds
                call("cudaGraphDestroy", call("cudaStreamEndCapture", self._stream))
            raise
        return CudaGraph(call("cudaStreamEndCapture", self._stream))

    def launch(self, graph: CudaGraph) -> None:
        """Begin to run a captured graph."""
        call("cudaGraphLaunch", graph.executable, self._stream)

    def close(self) -> None:
        _free("cudaStreamDestroy", self._stream)


class CudaGraph:
    """Work of a stream that is launched as one."""

    def __init__(self, captured: Any) -> None:
        try:
            self.executable = call("cudaGraphInstantiate", captured, 0)
        finally:
            _free("cudaGraphDestroy", captured)

    def close(self) -> None:
        _free("cudaGraphExecDestroy", self.executable)


class CudaEvent:
    """A point in a stream's work."""

    def __init__(self) -> None:
        self.event = call("cudaEventCreate")

    def ms_since(self, earlier: CudaEvent) -> float:
        """Milliseconds between two events that have happened."""
        return float(call("cudaEventElapsedTime", earlier.event, self.event))

    def close(self) -> None:
        _free("cudaEventDestroy", self.event)


class PinnedArray:
    """Host memory that the device copies from and to directly, as a NumPy array."""

    def __init__(self, shape: tuple[int, ...], dtype: type) -> None:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._pointer = int(call("cudaHostAlloc", size, 0))
        memory = (ctypes.c_uint8 * size).from_address(self._pointer)
        self.array: np.ndarray = np.ctypeslib.as_array(memory).view(dtype).reshape(shape)

    def close(self) -> None:
        """Give the memory back; ``array`` must not be used any more."""
        _free("cudaFreeHost", self._pointer)


class DeviceMemory:
    """Memory on the device: ``pointer`` is its address, ``size`` its bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pointer = int(call("cudaMalloc", size))

    def close(self) -> None:
        _free("cudaFree", self.pointer)


def _free(function: str, what: Any) -> None:
    try:
        call(function, what)
    except EngineError as error:  # in a dead context nothing can be freed, nor needs to be
        _log.debug("%s", error)
