# SPDX-License-Identifier: Apache-2.0
"""Devices, memory, streams and events of CUDA, by cuda-python: every return code is checked.

cuda-python has had two import layouts, ``cuda.bindings.runtime`` and before it ``cuda.cudart``.
Importing this module needs neither a driver nor cuda-python.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from hrnet_pose_ros.engines.engine import EngineError

LAYOUTS = ("cuda.bindings.runtime", "cuda.cudart")
INSTALL = "pip install cuda-python (for CUDA 12: 'cuda-python<13')"

_log = logging.getLogger(__name__)


class CudaError(EngineError):
    """A call of CUDA, or work that it started, failed.

    After some errors (an illegal address, a failed assertion on the device) every later call of
    the process fails in the same way: see `context_is_dead` and `reset_device`.
    """


@dataclass(frozen=True)
class CudaDevice:
    """A GPU: its index, name, compute capability (``8.7``) and memory in bytes."""

    index: int
    name: str
    compute_capability: str
    memory: int


@lru_cache(maxsize=1)
def runtime() -> Any:
    """cuda-python's module of the CUDA runtime; EngineError where it cannot be imported."""
    reasons = []
    for layout in LAYOUTS:
        try:
            return importlib.import_module(layout)
        except (ImportError, OSError, RuntimeError) as error:  # also: its libraries are missing
            reasons.append(f"{layout}: {error}")
    raise EngineError(f"cuda-python cannot be imported ({'; '.join(reasons)}): {INSTALL}")


def call(function: str, *arguments: Any) -> Any:
    """Call a function of the CUDA runtime by name and return its results.

    Returns None, one value, or a tuple of values, as the function has them.

    Raises
    ------
    CudaError
        The call failed; the message names it, the error and CUDA's own text.
    EngineError
        cuda-python is not installed.
    """
    code, *values = getattr(runtime(), function)(*arguments)
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
        return 0, f"no CUDA device: {error}"
    return count, "" if count else "no CUDA device: the driver lists none"


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
        raise EngineError(f"no CUDA device {index}: there are {count}, counted from 0")
    properties = call("cudaGetDeviceProperties", index)
    return CudaDevice(
        index=index,
        name=_decoded(properties.name),
        compute_capability=f"{properties.major}.{properties.minor}",
        memory=int(properties.totalGlobalMem),
    )


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


def context_is_dead() -> bool:
    """Whether an earlier error made this process's context on the device unusable."""
    try:
        call("cudaDeviceSynchronize")
    except CudaError:
        return True
    return False


def reset_device() -> None:
    """Destroy this process's context on the thread's device, with everything in it.

    The next call makes a new one, where the driver still allows it: NVIDIA promises that only to
    a new process. Objects of this module made before must not be used any more.
    """
    try:
        call("cudaDeviceReset")
    except CudaError as error:  # it reports the error that the context died of
        _log.debug("%s", error)


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

    def close(self) -> None:
        _free("cudaStreamDestroy", self._stream)


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
    """Memory on the device: ``pointer`` is its address."""

    def __init__(self, size: int) -> None:
        self.pointer = int(call("cudaMalloc", size))

    def close(self) -> None:
        _free("cudaFree", self.pointer)


def _free(function: str, what: Any) -> None:
    try:
        call(function, what)
    except CudaError as error:  # in a dead context nothing can be freed, nor needs to be
        _log.debug("%s", error)
