# SPDX-License-Identifier: Apache-2.0
"""Finding TensorRT, saying what is missing, and which GPUs a plan can be built for."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from tensorrt_fixtures import library_or_skip

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.library import STANDARD, GpuTarget, TensorRt, use_library


@pytest.fixture(scope="module")
def library() -> TensorRt:
    return library_or_skip()


@pytest.fixture
def standard(library: TensorRt) -> TensorRt:
    """The same module under the other library's name: what this package does with it."""
    return use_library(library.module, STANDARD, library.version)


def config_of(library: TensorRt):
    return library.module.Builder(library.logger).create_builder_config()


def test_found(library: TensorRt) -> None:
    assert library.name == "tensorrt_rtx"
    assert library.version == library.module.__version__
    assert {"7.5", "8.6", "8.9", "12.0"} <= set(library.buildable())
    assert "8.0" not in library.buildable()  # the library names it; NVIDIA's matrix does not


def test_names_that_the_engine_uses_exist(library: TensorRt) -> None:
    """Running needs a GPU; the names that it calls can be looked up in the real bindings."""
    trt = library.module
    for owner, names in (
        (trt.Runtime, ["deserialize_cuda_engine"]),
        (
            trt.ICudaEngine,
            [
                *("num_io_tensors", "get_tensor_name", "get_tensor_shape", "device_memory_size_v2"),
                *("get_tensor_profile_shape", "create_execution_context", "create_runtime_config"),
            ],
        ),
        (
            trt.IExecutionContext,
            ["set_tensor_address", "set_input_shape", "set_device_memory", "execute_async_v3"],
        ),
        (
            trt.IRuntimeConfig,
            [
                *("set_execution_context_allocation_strategy", "create_runtime_cache"),
                *("dynamic_shapes_kernel_specialization_strategy", "cuda_graph_strategy"),
                "set_runtime_cache",
            ],
        ),
        (trt.IRuntimeCache, ["serialize", "deserialize"]),
        (trt.ExecutionContextAllocationStrategy, ["USER_MANAGED"]),
        (trt.DynamicShapesKernelSpecializationStrategy, ["EAGER"]),
        (trt.CudaGraphStrategy, ["WHOLE_GRAPH_CAPTURE", "DISABLED"]),
    ):
        assert [name for name in names if not hasattr(owner, name)] == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.modules['tensorrt'] = sys.modules['tensorrt_rtx'] = None", "no TensorRT (tensorrt: "),
        ("sys.modules['tensorrt'].__version__ = '10.0.1'", "tensorrt 10.0.1 is older than 10.3"),
        ("pass", "tensorrt: <module 'tensorrt'> is not the library"),
    ],
)
def test_none_installed(code: str, words: str) -> None:
    script = (
        "import sys, types\n"
        "sys.modules['tensorrt'] = types.ModuleType('tensorrt')\n"
        "sys.modules['tensorrt_rtx'] = None\n"
        f"{code}\n"
        "from hrnet_pose_ros.engines.tensorrt.library import find_library\n"
        "find_library()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert words in done.stderr
    assert "pip install tensorrt-rtx-cu13" in done.stderr


def test_messages_go_to_logging_and_errors_into_exceptions(
    library: TensorRt, caplog: pytest.LogCaptureFixture
) -> None:
    library.messages.take_errors()
    with caplog.at_level(logging.DEBUG):
        severity = library.module.ILogger.Severity
        for level in (severity.ERROR, severity.WARNING, severity.INFO, severity.VERBOSE):
            library.logger.log(level, f"this is {level.name}")
    levels = {record.message: record.levelname for record in caplog.records}
    assert levels == {
        "this is ERROR": "INFO",  # an exception tells it
        "this is WARNING": "WARNING",
        "this is INFO": "DEBUG",
    }
    assert library.messages.take_errors() == "this is ERROR"
    assert library.messages.take_errors() == "the library gave no reason"


def test_several_compute_capabilities(library: TensorRt) -> None:
    config = config_of(library)
    library.set_target(config, GpuTarget(("8.6", "12.0")), None)
    wanted = library.module.ComputeCapability
    assert config.num_compute_capabilities == 2
    assert [config.get_compute_capability(i) for i in (0, 1)] == [wanted.SM86, wanted.SM120]


@pytest.mark.parametrize(
    "target", [GpuTarget(("8.7", "8.9")), GpuTarget(("9.0",), "NVIDIA H100"), GpuTarget(("8.0",))]
)
def test_gpu_that_the_library_does_not_run_on(target: GpuTarget, library: TensorRt) -> None:
    """Refused, also where its default would build something: it would fail when it is loaded."""
    capability = target.compute_capabilities[0]
    words = rf"cannot build for compute capability {capability}: .* runs on .* 7\.5, 8\.6, 8\.9"
    with pytest.raises(EngineError, match=words):
        library.set_target(config_of(library), target, None)


def test_standard_library_needs_the_gpu(standard: TensorRt) -> None:
    with pytest.raises(EngineError, match="builds only on a machine with the GPU"):
        standard.set_target(config_of(standard), GpuTarget(("8.7",)), None)


@pytest.mark.parametrize(
    ("wanted", "here", "level"),
    [
        (("8.9",), "8.9", "SAME_COMPUTE_CAPABILITY"),
        (("8.0", "8.9"), "8.6", "AMPERE_PLUS"),
        (("8.9", "12.0"), "8.9", "AMPERE_PLUS"),
        (("7.5",), "8.9", ""),
        (("8.9",), "7.5", ""),
    ],
)
def test_compatibility_of_the_standard_library(
    wanted: tuple[str, ...], here: str, level: str, standard: TensorRt
) -> None:
    if level:
        expected = getattr(standard.module.HardwareCompatibilityLevel, level)
        assert standard.compatibility(GpuTarget(wanted), here) == expected
        return
    with pytest.raises(EngineError, match="build on the vehicle"):
        standard.compatibility(GpuTarget(wanted), here)


def test_a_compute_capability_that_no_gpu_has(standard: TensorRt) -> None:
    """A plan for any GPU from 8.0 on would be built for it, and run nowhere."""
    with pytest.raises(EngineError, match=r"no GPU is known to have .* 8\.1; there are 7\.5, "):
        standard.compatibility(GpuTarget(("8.9", "8.1")), "8.9")
    # A GPU that is newer than this package is what it says.
    newer = GpuTarget(("13.0",))
    assert standard.compatibility(newer, "13.0") is not None
