# SPDX-License-Identifier: Apache-2.0
"""Quantising for OpenVINO: what is kept, how the engines find it, and that it runs in 8 bits."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import load_check_crops, mean_oks
from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.model_files.quantized import find_quantized
from hrnet_pose_ros.network.key_point_change import KeyPointChange
from hrnet_pose_ros.network.onnx_files import ExportError
from hrnet_pose_ros.network.quantize_heatmaps import LEAST_OKS, quantize_heatmap_graph

pytest.importorskip("nncf")

MODELS = Path(__file__).resolve().parents[2] / "models"
FLOAT32 = MODELS / "hrnet_w16_small.onnx"


@pytest.fixture(scope="module")
def quantized(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, ModelMetadata, KeyPointChange]:
    """In a folder of its own beside the model it was made from."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(FLOAT32, folder)
    path = folder / "hrnet_w16_small_int8.onnx"
    return path, *quantize_heatmap_graph(ModelFile.read(FLOAT32), path, load_check_crops())


@pytest.fixture(scope="module")
def engine(quantized) -> OpenVinoEngine:
    return make_engine(quantized[0], max_batch=1)


def test_key_points_move_little(quantized, engine: OpenVinoEngine) -> None:
    _, _, change = quantized
    assert (change.calibrated, change.judged) == (4, 4)
    assert change.joints > 60
    assert LEAST_OKS <= change.mean_oks <= 1  # measured: 0.994
    # The engine computes what was judged: every second crop judged.
    reference = OpenVinoEngine(ModelFile.read(FLOAT32), precision="float32")
    judged = load_check_crops()[::2]
    assert mean_oks(engine, reference, judged) == pytest.approx(change.mean_oks, abs=2e-3)


def test_convolutions_run_in_8_bits(engine: OpenVinoEngine) -> None:
    """What OpenVINO really compiled; the last convolution writes the heatmaps in float32."""
    (request,) = engine.requests
    types: Counter[str] = Counter()
    for operation in request.get_compiled_model().get_runtime_model().get_ordered_ops():
        facts = operation.get_rt_info()
        if facts["layerType"].astype(str) == "Convolution":
            types[facts["runtimePrecision"].astype(str)] += 1
    convolutions = sum(node.op_type == "Conv" for node in onnx.load(FLOAT32).graph.node)
    assert types["u8"] + types["i8"] == convolutions - 1, types
    assert types["f32"] == 1, types


def test_engine_says_what_it_is(quantized, engine: OpenVinoEngine) -> None:
    assert (engine.info.model, engine.info.precision) == ("hrnet_w16_small", "int8")
    assert engine.metadata == quantized[1]
    assert engine.metadata.quantized
    assert len(engine.estimate(np.zeros((99, 99, 3), np.uint8), np.array([[9, 9, 30, 60.0]]))) == 1


def test_found_beside_the_model(quantized) -> None:
    path, _, _ = quantized
    assert ModelFile.read(path).heatmaps().quantized
    assert not ModelFile.read(FLOAT32).heatmaps().quantized
    assert find_quantized(path.parent / FLOAT32.name).path == path
    assert find_quantized(path).path == path


def test_found_by_name(quantized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "hrnet_pose" / "models"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=f"hrnet_pose quantize .* -o {folder}/hrnet_w16_small_int"):
        make_engine("hrnet_w16_small", engine="openvino", precision="int8")
    shutil.copy(quantized[0], folder)
    engine = make_engine("hrnet_w16_small", engine="openvino", precision="int8", max_batch=1)
    assert engine.info.precision == "int8"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_quantised_file_runs_in_8_bits_only(quantized, precision: str) -> None:
    with pytest.raises(ModelError, match=f"computes in 8 bits and cannot run with .* {precision}"):
        make_engine(quantized[0], engine="openvino", precision=precision)


def test_of_another_checkpoint(quantized, tmp_path: Path) -> None:
    path, _, _ = quantized
    shutil.copy(path, tmp_path)
    other = onnx.load(FLOAT32)
    for entry in other.metadata_props:
        if entry.key.endswith("checkpoint_sha256"):
            entry.value = '"0"'
    onnx.save(other, tmp_path / FLOAT32.name)
    with pytest.raises(ModelError, match=r"made from another checkpoint .* hrnet_pose quantize"):
        find_quantized(tmp_path / FLOAT32.name)


def test_not_kept_where_the_key_points_move(tmp_path: Path) -> None:
    output = tmp_path / "x.onnx"
    noise = np.random.default_rng(0).integers(0, 256, (4, 256, 192, 3), np.uint8)
    noise[::2] = load_check_crops()[:2]  # calibrated on noise, judged on persons
    with pytest.raises(ExportError, match=r"not written: .* needed is a mean OKS of 0\.98"):
        quantize_heatmap_graph(ModelFile.read(FLOAT32), output, noise)
    assert list(tmp_path.iterdir()) == []


def test_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str], quantized) -> None:
    output = tmp_path / "small_int8.onnx"
    assert main(["quantize", str(FLOAT32), "-o", str(output)]) == 0
    assert "hrnet_w16_small in int8 for OpenVINO, calibrated on 4 crops" in capsys.readouterr().out
    assert ModelFile.read(output).heatmaps().quantized
    assert main(["quantize", str(quantized[0]), "-o", str(tmp_path / "y.onnx")]) == 2
    assert "computes in 8 bits already" in capsys.readouterr().err
