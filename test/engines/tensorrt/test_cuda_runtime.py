# SPDX-License-Identifier: Apache-2.0
"""CUDA where there is none: harmless to import, and a reason in words. test/gpu has the rest."""

from __future__ import annotations

import subprocess
import sys

import cuda.bindings.runtime  # noqa: F401  conftest.py: without it, this file is left out
import pytest

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt import cuda_runtime
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import (
    CudaError,
    call,
    device_count,
    find_device,
    versions,
)

without_gpu = pytest.mark.skipif(device_count()[0] > 0, reason="there is a CUDA device")


@without_gpu
def test_no_device_has_a_reason() -> None:
    count, reason = device_count()
    assert count == 0
    assert reason.startswith("no CUDA device: ")
    if versions()[0] == "0.0":
        assert reason == "no CUDA device: no NVIDIA driver is loaded"
    with pytest.raises(EngineError, match="no CUDA device"):
        find_device(0)


@without_gpu
def test_a_failed_call_names_itself_the_error_and_its_text() -> None:
    with pytest.raises(CudaError, match=r"^cudaMalloc failed: cudaError\w+ \(\d+\): \w+"):
        call("cudaMalloc", 16)


@without_gpu
@pytest.mark.parametrize("make", ["CudaStream", "CudaEvent"])
def test_nothing_is_made_without_a_device(make: str) -> None:
    with pytest.raises(CudaError):
        getattr(cuda_runtime, make)()


def test_versions() -> None:
    driver, runtime = versions()
    assert float(runtime) >= 12
    assert float(driver) >= 0


def test_without_cuda_python() -> None:
    script = (
        "import sys\n"
        "sys.modules['cuda'] = None\n"
        "from hrnet_pose_ros.engines.tensorrt.cuda_runtime import device_count\n"
        "print(device_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert '(0, "no CUDA device: cuda-python cannot be imported' in done.stdout, done.stderr
    assert "pip install cuda-python" in done.stdout


def test_older_import_layout() -> None:
    script = (
        "import sys, types\n"
        "from cuda.bindings import runtime\n"
        "old = types.ModuleType('cuda.cudart')\n"
        "old.__dict__.update(vars(runtime))\n"
        "sys.modules['cuda.cudart'] = old\n"
        "sys.modules['cuda.bindings.runtime'] = None\n"
        "from hrnet_pose_ros.engines.tensorrt import cuda_runtime\n"
        "assert cuda_runtime.runtime() is old\n"
        "print(cuda_runtime.versions()[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == versions()[1], done.stderr
