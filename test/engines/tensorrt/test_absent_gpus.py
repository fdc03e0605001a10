# SPDX-License-Identifier: Apache-2.0
"""Every way in which a GPU can be absent, or not fit: OpenVINO and one line, or an error in words.

On a pretended device (test/support/pretended_device.py); without one, test_cuda_runtime.py.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from pretended_device import DEAD, NO_DEVICE, Pretended, pretend

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.doctor.findings import Severity
from hrnet_pose_ros.doctor.gpu import gpu as doctor_gpu
from hrnet_pose_ros.doctor.gpu import tensorrt as doctor_tensorrt
from hrnet_pose_ros.engines.choose_engine import choose_engine
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.tensorrt import cuda_runtime
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import PinnedArray, device_count, why_no_device
from hrnet_pose_ros.engines.tensorrt.library import (
    RTX,
    TensorRt,
    find_library,
    installed_libraries,
)
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions

MODEL = "hrnetv2_w24_small"
GRAPH = Path(__file__).resolve().parents[3] / "models" / f"{MODEL}_end2end_float32.onnx"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    return pretend(monkeypatch, GRAPH)


def no_driver(gpu: Pretended) -> None:
    gpu.cuda.driver = 0


def no_libcuda(gpu: Pretended) -> None:
    """As cuda-python 12.0 to 12.8 have it."""
    error = RuntimeError("Failed to dlopen libcuda.so.1")
    gpu.cuda.raises = {"cudaDriverGetVersion": error, "cudaGetDeviceCount": error}


def no_cudart(gpu: Pretended) -> None:
    gpu.cuda.raises["cudaGetDeviceCount"] = OSError("libcudart.so.12: cannot open shared object")


def no_function(gpu: Pretended) -> None:
    """A library that is older than its binding."""
    gpu.cuda.raises["cudaGetDeviceProperties"] = AttributeError("no such function")


def other_arguments(gpu: Pretended) -> None:
    """A binding of another version."""
    error = TypeError("cudaGetDeviceProperties() takes no arguments (1 given)")
    gpu.cuda.raises["cudaGetDeviceProperties"] = error


def no_device(gpu: Pretended) -> None:
    gpu.cuda.fails["cudaGetDeviceCount"] = NO_DEVICE


def none_listed(gpu: Pretended) -> None:
    gpu.cuda.devices = 0


def old_driver(gpu: Pretended) -> None:
    gpu.cuda.fails["cudaGetDeviceCount"] = 35


def mig_without_instance(gpu: Pretended) -> None:
    """The GPU is listed, and no context can be made on it; so it is in prohibited mode."""
    gpu.cuda.fails["cudaSetDevice"] = 46


def full(gpu: Pretended) -> None:
    gpu.cuda.fails["cudaSetDevice"] = 2


def context_later(gpu: Pretended) -> None:
    """Before CUDA 12, cudaSetDevice makes no context."""
    gpu.cuda.fails["cudaMemGetInfo"] = 46


def lost(gpu: Pretended) -> None:
    gpu.cuda.dead = True


ABSENT: list[tuple[Callable[[Pretended], None], str]] = [
    (no_driver, "no CUDA device: no NVIDIA driver is loaded"),
    (no_libcuda, "no CUDA device: cudaDriverGetVersion cannot be called: Failed to dlopen libcuda"),
    (no_cudart, "no CUDA device: cudaGetDeviceCount cannot be called: libcudart.so.12"),
    (no_function, "no CUDA device 0: cudaGetDeviceProperties cannot be called: no such function"),
    (other_arguments, "no CUDA device 0: cudaGetDeviceProperties cannot be called: cudaGet"),
    (no_device, "no CUDA device: cudaGetDeviceCount failed: cudaError100 (100)"),
    (none_listed, "no CUDA device: the driver lists none"),
    (old_driver, "no CUDA device: cudaGetDeviceCount failed: cudaError35"),
    (mig_without_instance, "no CUDA device 0: cudaSetDevice failed: cudaError46"),
    (full, "no CUDA device 0: cudaSetDevice failed: cudaError2"),
    (context_later, "no CUDA device 0: cudaMemGetInfo failed: cudaError46"),
    (lost, f"no CUDA device: cudaGetDeviceCount failed: cudaError{DEAD}"),
]


@pytest.mark.parametrize(("absent", "words"), ABSENT, ids=[how.__name__ for how, _ in ABSENT])
def test_auto_takes_openvino_and_says_why(
    absent: Callable[[Pretended], None],
    words: str,
    gpu: Pretended,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    absent(gpu)
    selection = choose_engine(MODEL)
    assert selection.engine == "openvino"
    assert selection.passed_over["tensorrt"].startswith(words)
    assert selection.why == selection.passed_over["tensorrt"]
    assert "\n" not in selection.why
    for finding in [*doctor_gpu(()), *doctor_tensorrt()]:  # and nothing raises there
        assert finding.level is not Severity.ERROR
    with pytest.raises(EngineError, match=r"cannot run here: no CUDA device"):
        make_engine(MODEL, engine="tensorrt")


def test_hidden_devices_are_named(gpu: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    no_device(gpu)
    assert device_count()[1].endswith("(CUDA_VISIBLE_DEVICES is '')")
    del gpu.cuda.fails["cudaGetDeviceCount"]
    none_listed(gpu)
    assert device_count()[1] == (
        "no CUDA device: the driver lists none (CUDA_VISIBLE_DEVICES is '')"
    )
    gpu.cuda.devices = 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert why_no_device(1) == (
        "no CUDA device 1: there are 1, counted from 0 (CUDA_VISIBLE_DEVICES is '3')"
    )


def test_a_gpu_that_is_there_is_taken(gpu: Pretended) -> None:
    assert choose_engine(MODEL).engine == "tensorrt"


def test_freeing_without_a_driver_is_harmless(gpu: Pretended) -> None:
    memory = PinnedArray((4,), int)
    gpu.cuda.raises["cudaFreeHost"] = RuntimeError("driver shutting down")
    memory.close()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("numpy.dtype size changed, may indicate binary incompatibility"),
        AttributeError("module 'numpy' has no attribute 'bool'"),
        SyntaxError("invalid syntax"),
        OSError("libnvinfer.so.10: cannot open shared object file"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_bindings_that_are_broken_are_absent(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However an import fails, OpenVINO runs, and the line has the reason."""

    def broken(name: str) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", broken)
    words = str(error)
    assert installed_libraries.__wrapped__() == (
        (),
        (f"tensorrt: {words}", f"tensorrt_rtx: {words}"),
    )
    with pytest.raises(EngineError, match="cuda-python cannot be imported") as caught:
        cuda_runtime.runtime.__wrapped__()
    assert words in str(caught.value) and "pip install cuda-python" in str(caught.value)


