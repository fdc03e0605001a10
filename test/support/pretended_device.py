# SPDX-License-Identifier: Apache-2.0
"""A pretended GPU, for what no machine without one can run: not CUDA, and not TensorRT.

It proves the order of calls, the sizes and bounds of every copy, buckets, failures and recovery.
The engine's mathematics are ONNX Runtime's, over the very graph file. What it cannot prove: that
the real libraries take these calls, what they compute, and how fast.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hrnet_pose_ros.engines.tensorrt import cuda_runtime, graph_file, library
from hrnet_pose_ros.engines.tensorrt.library import RTX, STANDARD, TensorRt, use_library
from hrnet_pose_ros.engines.tensorrt.plan_cache import Built
from hrnet_pose_ros.engines.tensorrt.plan_key import PlanKey

MEMORY = 8 << 30
SCRATCH = 4096  # bytes of intermediate results that a pretended plan wants
DEAD, NO_DEVICE, NO_MEMORY, CAPTURE_FAILED = 700, 100, 2, 900


class Memory:
    """One allocation; on the pretended device it is the host's as well."""

    def __init__(self, size: int, pinned: bool) -> None:
        self.size, self.pinned = size, pinned
        self.bytes = (ctypes.c_uint8 * max(size, 1))()
        self.address = ctypes.addressof(self.bytes)


