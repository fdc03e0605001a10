# SPDX-License-Identifier: Apache-2.0
"""CUDA on a real device, without TensorRT: copies, graphs, events, and a context that dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.engines.tensorrt.cuda_runtime import (
    CudaStream,
    DeviceMemory,
    OutOfDeviceMemory,
    PinnedArray,
    context_is_dead,
    device_count,
    find_device,
    free_memory,
    machine_id,
    use_device,
    versions,
    why_no_device,
)

ROOT = Path(__file__).resolve().parents[2]
FRAME = (720, 1280, 3)


@pytest.fixture
def closing():
    """Closes what it was called with, the last one first."""
    made = []

    def keep(what):
        made.append(what)
        return what

    use_device(0)
    yield keep
    for one in reversed(made):
        one.close()


def frame_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, FRAME, np.uint8)


def test_the_device_is_known_and_can_be_used() -> None:
    count, reason = device_count()
    assert count >= 1
    assert not reason
    device = find_device(0)
    assert why_no_device(0) == ""
    assert device.name
    assert device.compute_capability.count(".") == 1
    assert device.multiprocessors > 0
    assert 0 < free_memory() <= device.memory
    assert len(device.uuid) == 32
    assert machine_id(device) == f"{device.uuid} driver {versions()[0]}"
    assert str(count) in why_no_device(count)


def test_a_frame_goes_up_and_comes_back(closing) -> None:
    stream = closing(CudaStream())
    up, down = (closing(PinnedArray(FRAME, np.uint8)).array for _ in range(2))
    there = closing(DeviceMemory(up.nbytes))
    up[:] = frame_of(1)
    begun = closing(stream.record())
    stream.upload(there.pointer, up)
    middle = closing(stream.record())
    stream.download(down, there.pointer)
    ended = closing(stream.record())
    stream.synchronize()
    np.testing.assert_array_equal(down, frame_of(1))
    print(f"up {middle.ms_since(begun):.3f} ms, down {ended.ms_since(middle):.3f} ms")
    assert ended.ms_since(begun) > 0


def test_a_captured_graph_takes_what_its_buffers_hold_when_it_is_launched(closing) -> None:
    stream = closing(CudaStream())
    up, down = (closing(PinnedArray(FRAME, np.uint8)).array for _ in range(2))
    there = closing(DeviceMemory(up.nbytes))

    def work() -> None:
        stream.upload(there.pointer, up)
        stream.download(down, there.pointer)

    down[:] = 0
    graph = closing(stream.capture(work))
    stream.synchronize()
    assert not down.any()  # nothing of a capture runs
    for seed in range(3):
        up[:] = frame_of(seed)
        stream.launch(graph)
        stream.synchronize()
        np.testing.assert_array_equal(down, frame_of(seed))


def test_a_capture_that_fails_leaves_the_stream_usable(closing) -> None:
    stream = closing(CudaStream())

    def fails() -> None:
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        stream.capture(fails)
    assert not context_is_dead()
    up = closing(PinnedArray((8,), np.uint8)).array
    there = closing(DeviceMemory(8))
    stream.upload(there.pointer, up)
    stream.synchronize()


def test_too_much_memory_is_named_and_passes(closing) -> None:
    with pytest.raises(OutOfDeviceMemory, match="cudaMalloc failed: cudaErrorMemoryAllocation"):
        DeviceMemory(find_device(0).memory * 4)
    assert not context_is_dead()
    closing(DeviceMemory(1 << 20))


def test_memory_is_given_back(closing) -> None:
    closing(DeviceMemory(1 << 20))  # the context is made before the first look
    before = free_memory()
    for _ in range(20):
        memory, pinned = DeviceMemory(64 << 20), PinnedArray((16 << 20,), np.uint8)
        memory.close()
        pinned.close()
    assert before - free_memory() <= 2 << 20  # CUDA gives memory in pieces of 2 MiB


# A kernel that writes to an address that is nobody's, on the package's own stream.
LOST = """
import numpy as np
from cuda.bindings import driver, nvrtc
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import (
    CudaStream, DeviceMemory, PinnedArray, context_is_dead, find_device, use_device, why_no_device,
)

use_device(0)
stream, memory = CudaStream(), DeviceMemory(1 << 20)
pinned = PinnedArray((1 << 20,), np.uint8)
capability = find_device(0).compute_capability.replace(".", "")
source = b'extern "C" __global__ void broken() { *(int*)256 = 1; }'
program = nvrtc.nvrtcCreateProgram(source, b"broken.cu", 0, [], [])[1]
option = f"--gpu-architecture=sm_{capability}".encode()
assert int(nvrtc.nvrtcCompileProgram(program, 1, [option])[0]) == 0
code = bytes(nvrtc.nvrtcGetCUBINSize(program)[1])
nvrtc.nvrtcGetCUBIN(program, code)
kernel = driver.cuModuleGetFunction(driver.cuModuleLoadData(code)[1], b"broken")[1]
print("dead before:", context_is_dead())
driver.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream.handle, 0, 0)
try:
    stream.synchronize()
except EngineError as error:
    print("failed:", error)
print("dead:", context_is_dead())
print("why:", why_no_device(0))
for one in (pinned, memory, stream):
    one.close()  # does not raise
print("closed", flush=True)
"""


def test_a_lost_context_is_known_as_one() -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="compiles a kernel")
    done = subprocess.run(
        [sys.executable, "-c", LOST], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "dead before: False"
    assert lines[1].startswith("failed: cudaStreamSynchronize failed: cudaErrorIllegalAddress")
    assert lines[2] == "dead: True"
    assert lines[3].startswith("why: no CUDA device 0: ")
    assert lines[4] == "closed"
