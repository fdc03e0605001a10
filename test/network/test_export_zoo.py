# SPDX-License-Identifier: Apache-2.0
"""Export of the other networks and colour orders, with seeded weights, and by zoo name.

`export_onnx` itself compares PyTorch's heatmaps with OpenVINO's and raises where they differ by
more than 1e-4: these tests make sure that there is something to compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.engines import precision_check
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.network.export import HEATMAP_TOLERANCE, export_onnx, openvino_heatmaps
from hrnet_pose_ros.network.pose_networks import POSE_NETWORKS, PoseNetwork, network_of


def seeded(name: str) -> PoseNetwork:
    """Random weights under which every layer matters and no value grows out of proportion."""
    torch.manual_seed(0)
    network = network_of(POSE_NETWORKS[name])
    for key, layer in network.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and key != "final_layer":
            nn.init.kaiming_normal_(layer.weight)
        # Residual and exchanged sums would double their variance at each step.
        summed = key.endswith(("bn3", "bn2")) or "fuse_layers" in key
        if summed and isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.weight, 0.3)
    return network


def checkpoint_of(network: PoseNetwork, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("resnet") / "pose_resnet_50_256x192.pth"
    yield checkpoint_of(seeded("simple_baseline_r50"), path)
    path.unlink()  # pytest keeps the folders of three runs


def test_colour_order_of_an_unknown_simple_baseline_must_be_said(
    resnet: Path, tmp_path: Path
) -> None:
    unknown = resnet.with_name("mine.pth")
    unknown.symlink_to(resnet)
    crops = load_check_crops()[:1]
    with pytest.raises(ModelError, match=r"simple_baseline_r50 exist for RGB and for BGR"):
        export_onnx(unknown, tmp_path / "a.onnx", crops=crops)
    with pytest.raises(ModelError, match=r"name their order"):
        TorchEngine(ModelFile.read(unknown))
    assert list(tmp_path.iterdir()) == []


def test_a_zoo_entry_brings_its_facts(
    resnet: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fetched and exported by name: the reference's SimpleBaseline, whose weights are BGR."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    crops = load_check_crops()[:2]
    monkeypatch.setattr(precision_check, "load_check_crops", lambda: crops)  # fewer to compare
    assert main(["fetch", "pose_resnet_50_256x192", "--from", str(resnet)]) == 0
    assert main(["export", "pose_resnet_50_256x192"]) == 0
    assert (
        "256x192 (HxW), 17 joints (coco17), bgr weights, sigma 2, checked"
        in capsys.readouterr().out
    )
    assert main(["models"]) == 0
    assert ".pth .onnx" in capsys.readouterr().out

    engine = make_engine("pose_resnet_50_256x192", "openvino", "float32", max_batch=2)
    assert isinstance(engine, OpenVinoEngine)
    assert engine.metadata.configuration == "simple_baseline_r50"
    assert engine.metadata.colour_order == "bgr"
    heatmaps = engine.heatmaps(crops)
    assert heatmaps.std() > 0.01  # not flat
    # Engines feed RGB to every model: what this one sees of RGB crops is what a model of RGB
    # weights sees of BGR crops.
    rgb = TorchEngine(ModelFile.read(resnet), colour_order="rgb")
    turned = np.ascontiguousarray(crops[..., ::-1])
    np.testing.assert_allclose(heatmaps, rgb.heatmaps(turned), rtol=0, atol=HEATMAP_TOLERANCE)
    assert np.abs(heatmaps - rgb.heatmaps(crops)).max() > 100 * HEATMAP_TOLERANCE


def test_options_override_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    options = ["--input-size", "64x96", "--colour-order", "bgr", "--target-sigma", "3"]
    verb = ["export", "hrnetv2_w24_small", "-o", str(path), *options, "--no-flip-shift"]
    assert main(verb) == 0
    metadata = OpenVinoEngine(ModelFile.read(path), precision="float32").metadata
    assert (metadata.input_size, metadata.colour_order) == ((96, 64), "bgr")
    assert (metadata.target_sigma, metadata.flip_shift) == (3, False)


def test_the_torch_engine_knows_the_zoo(resnet: Path) -> None:
    metadata = TorchEngine(ModelFile.read(resnet)).metadata
    assert (metadata.input_size, metadata.colour_order) == ((192, 256), "bgr")


def test_w48(tmp_path: Path) -> None:
    checked: list[np.ndarray] = []

    def run(path: Path, crops: np.ndarray) -> np.ndarray:
        checked.append(openvino_heatmaps(path, crops))
        return checked[-1]

    checkpoint = checkpoint_of(seeded("hrnet_w48"), tmp_path / "w48.pth")
    path, crops = tmp_path / "w48.onnx", load_check_crops()[:2]
    metadata = export_onnx(checkpoint, path, crops=crops, input_size=(64, 64), run=run)
    assert (metadata.configuration, metadata.colour_order) == ("hrnet_w48", "rgb")
    assert path.stat().st_size > 250e6  # every weight is inside
    assert [heatmaps.shape for heatmaps in checked] == [(2, 17, 16, 16)]
    assert all(heatmaps.std() > 0.01 for heatmaps in checked)  # not flat
    for large in (checkpoint, path):  # pytest keeps the folders of three runs
        large.unlink()