class PretendedCuda:
    """cuda-python's runtime module, as far as the package calls it.

    Work on a stream is done when the stream is waited for, never earlier: what is read or
    overwritten too soon shows.
    """

    cudaStreamNonBlocking = 1

    class cudaMemcpyKind(IntEnum):
        cudaMemcpyHostToDevice = 1
        cudaMemcpyDeviceToHost = 2

    class cudaStreamCaptureMode(IntEnum):
        cudaStreamCaptureModeThreadLocal = 1

    def __init__(self, capability: str = "8.9", uuid: bytes = b"\1" * 16) -> None:
        self.capability, self.uuid = capability, uuid
        self.multiprocessors = 16
        self.driver = 12080
        self.devices = 1
        self.memory = MEMORY
        self.dead = False
        self.fails: dict[str, int] = {}  # function: code
        self.raises: dict[str, Exception] = {}
        self.calls: Counter[str] = Counter()
        self.log: list[str] = []
        self.allocated: dict[int, Memory] = {}
        self.queues: dict[int, list[Callable[[], None]]] = {}
        self.capturing: list[Callable[[], None]] | None = None
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.events: dict[int, float | None] = {}  # when each happened
        self.copied: list[tuple[str, int]] = []  # since the last `forget`
        self._next = 1000

    def forget(self) -> None:
        """Count from here."""
        self.calls.clear()
        self.copied.clear()
        self.log.clear()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cuda"):
            raise AttributeError(name)
        work = getattr(type(self), "_" + name)

        def called(*arguments: Any) -> tuple[Any, ...]:
            self.calls[name] += 1
            self.log.append(name)
            if name in self.raises:
                raise self.raises[name]
            if name in self.fails:
                return (self.fails[name], None)
            if self.dead and not name.startswith("cudaGetError") and "Version" not in name:
                return (DEAD, None)
            values = work(self, *arguments)
            return (0, *values) if isinstance(values, tuple) else (0,)

        return called

    def _cudaGetErrorName(self, code: int) -> tuple[bytes]:
        return (f"cudaError{int(code)}".encode(),)

    def _cudaGetErrorString(self, code: int) -> tuple[bytes]:
        return (b"pretended",)

    def _cudaDriverGetVersion(self) -> tuple[int]:
        return (self.driver,)

    def _cudaRuntimeGetVersion(self) -> tuple[int]:
        return (13000,)

    def _cudaGetDeviceCount(self) -> tuple[int]:
        return (self.devices,)

    def _cudaGetDeviceProperties(self, index: int) -> tuple[Any]:
        major, minor = self.capability.split(".")
        return (
            SimpleNamespace(
                name=b"Pretended GPU",
                major=int(major),
                minor=int(minor),
                totalGlobalMem=MEMORY,
                multiProcessorCount=self.multiprocessors,
                uuid=SimpleNamespace(bytes=self.uuid),
            ),
        )

    def _cudaSetDevice(self, index: int) -> None:
        assert 0 <= index < self.devices

    def _cudaMemGetInfo(self) -> tuple[int, int]:
        used = sum(memory.size for memory in self.allocated.values() if not memory.pinned)
        return self.memory - used, self.memory

    def _cudaDeviceSynchronize(self) -> None:
        pass

    def _allocate(self, size: int, pinned: bool) -> tuple[int]:
        memory = Memory(int(size), pinned)
        self.allocated[memory.address] = memory
        return (memory.address,)

    def _cudaMalloc(self, size: int) -> tuple[int]:
        return self._allocate(size, pinned=False)

    def _cudaHostAlloc(self, size: int, flags: int) -> tuple[int]:
        return self._allocate(size, pinned=True)

    def _cudaFree(self, pointer: int) -> None:
        assert not self.allocated.pop(pointer).pinned

    def _cudaFreeHost(self, pointer: int) -> None:
        assert self.allocated.pop(pointer).pinned

    def within(self, address: int, size: int, *, pinned: bool) -> None:
        """Assert that a range lies in one allocation of that kind."""
        for memory in self.allocated.values():
            if memory.address <= address and address + size <= memory.address + memory.size:
                assert memory.pinned == pinned, "the other kind of memory"
                return
        raise AssertionError(f"{size} bytes at {address} are in no allocation")

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        """Put work on a stream, or into the graph that is being captured."""
        (self.queues[int(stream)] if self.capturing is None else self.capturing).append(work)

    def _handle(self) -> int:
        self._next += 1
        return self._next

    def _cudaStreamCreateWithFlags(self, flags: int) -> tuple[int]:
        handle = self._handle()
        self.queues[handle] = []
        return (handle,)

    def _cudaStreamDestroy(self, stream: int) -> None:
        assert not self.queues.pop(stream), "a stream was destroyed with work on it"

    def _cudaMemcpyAsync(self, to: int, of: int, size: int, kind: int, stream: int) -> None:
        up = kind == self.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.within(to, size, pinned=not up)
        self.within(of, size, pinned=up)

        def copy() -> None:
            self.copied.append(("up" if up else "down", size))
            ctypes.memmove(to, of, size)

        self.enqueue(stream, copy)

    def _cudaStreamSynchronize(self, stream: int) -> None:
        assert self.capturing is None, "waited for a stream while capturing it"
        queue = self.queues[stream]
        while queue:
            queue.pop(0)()

    def _cudaStreamBeginCapture(self, stream: int, mode: int) -> None:
        assert not self.queues[stream]
        self.capturing = []

    def _cudaStreamEndCapture(self, stream: int) -> tuple[int]:
        assert self.capturing is not None
        graph, self.capturing = self._handle(), None
        self.graphs[graph] = []
        return (graph,)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "capturing" and value is None and getattr(self, "capturing", None) is not None:
            self.captured = self.capturing
        object.__setattr__(self, name, value)

    def _cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[int]:
        executable = self._handle()
        self.graphs[executable] = list(self.captured)
        return (executable,)

    def _cudaGraphDestroy(self, graph: int) -> None:
        del self.graphs[graph]

    def _cudaGraphExecDestroy(self, graph: int) -> None:
        del self.graphs[graph]

    def _cudaGraphLaunch(self, graph: int, stream: int) -> None:
        self.queues[int(stream)] += self.graphs[graph]

    def _cudaEventCreate(self) -> tuple[int]:
        event = self._handle()
        self.events[event] = None
        return (event,)

    def _cudaEventRecord(self, event: int, stream: int) -> None:
        def happened() -> None:
            self.events[event] = time.perf_counter()

        self.enqueue(stream, happened)

    def _cudaEventElapsedTime(self, earlier: int, later: int) -> tuple[float]:
        begin, end = self.events[earlier], self.events[later]
        assert begin is not None and end is not None, "asked for before the stream was waited for"
        return (1e3 * (end - begin),)

    def _cudaEventDestroy(self, event: int) -> None:
        del self.events[event]


