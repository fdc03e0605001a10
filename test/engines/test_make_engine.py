# SPDX-License-Identifier: Apache-2.0
"""Making engines: choices, the precision check, and what is said when something is missing."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.engines.engine import EngineError, EngineInfo
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import (
    LEAST_OKS,
    in_shorter_precision,
    load_check_crops,
    mean_oks,
)
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import device_count
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.model_file import ModelFile

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "hrnetv2_w24_small.onnx"


@pytest.mark.parametrize(
    ("arguments", "kind", "precision"),
    [
        ({"precision": "float32"}, OpenVinoEngine, "float32"),
        ({"engine": "openvino", "precision": "float32"}, OpenVinoEngine, "float32"),
        ({"engine": "torch"}, TorchEngine, "float32"),
    ],
)
def test_choice(arguments: dict, kind: type, precision: str) -> None:
    engine = make_engine("hrnetv2_w24_small", **arguments, max_batch=1)
    assert isinstance(engine, kind)
    assert engine.info.precision == precision
    assert engine.info.model == "hrnetv2_w24_small"
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


class Renamed(OpenVinoEngine):
    """Computes in float32 whatever it says."""

    def __init__(self, precision: str) -> None:
        super().__init__(ModelFile.read(MODEL), precision="float32", max_batch=2)
        self._says = precision

    @property
    def info(self) -> EngineInfo:
        return dataclasses.replace(super().info, precision=self._says)


@pytest.mark.parametrize(
    ("kept", "bfloat16", "expected", "words"),
    [
        (0.999, True, "bfloat16", "mean OKS against float32 is 0.9990"),
        (LEAST_OKS, True, "bfloat16", "0.9950"),
        (0.99, True, "float32", "mean OKS of 'hrnetv2_w24_small' on the bundled crops is 0.9900"),
        (float("nan"), True, "float32", "is nan"),  # nobody seen: nothing speaks for bfloat16
        (0.999, False, "float32", "no bfloat16"),
    ],
)
def test_automatic_precision(
    kept: float, bfloat16: bool, expected: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Real engines, of which one only says that it computes in bfloat16: for any CPU."""
    made: list[Renamed] = []

    def on_any_cpu(precision: str) -> Renamed:
        made.append(Renamed(precision))
        return made[-1]

    with caplog.at_level(logging.INFO):
        engine = in_shorter_precision(on_any_cpu, bfloat16, lambda *_: kept)
    assert engine.info.precision == expected
    assert words in caplog.text
    assert [one.info.precision for one in made] == ["float32", "bfloat16"][: 1 + bfloat16]
    frame = np.zeros((100, 100, 3), np.uint8)  # the one that was kept is open
    assert len(engine.estimate(frame, np.array([[10, 10, 30, 60]], np.float32))) == 1
    assert all(one is engine or not one.requests for one in made)


def test_the_check_looks_at_real_persons() -> None:
    """Without a measure given it is the mean OKS on the bundled crops: here of equals, 1."""
    assert in_shorter_precision(Renamed, True).info.precision == "bfloat16"


def test_mean_oks_measures_displacement() -> None:
    class Displaced(OpenVinoEngine):
        def _run(self, crops: np.ndarray) -> np.ndarray:
            return np.roll(super()._run(crops), 2, axis=3)

    class Blind(OpenVinoEngine):
        def _run(self, crops: np.ndarray) -> np.ndarray:
            return super()._run(crops) * 0

    file = ModelFile.read(MODEL)
    reference = OpenVinoEngine(file, precision="float32")
    displaced, blind = (kind(file, precision="float32") for kind in (Displaced, Blind))
    crops = load_check_crops()
    assert mean_oks(reference, reference, crops) == 1
    assert 0.3 < mean_oks(displaced, reference, crops) < 0.95
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
        ({"model": "hrnet_w99"}, r"no 'hrnet_w99\.onnx'.*hrnetv2_w24_small"),
        ({"model": str(MODEL), "engine": "torch"}, r"not the \.pth file"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_engine(**{"model": "hrnetv2_w24_small", **arguments})


@pytest.mark.skipif(device_count()[0] > 0, reason="there is a CUDA device")
@pytest.mark.parametrize("asked", [{"engine": "tensorrt"}, {"precision": "float16"}])
def test_tensorrt_without_a_gpu_says_why(asked: dict) -> None:
    with pytest.raises(EngineError, match="TensorRT engine cannot run here: no CUDA device: "):
        make_engine("hrnetv2_w24_small", **asked)


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
from hrnet_pose_ros.engines.engine import EngineError, EngineInfo
from hrnet_pose_ros.engines.make_engine import make_engine
try:
    engine = make_engine("hrnetv2_w24_small", engine={engine!r}, precision="float32", max_batch=1)
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
