# SPDX-License-Identifier: Apache-2.0
"""Export: the file is complete, says what it is, and is kept only if it computes the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.network.checkpoints import CheckpointError, load_pose_network
from hrnet_pose_ros.network.export import (
    ExportError,
    check_heatmaps,
    export_onnx,
    openvino_heatmaps,
)
from hrnet_pose_ros.network.heatmap_network import HeatmapNetwork
from hrnet_pose_ros.skeleton import COCO17

MODELS = Path(__file__).resolve().parents[2] / "models"
CHECKPOINT = MODELS / "hrnetv2_w24_small.pth"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "mine.onnx"
    export_onnx(CHECKPOINT, path, crops=load_check_crops())
    return path


def test_graph(exported: Path) -> None:
    model = onnx.load(exported, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]

    def described(value: onnx.ValueInfoProto) -> tuple:
        tensor = value.type.tensor_type
        sides = [d.dim_param or d.dim_value for d in tensor.shape.dim]
        return value.name, tensor.elem_type, sides

    (taken,), (given,) = model.graph.input, model.graph.output
    assert described(taken) == ("crops", onnx.TensorProto.UINT8, ["N", 256, 192, 3])
    assert described(given) == ("heatmaps", onnx.TensorProto.FLOAT, ["N", 17, 64, 48])
    first = next(node for node in model.graph.node if "crops" in node.input)
    assert first.op_type == "Cast"  # TensorRT takes uint8 no further than a cast
    assert all(w.data_location == onnx.TensorProto.DEFAULT for w in model.graph.initializer)


def test_metadata(exported: Path) -> None:
    properties = {p.key: p.value for p in onnx.load(exported).metadata_props}
    metadata = ModelMetadata.from_properties(properties)
    assert metadata.name == "mine"
    assert metadata.configuration == "hrnetv2_w24_small"
    assert metadata.input_size == (192, 256)
    assert metadata.target_sigma == 2
    assert metadata.flip_shift is True
    assert metadata.checkpoint_sha256 == hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()
    assert json.loads(properties["hrnet_pose.joint_names"]) == list(COCO17.joint_names)
    assert json.loads(properties["hrnet_pose.mean"]) == [0.485, 0.456, 0.406]


def test_openvino_reads_the_same_metadata(exported: Path) -> None:
    """Engines have no onnx package: OpenVINO hands the properties on."""
    properties = {p.key: p.value for p in onnx.load(exported).metadata_props}
    engine = OpenVinoEngine(ModelFile.read(exported), precision="float32")
    assert engine.metadata == ModelMetadata.from_properties(properties)


def test_another_input_size(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    metadata = export_onnx(CHECKPOINT, path, crops=load_check_crops()[:2], input_size=(288, 384))
    assert metadata.target_sigma == 3  # the reference's at this size
    heatmaps = OpenVinoEngine(ModelFile.read(path), precision="float32").heatmaps(
        np.zeros((1, 384, 288, 3), np.uint8)
    )
    assert heatmaps.shape == (1, 17, 96, 72)


def test_the_bundled_model_is_an_export_of_the_bundled_checkpoint() -> None:
    engine = OpenVinoEngine(ModelFile.read(MODELS / "hrnetv2_w24_small.onnx"), precision="float32")
    assert engine.metadata.name == "hrnetv2_w24_small"
    sha256 = hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()
    assert engine.metadata.checkpoint_sha256 == sha256
    crops = load_check_crops()
    with torch.inference_mode():
        expected = HeatmapNetwork(load_pose_network(CHECKPOINT))(torch.from_numpy(crops)).numpy()
    check_heatmaps(engine.heatmaps(crops), expected, "the bundled model")


@pytest.mark.parametrize("existing", [True, False])
def test_a_file_that_computes_otherwise_is_not_kept(existing: bool, tmp_path: Path) -> None:
    path = tmp_path / "wrong.onnx"
    if existing:
        path.write_bytes(b"the old one")

    def wrong(path: Path, crops: np.ndarray) -> np.ndarray:
        return openvino_heatmaps(path, crops) + 2e-4

    with pytest.raises(ExportError, match=r"not kept.*0\.0002.*0\.0001"):
        export_onnx(CHECKPOINT, path, crops=load_check_crops()[:1], run=wrong)
    assert [p.name for p in tmp_path.iterdir()] == (["wrong.onnx"] if existing else [])
    assert not existing or path.read_bytes() == b"the old one"


@pytest.mark.parametrize(
    ("actual", "words"),
    [
        (np.full((1, 17, 2, 2), np.nan), "nan"),
        (np.zeros((1, 17, 2, 3)), r"\(1, 17, 2, 3\)"),
    ],
)
def test_check_heatmaps_refuses(actual: np.ndarray, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        check_heatmaps(actual, np.zeros((1, 17, 2, 2)), "x.onnx")


@pytest.mark.parametrize("scale", [1e-3, 1.0, 255.0, 1e5])
def test_check_heatmaps_is_relative(scale: float) -> None:
    """Float32 rounds large values by more: the heatmaps of some networks have peaks of 255."""
    expected = scale * np.linspace(0, 1, 4, dtype=np.float32).reshape(1, 1, 2, 2)
    check_heatmaps(expected * np.float32(1 + 9e-5), expected, "x.onnx")
    with pytest.raises(ExportError, match="of the largest value"):
        check_heatmaps(expected * np.float32(1 + 2e-4), expected, "x.onnx")


def test_wrong_arguments_write_nothing(tmp_path: Path) -> None:
    crops = load_check_crops()[:1]
    with pytest.raises(CheckpointError, match="expected hrnet_w32"):
        export_onnx(CHECKPOINT, tmp_path / "a.onnx", crops=crops, configuration="hrnet_w32")
    with pytest.raises(ModelError, match="multiples of 32"):
        export_onnx(CHECKPOINT, tmp_path / "a.onnx", crops=crops, input_size=(200, 256))
    with pytest.raises(ModelError, match="sigma"):
        export_onnx(CHECKPOINT, tmp_path / "a.onnx", crops=crops, target_sigma=2.5)
    assert list(tmp_path.iterdir()) == []
