# SPDX-License-Identifier: Apache-2.0
"""A plan at work: its contexts for numbers of persons, its memory, its stream, and runs of it."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import (
    CudaError,
    CudaGraph,
    CudaStream,
    DeviceLost,
    DeviceMemory,
    OutOfDeviceMemory,
    PinnedArray,
    context_is_dead,
    free_memory,
)
from hrnet_pose_ros.engines.tensorrt.library import TensorRt
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_build import (
    CHANNELS,
    CROP_TO_IMAGE,
    IMAGE,
    INPUTS,
    OUTPUTS,
)

# float32 values a joint: x, y; score; var_x, cov_xy, var_y.
VALUES = {"keypoints": 2, "scores": 1, "covariances": 3}
# Places of red, green and blue in a frame.
RGB, BGR = (0, 1, 2), (2, 1, 0)
# TensorRT wants tensors to begin at such addresses; CUDA's own allocations do.
_ALIGNMENT = 256
# What the libraries say where memory is missing.
_NO_MEMORY = re.compile(
    r"out ?of ?memory|MemoryAllocation|bad_alloc|(fail|unable|cannot)\w* to allocate|"
    r"allocation (fail|of size)",
    re.IGNORECASE,
)

_log = logging.getLogger(__name__)


class PlanRejected(EngineError):
    """TensorRT does not take the plan, though its sidecar fits: build it anew."""


@dataclass
class Bucket:
    """An execution context for one number of persons, and its work as a graph where captured."""

    persons: int
    context: Any
    graph: CudaGraph | None = None


class PlanRunner:
    """Runs a plan for frames of one size, on the thread and the device that made it.

    TensorRT rearranges its resources whenever the number of persons changes. So there is a context
    for each of some numbers (`TensorRtOptions.buckets`): a group of persons runs in the smallest
    one that holds it, filled up with copies whose results are discarded. The contexts run one
    after the other and share the memory of intermediate results.
    """

    def __init__(
        self, library: TensorRt, plan: bytes, options: TensorRtOptions, kernels: bytes = b""
    ) -> None:
        """Load a plan and take its memory.

        Parameters
        ----------
        library
            The library that built the plan.
        plan
            The serialised engine; loading it runs what is in it.
        options
            Image size and most persons that the plan was built for, its buckets, and whether their
            work is captured.
        kernels
            What `kernels` gave in an earlier process; ignored where it does not fit.

        Raises
        ------
        PlanRejected
            The plan is not one for this library and device, or has other inputs and outputs.
        OutOfDeviceMemory, DeviceLost
            It cannot be loaded now, or not in this process: nothing is wrong with the plan.
        EngineError
            As CudaError: a call of CUDA failed.
        """
        self._owned: list[Any] = []  # what has to be closed, in the order of making
        self._library, self._options = library, options
        self._max_persons = options.max_persons
        self._kernels: Any = None
        self._buckets: list[Bucket] = []
        # The runtime has to live as long as the engine, and that as long as the contexts.
        self._runtime = library.runtime()
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise self._why_nothing("load it", len(plan))
        self._check_tensors(options.image_size)
        try:
            self._take_memory(options.image_size)
            self._make_buckets(kernels)
        except BaseException:
            self.close()
            raise

    def _why_nothing(self, what: str, needed: int) -> EngineError:
        """The error for a null that the library gave: not every one means a stale plan."""
        library = self._library
        words = library.messages.take_errors()
        if context_is_dead():
            return DeviceLost(
                f"{library.name} could not {what}: the device does not answer this process any "
                f"more: {words}"
            )
        free = free_memory()
        if _NO_MEMORY.search(words) or free < needed:
            return OutOfDeviceMemory(
                f"{library.name} could not {what}: at least {needed / 1e6:.0f} MB of device "
                f"memory are needed, {free / 1e6:.0f} MB are free: {words}"
            )
        return PlanRejected(f"{library.name} does not {what}: {words}")

    def _check_tensors(self, image_size: tuple[int, int]) -> None:
        engine = self._engine
        names = {engine.get_tensor_name(index) for index in range(engine.num_io_tensors)}
        if names != {*INPUTS, *OUTPUTS}:
            raise PlanRejected(f"its tensors are {', '.join(sorted(names))}")
        height, width = tuple(engine.get_tensor_shape(IMAGE))[:2]
        _, _, largest = engine.get_tensor_profile_shape(CROP_TO_IMAGE, 0)
        if (width, height) != image_size or tuple(largest) != (self._max_persons, 2, 3):
            raise PlanRejected(f"it is for {width}x{height} px and persons {tuple(largest)}")
        self._joints = int(tuple(engine.get_tensor_shape("scores"))[1])

    def _take_memory(self, image_size: tuple[int, int]) -> None:
        width, height = image_size
        self.stream = self._own(CudaStream())
        # Pinned: copied to the device directly, without the driver's own staging.
        self._frame = self._own(PinnedArray((height, width, 3), np.uint8)).array
        self._frame_there = self._own(DeviceMemory(self._frame.nbytes)).pointer
        # One block for the small inputs, so that one copy takes them.
        small = self._own(PinnedArray((_ALIGNMENT + 24 * self._max_persons,), np.uint8)).array
        self._small, self._small_there = small, self._own(DeviceMemory(small.nbytes)).pointer
        self._channels = small[:12].view(np.int32)
        self._channels[:] = RGB
        self._transforms = small[_ALIGNMENT:].view(np.float32).reshape(-1, 2, 3)
        self._transforms[:] = np.eye(2, 3)

        # One block for all outputs, so that one copy brings them.
        self._places: dict[str, slice] = {}
        end = 0
        for name in OUTPUTS:
            size = 4 * self._max_persons * self._joints * VALUES[name]
            self._places[name] = slice(end, end + size)
            end = math.ceil((end + size) / _ALIGNMENT) * _ALIGNMENT
        self._results = self._own(PinnedArray((end,), np.uint8)).array
        self._results_there = self._own(DeviceMemory(end)).pointer
        # Intermediate results of the largest bucket; a plan may need none.
        self.shared_bytes = int(self._engine.device_memory_size_v2)
        self._shared = self._own(DeviceMemory(max(self.shared_bytes, 1)))

    def _make_buckets(self, kernels: bytes) -> None:
        addresses = {
            IMAGE: self._frame_there,
            CHANNELS: self._small_there,
            CROP_TO_IMAGE: self._small_there + _ALIGNMENT,
        }
        addresses |= {n: self._results_there + place.start for n, place in self._places.items()}
        before = free_memory()
        make = self._context_maker(kernels)
        for persons in self._options.buckets:
            context = self._given("make a context", make())
            self._buckets.append(Bucket(persons, context))
            for name, address in addresses.items():
                if not context.set_tensor_address(name, address):
                    raise CudaError(f"address of {name}: {self._library.messages.take_errors()}")
            context.set_device_memory(self._shared.pointer, self._shared.size)
            if not context.set_input_shape(CROP_TO_IMAGE, (persons, 2, 3)):
                raise CudaError(f"{persons} persons: {self._library.messages.take_errors()}")
        self.own_bytes = max(0, before - free_memory())

    def _given(self, what: str, made: Any) -> Any:
        """What the library gave of a plan that loaded: a null is an error that passes, or not."""
        if made is None:
            error = self._why_nothing(what, self.shared_bytes)
            raise CudaError(str(error)) if isinstance(error, PlanRejected) else error
        return made

    def _context_maker(self, kernels: bytes) -> Any:
        trt, engine = self._library.module, self._engine
        shared = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not self._library.compiles_on_load:
            return lambda: engine.create_execution_context(shared)
        config = self._given("make a runtime configuration", engine.create_runtime_config())
        config.set_execution_context_allocation_strategy(shared)
        # Kernels for a bucket's own shape, compiled while it is warmed up, not while it serves.
        config.dynamic_shapes_kernel_specialization_strategy = (
            trt.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        strategies = trt.CudaGraphStrategy
        config.cuda_graph_strategy = (
            strategies.WHOLE_GRAPH_CAPTURE if self._options.cuda_graphs else strategies.DISABLED
        )
        cache = config.create_runtime_cache()
        if cache is not None and kernels and not cache.deserialize(kernels):
            _log.info("compiled kernels do not fit: %s", self._library.messages.take_errors())
        if cache is not None and config.set_runtime_cache(cache):
            self._kernels = cache
        else:
            _log.warning(
                "compiled kernels cannot be kept, and are compiled at every start: %s",
                self._library.messages.take_errors(),
            )
        return lambda: engine.create_execution_context(config)

    def _own(self, made: Any) -> Any:
        self._owned.append(made)
        return made

    @property
    def frame_buffer(self) -> np.ndarray:
        """uint8 ``[H, W, 3]``: a frame that is written here in RGB needs no copy in `stage_frame`.

        Free to be written between `finish` and the next run; gone when the runner is closed.
        """
        return self._frame

    @property
    def memory_text(self) -> str:
        """How much device memory the contexts take, in words."""
        captured = sum(bucket.graph is not None for bucket in self._buckets)
        return (
            f"buckets of {', '.join(str(bucket.persons) for bucket in self._buckets)} persons, "
            f"{captured} captured; they share {self.shared_bytes / 1e6:.0f} MB of device memory, "
            f"and take {self.own_bytes / 1e6:.0f} MB besides"
        )

    def kernels(self) -> bytes:
        """The kernels compiled so far, for a later process; empty where the plan holds them."""
        if self._kernels is None:
            return b""
        serialized = self._kernels.serialize()
        return b"" if serialized is None else bytes(memoryview(serialized))

    @property
    def bytes_up(self) -> tuple[int, int]:
        """Bytes that go to the device: for each frame, and for each run."""
        return self._frame.nbytes, self._small.nbytes

    @property
    def bytes_down(self) -> int:
        """Bytes that come back from each run."""
        return int(self._results.nbytes)

    def warm_up(self) -> None:
        """Run every bucket, so that no live frame pays for a first time, and capture its work."""
        for bucket in reversed(self._buckets):
            self._enqueue(bucket)
            self.stream.synchronize()
            if self._options.cuda_graphs and not self._library.compiles_on_load:
                self._capture(bucket)

    def _capture(self, bucket: Bucket) -> None:
        try:
            bucket.graph = self._own(self.stream.capture(lambda: self._enqueue(bucket)))
            self.stream.launch(bucket.graph)
            self.stream.synchronize()
        except EngineError as error:  # also where cuda-python lacks a function of graphs
            if context_is_dead():
                raise
            bucket.graph = None
            _log.warning(
                "%d persons run without a CUDA graph, which could not be captured: %s",
                bucket.persons,
                error,
            )

    def run(self, frame: np.ndarray, transforms: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Run a frame, uint8 ``[H, W, 3]`` RGB, with transforms ``[N, 2, 3]``, N from 1.

        In groups of at most ``max_persons``; returns what `finish` gives for each of them.
        """
        self.stage_frame(frame)
        self.upload_frame()
        parts = []
        for start in range(0, len(transforms), self._max_persons):
            group = transforms[start : start + self._max_persons]
            self.start(self.stage_transforms(group))
            parts.append(self.finish(len(group)))
        return parts

    def stage_frame(self, frame: np.ndarray) -> None:
        """Put a frame, uint8 ``[H, W, 3]`` RGB of the plan's size, where the device copies from.

        A frame in `frame_buffer` is there already. One that is a view of BGR pixels is taken as
        it lies in memory: the graph turns it.
        """
        turned = frame.strides[2] < 0
        if turned:
            frame = frame[..., ::-1]
        self._channels[:] = BGR if turned else RGB
        if frame.ctypes.data != self._frame.ctypes.data:
            np.copyto(self._frame, frame)

    def upload_frame(self) -> None:
        """Begin to copy the frame to the device."""
        self.stream.upload(self._frame_there, self._frame)

    def stage_transforms(self, transforms: np.ndarray) -> Bucket:
        """Put 1 to ``max_persons`` transforms where the device copies from; gives their bucket."""
        count = len(transforms)
        bucket = next(bucket for bucket in self._buckets if bucket.persons >= count)
        self._transforms[:count] = transforms
        self._transforms[count : bucket.persons] = transforms[0]  # finite; discarded
        return bucket

    def start(self, bucket: Bucket) -> None:
        """Begin a run on the uploaded frame, with the transforms staged for a bucket."""
        if bucket.graph is not None:
            self.stream.launch(bucket.graph)
        else:
            self._enqueue(bucket)

    def _enqueue(self, bucket: Bucket) -> None:
        self.upload_transforms()
        self.execute(bucket)
        self.download()

    def upload_transforms(self) -> None:
        """The first part of `start`, for measurements."""
        self.stream.upload(self._small_there, self._small)

    def execute(self, bucket: Bucket) -> None:
        """The second part of `start`: crop, network and decoding."""
        if not bucket.context.execute_async_v3(self.stream.handle):
            raise CudaError(f"the run did not start: {self._library.messages.take_errors()}")

    def download(self) -> None:
        """The last part of `start`."""
        self.stream.download(self._results, self._results_there)

    def finish(self, count: int) -> dict[str, np.ndarray]:
        """Wait for the run and return copies of its outputs for ``count`` persons.

        ``keypoints`` ``[N, J, 2]``, ``scores`` ``[N, J]`` and ``covariances`` ``[N, J, 3]`` for J
        joints, float32. CudaError where the run failed.
        """
        self.stream.synchronize()
        outputs = {}
        for name, place in self._places.items():
            values = self._results[place].view(np.float32)
            values = values[: count * self._joints * VALUES[name]]
            outputs[name] = values.reshape(count, self._joints, -1).copy()
        outputs["scores"] = outputs["scores"][..., 0]
        return outputs

    def close(self) -> None:
        """Free everything; closing twice is harmless."""
        while self._owned and isinstance(self._owned[-1], CudaGraph):
            self._owned.pop().close()
        self._buckets = []
        self._kernels = self._engine = self._runtime = None
        while self._owned:
            self._owned.pop().close()

    def abandon(self) -> None:
        """Leave everything as it is, for ever: of a lost device, nothing can be freed.

        The libraries' destructors would call into the dead context.
        """
        _ABANDONED.append((self._buckets, self._kernels, self._engine, self._runtime, self._owned))
        self._buckets, self._owned = [], []
        self._kernels = self._engine = self._runtime = None


# Nothing in here is ever destroyed; see `PlanRunner.abandon`.
_ABANDONED: list[Any] = []
