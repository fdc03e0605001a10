# SPDX-License-Identifier: Apache-2.0
"""The rule of ``engine: auto``: what is taken, why, and what is said about the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from int8_files import model_with_int8

from hrnet_pose_ros.engines.choose_engine import EngineSelection, choose_engine
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.model_files.metadata import LEAST_JUDGED, ModelError

MODELS = Path(__file__).resolve().parents[2] / "models"
NAME = "hrnetv2_w24_small"
NO_GPU = "no CUDA device: the driver lists none"


def chosen(model: str | Path = NAME, gpu: bool = False, **asked: object) -> EngineSelection:
    """The choice on a machine with or without a GPU for TensorRT."""
    return choose_engine(
        model,
        **asked,  # type: ignore[arg-type]
        why_no_tensorrt=lambda device: "" if gpu and device == 0 else NO_GPU,
    )


@pytest.mark.parametrize(
    ("asked", "gpu", "engine", "file", "passed_over"),
    [
        ({}, False, "openvino", f"{NAME}.onnx", {"tensorrt": NO_GPU}),
        ({}, True, "tensorrt", f"{NAME}_end2end_float16.onnx", {}),
        ({"device": 1}, True, "openvino", f"{NAME}.onnx", {"tensorrt": NO_GPU}),
        ({"engine": "openvino"}, True, "openvino", f"{NAME}.onnx", {}),
        ({"engine": "torch"}, True, "torch", f"{NAME}.pth", {}),
        ({"precision": "float32"}, False, "openvino", f"{NAME}.onnx", {"tensorrt": NO_GPU}),
        ({"precision": "float32"}, True, "tensorrt", f"{NAME}_end2end_float32.onnx", {}),
        (
            {"precision": "bfloat16"},
            True,
            "openvino",
            f"{NAME}.onnx",
            {"tensorrt": "it does not compute in bfloat16"},
        ),
        (
            {"precision": "float16"},
            True,
            "tensorrt",
            f"{NAME}_end2end_float16.onnx",
            {"openvino": "it does not compute in float16"},
        ),
        ({"model": MODELS / f"{NAME}.pth"}, True, "torch", f"{NAME}.pth", {}),
    ],
)
def test_choice(asked: dict, gpu: bool, engine: str, file: str, passed_over: dict) -> None:
    selection = chosen(gpu=gpu, **asked)
    assert selection.engine == engine
    assert selection.file is not None and selection.file.path.name == file
    assert selection.passed_over == passed_over
    assert selection.unusable == ""
    assert selection.why and "\n" not in selection.why
    assert selection.precision == asked.get("precision", "auto")


def test_why_says_what_decided() -> None:
    assert chosen().why == NO_GPU
    assert "hrnetv2_w24_small_end2end_float16.onnx" in chosen(gpu=True).why
    assert chosen(engine="torch").why == "the engine torch was asked for"
    assert chosen(MODELS / f"{NAME}.pth").why.endswith("is a checkpoint, which PyTorch alone runs")
    assert chosen(precision="bfloat16").why == "OpenVINO alone computes in bfloat16"


def test_int8_without_a_gpu_is_openvinos(tmp_path: Path) -> None:
    selection = chosen(model_with_int8(tmp_path), precision="int8")
    assert (selection.engine, selection.precision) == ("openvino", "int8")
    assert selection.file is not None and selection.file.path.name == f"{NAME}_int8.onnx"
    assert selection.passed_over == {"tensorrt": NO_GPU}


def test_8_bits_that_too_few_judged_are_not_chosen(tmp_path: Path) -> None:
    """Whoever asks hears it before an engine is made: the doctor, and the node of its fallback."""
    path = model_with_int8(tmp_path, persons=LEAST_JUDGED - 1)
    for model, precision in ((path, "int8"), (tmp_path / f"{NAME}_int8.onnx", "auto")):
        with pytest.raises(ModelError, match="on 199 persons only; at least 200 are needed"):
            chosen(model, precision=precision)
    assert chosen(path).file is not None  # in float32 the model runs


def test_int8_without_its_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="hrnet_pose quantize"):
        chosen(precision="int8")
    with pytest.raises(ModelError, match="no end-to-end graph of 'hrnetv2_w24_small' with int8"):
        chosen(model_with_int8(tmp_path), gpu=True, precision="int8")  # there is a GPU for it


@pytest.mark.parametrize("asked", [{"engine": "tensorrt"}, {"precision": "float16"}])
def test_what_only_a_gpu_can_do_stays_tensorrts(asked: dict) -> None:
    """So that whoever makes the engine knows whose failure it is."""
    selection = chosen(**asked)
    assert (selection.engine, selection.file) == ("tensorrt", None)
    assert selection.unusable.startswith(NO_GPU)
    assert selection.precision == asked.get("precision", "auto")
    assert ("parameter precision" in selection.unusable) == ("precision" in asked)
    with pytest.raises(EngineError, match=f"the TensorRT engine cannot run here: {NO_GPU}"):
        make_engine(NAME, **asked, selection=selection)


def test_a_model_without_an_end2end_graph(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copy(MODELS / f"{NAME}.onnx", tmp_path)
    path = tmp_path / f"{NAME}.onnx"
    assert chosen(path).engine == "openvino" and caplog.text == ""
    selection = chosen(path, gpu=True)
    assert selection.engine == "openvino"
    assert "hrnet_pose export --graph end2end" in selection.passed_over["tensorrt"]
    assert "engine auto takes OpenVINO, though there is a GPU" in caplog.text
    for asked in ({"engine": "tensorrt"}, {"precision": "float16"}):
        with pytest.raises(ModelError, match="no end-to-end graph"):
            chosen(path, gpu=True, **asked)


def test_an_end2end_graph_needs_a_gpu() -> None:
    graph = MODELS / f"{NAME}_end2end_float16.onnx"
    assert chosen(graph, gpu=True).engine == "tensorrt"
    with pytest.raises(ModelError, match="an end-to-end graph, expected a heatmaps graph"):
        chosen(graph)


def test_the_choice_is_what_is_made() -> None:
    selection = chosen(precision="float32", decoding="dark", flip_test=True)
    engine = make_engine(NAME, max_batch=1, selection=selection)
    info = engine.info
    assert (info.engine, info.precision, info.decoding) == ("openvino", "float32", "dark")
    assert info.flip_test
    assert selection.file is not None and info.checksum == selection.file.checksum