# --- a library that does not fit -----------------------------------------------------------------

BROKEN = "CUDA initialization failure with error: 35"


def test_driver_and_library_of_different_versions(
    gpu: Pretended, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """pybind11's TypeError becomes an error with the library's words, versions and a way out."""
    gpu.module.broken = BROKEN
    options = TensorRtOptions(image_size=(320, 240), plan_cache=str(tmp_path))
    with pytest.raises(EngineError) as caught:
        make_engine(MODEL, engine="tensorrt", precision="float32", tensorrt=options)
    message = str(caught.value)
    assert "tensorrt 10.13.2 cannot make its Runtime here" in message
    assert "factory function returned nullptr" in message and BROKEN in message
    assert "the driver knows CUDA 12.8, cuda-python has 13.0" in message
    assert "tensorrt-cu12" in message and "docs/tensorrt.md" in message
    with pytest.raises(EngineError, match="cannot make its Builder here"):
        gpu.library.builder()

    assert main(["compile", MODEL, "-o", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert BROKEN in error and "Traceback" not in error

    (finding,) = doctor_tensorrt()
    assert finding.level is Severity.WARNING and BROKEN in finding.value
    assert "not used without it" in finding.advice


def test_without_a_gpu_a_library_that_needs_one_is_only_a_note(gpu: Pretended) -> None:
    no_driver(gpu)
    gpu.module.broken = BROKEN
    assert [finding.level for finding in doctor_tensorrt()] == [Severity.NOTE]


@pytest.mark.parametrize(
    ("name", "capability", "words"),
    [
        (RTX, "9.0", "no TensorRT for a GPU of compute capability 9.0 .*runs on .*7.5, 8.6, 8.9"),
        (RTX, "10.0", "compute capability 10.0"),
        (RTX, "8.0", "compute capability 8.0"),  # named by the library, not in NVIDIA's matrix
        (RTX, "8.7", "compute capability 8.7"),
        ("tensorrt", "7.0", "runs on compute capability 7.5 and later"),
        ("tensorrt 10.7.0", "12.0", "10.7.0 has no kernels for 12.0; 10.8 and later have"),
    ],
)
def test_a_gpu_that_the_library_does_not_run_on(
    name: str,
    capability: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Refused when it is chosen and when a plan is compiled, not when that is loaded."""
    name, _, version = name.partition(" ")
    pretend(monkeypatch, GRAPH, name, capability, version)
    with pytest.raises(EngineError, match=words) as caught:
        find_library(capability)
    assert "pip install tensorrt-cu13" in str(caught.value)
    selection = choose_engine(MODEL)
    assert selection.engine == "openvino" and capability in selection.why
    for arguments in ([], ["--compute-capability", capability]):
        assert main(["compile", MODEL, "-o", str(tmp_path), *arguments]) == 2
        assert capability in capsys.readouterr().err
    assert not list(tmp_path.glob("*.plan"))
    assert doctor_tensorrt()[0].level is Severity.WARNING


@pytest.mark.parametrize("capability", ["7.5", "8.6", "8.9", "12.0"])
def test_gpus_of_rtx(capability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = pretend(monkeypatch, GRAPH, RTX, capability)
    assert find_library(capability) is gpu.library


def test_known_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    def of(version: str) -> TensorRt:
        return dataclasses.replace(gpu.library, version=version)

    gpu = pretend(monkeypatch, GRAPH, capability="8.7")
    assert gpu.library.why_not_on("8.7") == ""
    assert "has no kernels for 8.7" in of("10.13.3.9").why_not_on("8.7")
    assert of("10.13.3.9").why_not_on("9.0") == ""
    for capability in ("10.0", "11.0", "12.0"):
        assert "10.8 and later have" in of("10.3.0.26").why_not_on(capability)
        assert of("10.8.0").why_not_on(capability) == of("11.0").why_not_on(capability) == ""
    assert of("10.3.0.26").why_not_on("9.0") == ""


def test_compile_loads_and_checks_what_it_built(
    gpu: Pretended,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("onnxruntime", reason="the pretended device computes by it")
    command = ["compile", MODEL, "--precision", "float32", "--image-size", "240x320"]
    command += ["--max-persons", "8", "-o", str(tmp_path)]
    gpu.module.spoil = lambda name, values: values + 5 if name == "keypoints" else values
    assert main(command) == 2
    assert "gives other key points than the processor" in capsys.readouterr().err
    gpu.module.spoil = lambda name, values: values
    assert main(command) == 0
    assert "there already" in capsys.readouterr().out
    assert gpu.cuda.allocated == {}
    with caplog.at_level(logging.INFO):
        options = TensorRtOptions(
            image_size=(320, 240), max_persons=8, typical_persons=5, plan_cache=str(tmp_path)
        )
        make_engine(MODEL, precision="float32", engine="tensorrt", tensorrt=options).close()
    assert "against the processor" not in caplog.text  # known to be good on this machine


@pytest.mark.parametrize(("ms", "code"), [((2.0, 3.0), 0), ((3.0, 3.0), 2)])
def test_int8_that_gains_nothing_is_refused(
    ms: tuple[float, float],
    code: int,
    gpu: Pretended,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The bundled float32 graph stands for one in 8 bits; its times are given."""
    from hrnet_pose_ros.engines import speed
    from hrnet_pose_ros.engines.tensorrt import plan_loading
    from hrnet_pose_ros.model_files import quantized
    from hrnet_pose_ros.model_files.model_file import ModelFile

    pytest.importorskip("onnxruntime", reason="the pretended device computes by it")
    monkeypatch.setattr(plan_loading, "known_verdict", lambda *_: True)
    monkeypatch.setattr(quantized, "check_judged", lambda file: None)
    monkeypatch.setattr(ModelFile, "in_8_bits", property(lambda self: "float32" in self.path.name))

    def given(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
        assert first() and second()  # both plans run
        return ms

    monkeypatch.setattr(speed, "alternating_ms", given)
    command = ["compile", MODEL, "--precision", "float32", "--image-size", "240x320"]
    command += ["--max-persons", "2", "--typical-persons", "2", "-o", str(tmp_path)]
    assert main(command) == code
    text = f"2 persons take {ms[0]:.2f} ms in int8, 3.00 in float16"
    error = capsys.readouterr().err
    assert text in error
    assert ("int8 gains nothing on Pretended GPU" in error) == (code == 2)
    assert gpu.cuda.allocated == {}
