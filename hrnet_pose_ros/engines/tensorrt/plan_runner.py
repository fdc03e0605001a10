# SPDX-License-Identifier: Apache-2.0
"""A plan at work: its memory, its stream, and one run of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import (
    CudaError,
    CudaStream,
    DeviceMemory,
    PinnedArray,
)
from hrnet_pose_ros.engines.tensorrt.library import TensorRt
from hrnet_pose_ros.engines.tensorrt.plan_build import CROP_TO_IMAGE, IMAGE, INPUTS, OUTPUTS

# float32 values a joint: x, y; score; var_x, cov_xy, var_y.
VALUES = {"keypoints": 2, "scores": 1, "covariances": 3}
# TensorRT wants tensors to begin at such addresses; CUDA's own allocations do.
_ALIGNMENT = 256


class PlanRejected(EngineError):
    """TensorRT does not take the plan, though its sidecar fits: build it anew."""


class PlanRunner:
    """Runs a plan for frames of one size, on the thread and the device that made it.

    One frame: `upload`, then for each group of persons `start` and `finish`. All of it is in the
    order of one stream; `finish` waits for it.
    """

    def __init__(
        self,
        library: TensorRt,
        plan: bytes,
        image_size: tuple[int, int],
        max_persons: int,
        joints: int,
    ) -> None:
        """Load a plan and take its memory.

        Parameters
        ----------
        library
            The library that built the plan.
        plan
            The serialised engine; loading it runs what is in it.
        image_size
            (width, height) of the frames that the plan was built for.
        max_persons
            Most persons in one run that it was built for.
        joints
            The number of joints that the graph gives.

        Raises
        ------
        PlanRejected
            The plan is not one for this library and device, or has other inputs and outputs.
        EngineError
            As CudaError: a call of CUDA failed.
        """
        self._owned: list[Any] = []  # what has to be closed, in the order of making
        self._library = library
        self._max_persons = max_persons
        self._joints = joints
        library.messages.take_errors()
        # The runtime has to live as long as the engine, and that as long as the context.
        self._runtime = library.module.Runtime(library.logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise PlanRejected(f"{library.name} does not load it: {library.messages.take_errors()}")
        self._check_tensors(image_size)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise CudaError(f"no execution context: {library.messages.take_errors()}")
        try:
            self._take_memory(image_size)
        except Exception:
            self.close()
            raise

    def _check_tensors(self, image_size: tuple[int, int]) -> None:
        engine = self._engine
        names = {engine.get_tensor_name(index) for index in range(engine.num_io_tensors)}
        if names != {*INPUTS, *OUTPUTS}:
            raise PlanRejected(f"its tensors are {', '.join(sorted(names))}")
        height, width = tuple(engine.get_tensor_shape(IMAGE))[:2]
        _, _, largest = engine.get_tensor_profile_shape(CROP_TO_IMAGE, 0)
        if (width, height) != image_size or tuple(largest) != (self._max_persons, 2, 3):
            raise PlanRejected(f"it is for {width}x{height} px and persons {tuple(largest)}")
        joints = tuple(engine.get_tensor_shape("scores"))[-1]
        if joints != self._joints:  # results would be read at wrong places
            raise PlanRejected(f"it gives {joints} joints, expected {self._joints}")

    def _take_memory(self, image_size: tuple[int, int]) -> None:
        width, height = image_size
        self.stream = self._own(CudaStream())
        # Pinned: copied to the device directly, without the driver's own staging.
        self._frame = self._own(PinnedArray((height, width, 3), np.uint8)).array
        self._transforms = self._own(PinnedArray((self._max_persons, 2, 3), np.float32)).array
        inputs = [self._own(DeviceMemory(a.nbytes)) for a in (self._frame, self._transforms)]
        self._frame_there, self._transforms_there = (memory.pointer for memory in inputs)

        # One block for all outputs, so that one copy brings them.
        self._places: dict[str, slice] = {}
        end = 0
        for name in OUTPUTS:
            size = 4 * self._max_persons * self._joints * VALUES[name]
            self._places[name] = slice(end, end + size)
            end = math.ceil((end + size) / _ALIGNMENT) * _ALIGNMENT
        self._results = self._own(PinnedArray((end,), np.uint8)).array
        self._results_there = self._own(DeviceMemory(end)).pointer

        addresses = {IMAGE: self._frame_there, CROP_TO_IMAGE: self._transforms_there}
        addresses |= {n: self._results_there + place.start for n, place in self._places.items()}
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise CudaError(f"address of {name}: {self._library.messages.take_errors()}")

    def _own(self, made: Any) -> Any:
        self._owned.append(made)
        return made

    @property
    def bytes_up(self) -> tuple[int, int]:
        """Bytes that go to the device: for each frame, and for each person."""
        return self._frame.nbytes, self._transforms[0].nbytes

    @property
    def bytes_down(self) -> int:
        """Bytes that come back from each run."""
        return int(self._results.nbytes)

    def upload(self, frame: np.ndarray) -> None:
        """Begin to copy a frame, uint8 ``[H, W, 3]`` of the plan's size, to the device."""
        np.copyto(self._frame, frame)
        self.stream.upload(self._frame_there, self._frame)

    def start(self, transforms: np.ndarray) -> None:
        """Begin a run on the uploaded frame: crop to image transforms ``[N, 2, 3]``.

        1 to ``max_persons`` of them.
        """
        self.upload_transforms(transforms)
        self.execute(len(transforms))
        self.download()

    def upload_transforms(self, transforms: np.ndarray) -> None:
        """The first part of `start`."""
        self._transforms[: len(transforms)] = transforms
        self.stream.upload(self._transforms_there, self._transforms[: len(transforms)])

    def execute(self, count: int) -> None:
        """The second part of `start`: crop, network and decoding for a number of persons."""
        context = self._context
        if not context.set_input_shape(CROP_TO_IMAGE, (count, 2, 3)) or not (
            context.execute_async_v3(self.stream.handle)
        ):
            raise CudaError(f"the run did not start: {self._library.messages.take_errors()}")

    def download(self) -> None:
        """The last part of `start`."""
        self.stream.download(self._results, self._results_there)

    def finish(self, count: int) -> dict[str, np.ndarray]:
        """Wait for the run and return copies of its outputs for ``count`` persons.

        ``keypoints`` ``[N, J, 2]``, ``scores`` ``[N, J]`` and ``covariances`` ``[N, J, 3]``,
        float32. CudaError where the run failed.
        """
        self.stream.synchronize()
        outputs = {}
        for name, place in self._places.items():
            values = self._results[place].view(np.float32)
            values = values.reshape(self._max_persons, self._joints, -1)
            outputs[name] = values[:count].copy()
        outputs["scores"] = outputs["scores"][..., 0]
        return outputs

    def close(self) -> None:
        """Free everything; closing twice is harmless."""
        self._context = self._engine = self._runtime = None
        while self._owned:
            self._owned.pop().close()