class PretendedContext:
    """An execution context: its shape, its addresses, and runs by ONNX Runtime."""

    def __init__(self, engine: PretendedEngine) -> None:
        self.engine, self.addresses, self.persons, self.runs = engine, {}, 0, 0
        self.scratch: tuple[int, int] | None = None

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_device_memory(self, memory: int, size: int) -> None:
        self.scratch = (memory, size)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.engine.module.shapes += 1
        self.persons = shape[0]
        return 1 <= shape[0] <= self.engine.facts["persons"]

    def execute_async_v3(self, stream: int) -> bool:
        module, cuda = self.engine.module, self.engine.module.cuda
        if cuda.capturing is not None:
            assert self.runs, "captured before the first run: TensorRT has updates to do first"
            if module.no_capture:
                module.say("operation not permitted when stream is capturing")
                return False
        assert self.scratch is not None and self.scratch[1] >= SCRATCH
        cuda.within(*self.scratch, pinned=False)
        self.runs += 1
        cuda.enqueue(stream, self._run)
        return True

    def _run(self) -> None:
        module, facts = self.engine.module, self.engine.facts
        width, height = facts["image_size"]
        module.ran.append(self.persons)
        inputs = {
            "image": self._read("image", (height, width, 3), np.uint8),
            "crop_to_image": self._read("crop_to_image", (self.persons, 2, 3), np.float32),
            "channels": self._read("channels", (3,), np.int32),
        }
        assert np.isfinite(inputs["crop_to_image"]).all()
        names = ("keypoints", "scores", "covariances")
        for name, values in zip(names, module.computed(names, inputs), strict=True):
            values = np.ascontiguousarray(module.spoil(name, values), np.float32)
            module.cuda.within(self.addresses[name], values.nbytes, pinned=False)
            ctypes.memmove(self.addresses[name], values.ctypes.data, values.nbytes)

    def _read(self, name: str, shape: tuple[int, ...], kind: Any) -> np.ndarray:
        array = np.empty(shape, kind)
        self.engine.module.cuda.within(self.addresses[name], array.nbytes, pinned=False)
        ctypes.memmove(array.ctypes.data, self.addresses[name], array.nbytes)
        return array


class PretendedEngine:
    """A deserialised plan."""

    device_memory_size_v2 = SCRATCH

    def __init__(self, module: PretendedTensorRt, facts: dict[str, Any]) -> None:
        self.module, self.facts = module, facts
        self._names = ("image", "crop_to_image", "channels", "keypoints", "scores", "covariances")
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        width, height = self.facts["image_size"]
        joints = self.module.session().get_outputs()[1].shape[1]
        return {"image": (height, width, 3), "scores": (-1, joints)}[name]

    def get_tensor_profile_shape(self, name: str, profile: int) -> tuple[tuple[int, ...], ...]:
        return (1, 2, 3), (1, 2, 3), (self.facts["persons"], 2, 3)

    def create_execution_context(self, how: Any) -> PretendedContext | None:
        self.module.made_with.append(how)
        return None if "context" in self.module.nulls else PretendedContext(self)

    def create_runtime_config(self) -> PretendedRuntimeConfig | None:
        return None if "config" in self.module.nulls else PretendedRuntimeConfig(self.module)


class PretendedRuntimeConfig:
    """IRuntimeConfig of TensorRT for RTX."""

    def __init__(self, module: PretendedTensorRt) -> None:
        self.cuda_graph_strategy = self.dynamic_shapes_kernel_specialization_strategy = ""
        self.allocation, self.cache, self._module = "", None, module

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.allocation = strategy

    def create_runtime_cache(self) -> Any:
        module = self._module
        if "cache" in module.nulls:
            return None
        return SimpleNamespace(
            deserialize=lambda blob: module.kernels_in.append(bytes(blob)) or True,
            serialize=lambda: b"compiled kernels",
        )

    def set_runtime_cache(self, cache: Any) -> bool:
        self.cache = cache
        return True


