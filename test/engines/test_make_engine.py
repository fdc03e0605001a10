# SPDX-License-Identifier: Apache-2.0
"""Making engines: choices, the precision check, and what is said when something is missing."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.engines import make_engine as module
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import LEAST_OKS, load_check_crops, mean_oks
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import device_count
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.metadata import ModelError

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "hrnet_w16_small.onnx"


@pytest.mark.parametrize(
    ("arguments", "kind", "precision"),
    [
        ({"precision": "float32"}, OpenVinoEngine, "float32"),
        ({"engine": "openvino", "precision": "float32"}, OpenVinoEngine, "float32"),
        ({"engine": "torch"}, TorchEngine, "float32"),
    ],
)
def test_choice(arguments: dict, kind: type, precision: str) -> None:
    engine = make_engine("hrnet_w16_small", **arguments, max_batch=1)
    assert isinstance(engine, kind)
    assert engine.info.precision == precision
    assert engine.info.model == "hrnet_w16_small"
    frame = np.zeros((100, 100, 3), np.uint8)
    assert len(engine.estimate(frame, np.zeros((0, 4), np.float32))) == 0
    assert len(engine.estimate(frame, np.array([[10, 10, 30, 60]], np.float32))) == 1
    engine.close()


def test_a_checkpoints_path_is_enough() -> None:
    """What `auto` takes is what can run the file."""
    checkpoint = MODEL.with_suffix(".pth")
    assert isinstance(make_engine(checkpoint, max_batch=1), TorchEngine)
    with pytest.raises(ValueError, match="torch engine takes precision auto, float32; got"):
        make_engine(checkpoint, precision="bfloat16")


@pytest.mark.parametrize(
    ("kept", "bfloat16", "expected", "words"),
    [
        (0.999, True, "bfloat16", "mean OKS against float32 is 0.9990"),
        (LEAST_OKS, True, "bfloat16", "0.9950"),
        (0.99, True, "float32", "mean OKS of 'hrnet_w16_small' on the bundled crops is 0.9900"),
        (float("nan"), True, "float32", "is nan"),  # nobody seen: nothing speaks for bfloat16
        (0.999, False, "float32", "no bfloat16"),
    ],
)
def test_automatic_precision(
    kept: float,
    bfloat16: bool,
    expected: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = OpenVinoEngine
    compiled: list[str] = []

    def on_any_cpu(path: Path, *, precision: str, **rest) -> OpenVinoEngine:
        compiled.append(precision)
        engine = made(path, precision="float32", **rest)
        engine._info = dataclasses.replace(engine.info, precision=precision)
        return engine

    monkeypatch.setattr(module, "OpenVinoEngine", on_any_cpu)
    monkeypatch.setattr(module, "cpu_has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(module, "mean_oks", lambda *_: kept)
    with caplog.at_level(logging.INFO):
        engine = make_engine(MODEL, max_batch=1)
    assert engine.info.precision == expected
    assert words in caplog.text
    assert compiled == (["float32", "bfloat16"] if bfloat16 else ["float32"])
    frame = np.zeros((100, 100, 3), np.uint8)  # the one that was kept is open
    assert len(engine.estimate(frame, np.array([[10, 10, 30, 60]], np.float32))) == 1


def test_mean_oks_measures_displacement() -> None:
    reference = OpenVinoEngine(MODEL, precision="float32")
    crops = load_check_crops()
    assert mean_oks(reference, reference, crops) == 1
    displaced = OpenVinoEngine(MODEL, precision="float32")
    run = displaced._run
    displaced._run = lambda c: np.roll(run(c), 2, axis=3)  # type: ignore[method-assign]
    assert 0.3 < mean_oks(displaced, reference, crops) < 0.95
    blind = OpenVinoEngine(MODEL, precision="float32")
    blind._run = lambda c: run(c) * 0  # type: ignore[method-assign]
    assert mean_oks(blind, reference, crops) == 0
    assert np.isnan(mean_oks(reference, blind, crops))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"engine": "onnxruntime"}, "engine must be one of auto, tensorrt, openvino, torch"),
        ({"precision": "int4"}, "precision must be one of auto, float32, bfloat16, .* got 'int4'"),
        (
            {"engine": "openvino", "precision": "float16"},
            "the openvino engine takes precision auto, float32, bfloat16, int8; got 'float16'",
        ),
        ({"engine": "tensorrt", "precision": "bfloat16"}, "auto, float16, float32, int8; got"),
        ({"decoding": "argmax"}, "decoding must be one of quarter, dark"),
        ({"max_batch": 0}, "max_batch must be at least 1, got 0"),
        ({"threads": -1}, "threads must be at least 0"),
        ({"engine": "torch", "precision": "bfloat16"}, "takes precision auto, float32; got"),
        ({"model": "hrnet_w99"}, r"no 'hrnet_w99\.onnx'.*hrnet_w16_small"),
        ({"model": str(MODEL), "engine": "torch"}, r"no \.pth file"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_engine(**{"model": "hrnet_w16_small", **arguments})


@pytest.mark.skipif(device_count()[0] > 0, reason="there is a CUDA device")
@pytest.mark.parametrize("asked", [{"engine": "tensorrt"}, {"precision": "float16"}])
def test_tensorrt_without_a_gpu_says_why(asked: dict) -> None:
    with pytest.raises(EngineError, match="TensorRT engine cannot run here: no CUDA device: "):
        make_engine("hrnet_w16_small", **asked)


def test_automatic_choice_needs_gpu_library_and_end2end_graph(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Which file `auto` would load; test/gpu loads it."""

    def graph(model: str | Path, precision: str = "auto", engine: str = "auto") -> Path | None:
        return module._end2end_graph(model, engine, precision, "quarter", False, 0)

    monkeypatch.setattr(module, "why_no_tensorrt", lambda device: "no CUDA device")
    assert graph("hrnet_w16_small") is None
    monkeypatch.setattr(module, "why_no_tensorrt", lambda device: "")
    found = graph("hrnet_w16_small")
    assert found is not None
    assert found.name == "hrnet_w16_small_end2end_float16.onnx"
    assert graph("hrnet_w16_small", engine="openvino") is None
    assert graph("hrnet_w16_small", precision="bfloat16") is None
    assert caplog.text == ""
    shutil.copy(MODEL, tmp_path / MODEL.name)
    assert graph(tmp_path / MODEL.name) is None
    assert "engine auto takes OpenVINO, though there is a GPU" in caplog.text
    assert "hrnet_pose export --graph end2end" in caplog.text
    with pytest.raises(ModelError, match="no end-to-end graph"):
        graph(tmp_path / MODEL.name, engine="tensorrt")


def run_without(package: str, code: str) -> str:
    """Run code in a new interpreter in which a package cannot be imported."""
    script = f"import sys; sys.modules[{package!r}] = None\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    return done.stdout + done.stderr


MAKE = """
import sys
sys.path.insert(0, ".")
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.make_engine import make_engine
try:
    engine = make_engine("hrnet_w16_small", engine={engine!r}, precision="float32", max_batch=1)
    print("made", engine.info.engine, "torch" in sys.modules and sys.modules["torch"])
except EngineError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("package", "engine", "words"),
    [
        ("torch", "torch", "pip install 'hrnet_pose_ros[torch]'"),
        ("openvino", "auto", "pip install 'hrnet_pose_ros[openvino]'"),
        ("torch", "auto", "made openvino None"),  # the run-time path needs no torch
        ("onnx", "auto", "made openvino False"),  # and imports none of itself
    ],
)
def test_missing_package(package: str, engine: str, words: str) -> None:
    assert words in run_without(package, MAKE.format(engine=engine))