_SESSIONS: dict[str, Any] = {}
_ANSWERS: dict[bytes, list[np.ndarray]] = {}


class PretendedTensorRt:
    """The module ``tensorrt`` or ``tensorrt_rtx``, as far as loading and running a plan need it."""

    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user")
    DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")
    CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole", DISABLED="disabled")
    ComputeCapability = SimpleNamespace(SM75=1, SM80=2, SM86=3, SM89=4, SM120=5)

    class ILogger:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2, INFO=3, VERBOSE=4)

    def __init__(self, cuda: PretendedCuda, graph: Path) -> None:
        self.cuda, self.graph = cuda, graph
        self.logger: Any = None
        self.null = ""  # why deserialising gives nothing
        self.broken = ""  # why no Builder and no Runtime can be made
        self.nulls: set[str] = set()  # of "context", "config" and "cache": what cannot be made
        self.no_capture = False
        self.spoil: Callable[[str, np.ndarray], np.ndarray] = lambda name, values: values
        self.shapes = 0  # set so far
        self.ran: list[int] = []  # numbers of persons
        self.made_with: list[Any] = []
        self.kernels_in: list[bytes] = []
        self.bad_plans: set[bytes] = set()

    def session(self) -> Any:
        """ONNX Runtime with the graph."""
        from hrnet_pose_ros.network.onnx_running import onnx_session

        if str(self.graph) not in _SESSIONS:
            _SESSIONS[str(self.graph)] = onnx_session(str(self.graph))
        return _SESSIONS[str(self.graph)]

    def computed(self, names: tuple[str, ...], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """What ONNX Runtime computes; the same question (warming up) is answered from memory."""
        question = hashlib.sha256(str(self.graph).encode())
        for values in inputs.values():
            question.update(values.tobytes())
        key = question.digest()
        if key not in _ANSWERS:
            _ANSWERS[key] = self.session().run(names, inputs)
        return _ANSWERS[key]

    def say(self, text: str) -> None:
        """As the library's logger says an error."""
        self.logger.log(self.ILogger.Severity.ERROR, text)

    def Builder(self, logger: Any) -> Any:
        return self._made(logger)

    def Runtime(self, logger: Any) -> Any:
        return self._made(logger)

    def _made(self, logger: Any) -> Any:
        self.logger = logger
        if self.broken:
            self.say(self.broken)
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return SimpleNamespace(deserialize_cuda_engine=self._deserialize)

    def _deserialize(self, plan: bytes) -> PretendedEngine | None:
        if self.null or plan in self.bad_plans:
            self.say(self.null or "Serialization assertion magicTagRead == kMAGIC_TAG failed")
            return None
        return PretendedEngine(self, json.loads(plan))


class Pretended(SimpleNamespace):
    """``cuda``, ``module`` (the library's), ``library``, and ``builds``: the keys of all builds."""

    cuda: PretendedCuda
    module: PretendedTensorRt
    library: TensorRt
    builds: list[PlanKey]


def pretend(
    monkeypatch: pytest.MonkeyPatch,
    graph: Path,
    name: str = STANDARD,
    capability: str = "8.9",
    version: str = "",
) -> Pretended:
    """Put a pretended GPU and library under the package for one test; plans are built at once."""
    cuda = PretendedCuda(capability)
    module = PretendedTensorRt(cuda, graph)
    version = version or ("1.7.1" if name == RTX else "10.13.2")
    installed = use_library(module, name, version)
    builds: list[PlanKey] = []

    def build(library: TensorRt, onnx: bytes, key: PlanKey, **other: Any) -> Built:
        builds.append(key)
        facts = {"image_size": key.image_size, "persons": key.persons[2], "build": len(builds)}
        return Built(json.dumps(facts).encode())

    monkeypatch.setattr(cuda_runtime, "runtime", lambda: cuda)
    monkeypatch.setattr(library, "installed_libraries", lambda: ((installed,), ()))
    monkeypatch.setattr(graph_file, "build_plan", build)
    return Pretended(cuda=cuda, module=module, library=installed, builds=builds)
