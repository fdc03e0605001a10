# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: every published layout loads strictly, everything else says what it is."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hrnet_pose_ros.network.checkpoints import (
    SKELETON_KEY,
    CheckpointError,
    checkpoint_skeleton,
    load_pose_network,
)
from hrnet_pose_ros.network.hrnet import CONFIGURATIONS, HRNet, HRNetConfiguration
from hrnet_pose_ros.network.pose_networks import POSE_NETWORKS, joints_of, pose_network
from hrnet_pose_ros.skeleton import COCO17, find_skeleton

MODELS = Path(__file__).resolve().parents[2] / "models"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def weights() -> State:
    return torch.load(MODELS / "hrnetv2_w24_small.pth", weights_only=True)


def numbered(name: str) -> State:
    """A state dict whose tensors each hold one number of their own; small as a file."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in pose_network(name).state_dict().items()}
    return {
        key: torch.tensor(float(number)).expand(shape)
        for number, (key, shape) in enumerate(shapes.items())
    }


def mmpose(weights: State, head: str) -> State:
    """The same weights under MMPose's names."""
    return {
        (head if key.startswith(("final_layer", "deconv_layers")) else "backbone.") + key: value
        for key, value in weights.items()
    }


def preprocessor(scale: float = 1.0, reverse: bool = False) -> State:
    """MMPose's image statistics as early MMEngine saved them."""
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    if reverse:
        mean, std = mean[::-1], std[::-1]
    return {
        "data_preprocessor.mean": torch.tensor(mean).view(3, 1, 1) * scale,
        "data_preprocessor.std": torch.tensor(std).view(3, 1, 1) * scale,
    }


# Beside the weights, MMPose 1.x files hold NumPy arrays, which weights_only refuses by default.
MMPOSE_META = {
    "epoch": 210,
    "cfg": "model = dict()",
    "dataset_meta": {"sigmas": np.ones(17, np.float32), "colours": np.zeros((19, 3), np.uint8)},
}

LAYOUTS = {
    "plain": lambda w: w,
    "reference training, DataParallel": lambda w: {
        "epoch": 3,
        "model": "pose_hrnet",
        "state_dict": OrderedDict(("module." + k, v) for k, v in w.items()),
        "perf": np.float64(0.7),  # a NumPy scalar
        "optimizer": {"state": {}, "param_groups": []},
    },
    "reference training, both": lambda w: {
        "state_dict": {"module." + k: v for k, v in w.items()},
        "best_state_dict": w,
    },
    "best_state_dict": lambda w: {"best_state_dict": w},
    "MMPose 1.x": lambda w: {"meta": MMPOSE_META, "state_dict": mmpose(w, "head.")},
    "MMPose 1.x with image statistics": lambda w: {
        "state_dict": mmpose(w, "head.") | preprocessor()
    },
    "MMPose 0.x": lambda w: {"meta": {}, "state_dict": mmpose(w, "keypoint_head.")},
    "before PyTorch 0.4.1": lambda w: {
        k: v for k, v in w.items() if not k.endswith("num_batches_tracked")
    },
    "half precision": lambda w: {k: v.half() if v.is_floating_point() else v for k, v in w.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_layout_loads(layout: str, zipped: bool, weights: State, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save(LAYOUTS[layout](weights), path, _use_new_zipfile_serialization=zipped)
    network = load_pose_network(path)
    assert network.configuration.name == "hrnetv2_w24_small"
    assert not network.training
    exact = layout != "half precision"
    for key, value in network.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(
                value, weights[key], rtol=0 if exact else 1e-3, atol=0 if exact else 1e-6
            )


class HistoryBuffer:
    """As MMEngine keeps its losses: pickled with arrays and references to its own methods."""

    def mean(self) -> None: ...


def test_history_of_a_training_run_is_ignored(
    weights: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("mmengine.logging.history_buffer")
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    buffer = HistoryBuffer()
    buffer.__dict__ = {"history": np.arange(3.0), "statistics": {"mean": buffer.mean}}
    path = tmp_path / "epoch_1.pth"
    with monkeypatch.context() as patch:  # as if MMEngine were installed where it was saved
        for name in ("mmengine", "mmengine.logging"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(HistoryBuffer, "__module__", module.__name__)
        content = {"message_hub": {"loss": buffer}, "state_dict": mmpose(weights, "head.")}
        torch.save(content, path)
    assert load_pose_network(path).configuration.name == "hrnetv2_w24_small"


def without_head(weights: State) -> State:
    return {k: v for k, v in weights.items() if not k.startswith("final_layer")}


def joints(weights: State, count: int, width: int = 48) -> State:
    return weights | {
        "final_layer.weight": torch.zeros(count, width, 1, 1),
        "final_layer.bias": torch.zeros(count),
    }


def width_18() -> State:
    small = HRNetConfiguration("hrnet_w18", 18, 1, 16, (1, 1, 1), 1)
    return HRNet(small).state_dict()


def resnet(depth: int) -> State:
    return numbered(f"simple_baseline_r{depth}")


def partly(weights: State) -> State:
    renamed = {
        k.replace("layer1.0.bn3.weight", "layer1.0.bn9.weight"): v for k, v in weights.items()
    }
    return renamed


WRONG = [
    # what the file holds, what the message must say
    (
        lambda w: without_head(w) | {"classifier.weight": torch.zeros(1000, 2048)},
        ["ImageNet classifier", "pretraining", "final_layer"],
    ),
    (  # the reference's classifiers have a final_layer of another kind
        lambda w: (
            without_head(w)
            | {
                "incre_modules.0.0.conv1.weight": torch.zeros(1),
                "final_layer.0.weight": torch.zeros(1),
            }
        ),
        ["ImageNet classifier"],
    ),
    (without_head, ["without a heatmap head", "final_layer"]),
    (lambda w: width_18(), ["width 18", "hrnet_w32 (32)"]),
    (lambda w: without_head(resnet(50)) | {"fc.weight": torch.zeros(1)}, ["an ImageNet class"]),
    (lambda w: without_head(resnet(50)), ["a ResNet alone", "final_layer"]),
    (  # as deep as a ResNet-34
        lambda w: {
            key: value
            for key, value in resnet(101).items()
            if not key.startswith("layer3.") or int(key.split(".")[1]) < 5
        },
        ["5 blocks in layer3", "simple_baseline_r50 (6)"],
    ),
    (
        lambda w: {k: v for k, v in resnet(50).items() if not k.startswith("deconv_layers.3.")},
        ["simple_baseline_r50", "1 missing keys (deconv_layers.3.weight)"],
    ),
    (lambda w: {"features.0.weight": torch.zeros(1)}, ["another network", "features.0.weight"]),
    (
        partly,
        [
            "hrnetv2_w24_small",
            "1 missing keys (layer1.0.bn3.weight)",
            "1 unexpected keys (layer1.0.bn9",
        ],
    ),
    (
        lambda w: w | {"conv1.weight": torch.zeros(64, 1, 3, 3)},
        ["another shape", "conv1.weight (64, 1, 3, 3) instead of (64, 3, 3, 3)"],
    ),
    (  # BGR statistics mean BGR weights
        lambda w: {"state_dict": mmpose(w, "head.") | preprocessor(reverse=True)},
        ["image mean", "RGB"],
    ),
    (  # only the two known extra keys are harmless
        lambda w: {"state_dict": mmpose(w, "head.") | {"data_preprocessor.gamma": torch.zeros(1)}},
        ["unexpected keys (data_preprocessor.gamma)"],
    ),
    (lambda w: w | {"conv1.weight": torch.full((64, 3, 3, 3), torch.nan)}, ["NaN", "conv1.weight"]),
    (lambda w: {"model": w, "epoch": 1}, ["no state dict", "model, epoch"]),
    (lambda w: {"state_dict": {}}, ["no weights"]),
    (lambda w: [1, 2], ["holds a list"]),
    (
        lambda w: {"state_dict": w, "args": argparse.Namespace()},
        ["argparse.Namespace", "untrusted"],
    ),
]


@pytest.mark.parametrize(
    ("content", "joints_there", "words"),
    [
        (lambda w: joints(w, 14), 14, "--skeleton crowdpose14 or --skeleton FILE.yaml"),
        (lambda w: joints(resnet(50), 16, width=256), 16, "--skeleton mpii16 or --skeleton FILE"),
        (lambda w: joints(w, 5), 5, "it has: --skeleton FILE.yaml"),
    ],
)
def test_other_joints_need_a_skeleton(
    content, joints_there: int, words: str, weights: State, tmp_path: Path
) -> None:
    path = tmp_path / "other.pth"
    torch.save(content(copy.copy(weights)), path)
    assert joints_of(load_pose_network(path)) == joints_there
    with pytest.raises(CheckpointError) as caught:
        checkpoint_skeleton(path, joints_there)
    assert f"of {joints_there} joints, expected COCO's 17" in str(caught.value)
    assert words in str(caught.value)


def test_skeletons_of_checkpoints(weights: State, tmp_path: Path) -> None:
    path, mpii = tmp_path / "own.pth", find_skeleton("mpii16")
    torch.save(weights, path)
    assert checkpoint_skeleton(path, 17) == COCO17
    with pytest.raises(CheckpointError, match="of 17 joints, but the skeleton 'mpii16' has 16"):
        checkpoint_skeleton(path, 17, mpii)
    torch.save({"state_dict": joints(weights, 16), SKELETON_KEY: mpii.to_json()}, path)
    assert checkpoint_skeleton(path, 16) == mpii
    torch.save({"state_dict": weights, SKELETON_KEY: {"name": "mine"}}, path)
    with pytest.raises(CheckpointError, match=r"must contain.*--skeleton coco17 or"):
        checkpoint_skeleton(path, 17)


@pytest.mark.parametrize(("content", "words"), WRONG, ids=[w[1][0] for w in WRONG])
def test_wrong_content_is_named(content, words: list[str], weights: State, tmp_path: Path) -> None:
    path = tmp_path / "wrong.pth"
    torch.save(content(copy.copy(weights)), path)
    with pytest.raises(CheckpointError) as caught:
        load_pose_network(path)
    for word in [*words, "wrong.pth"]:
        assert word in str(caught.value)


def test_another_configuration_than_wanted_is_named() -> None:
    with pytest.raises(CheckpointError, match="contains hrnetv2_w24_small, expected hrnet_w32"):
        load_pose_network(MODELS / "hrnetv2_w24_small.pth", "hrnet_w32")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_pose_network(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01])
def test_truncated_file_is_named(kept: float, zipped: bool, weights: State, tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointError, match="truncated"):
        load_pose_network(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html><html>", b"version https://git-lfs", b"\x08\x08\x12\x07pytorch"],
)
def test_foreign_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "page.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_pose_network(path)


def test_a_safetensors_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    header = b'{"conv1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match=r"safetensors file: .*torch\.save"):
        load_pose_network(path)


def test_the_state_of_a_training_is_named(weights: State, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"network": weights, "average": weights, "optimizer": {}, "step": 7}, path)
    with pytest.raises(CheckpointError, match=r"its best weights are in 'best\.pth'"):
        load_pose_network(path)


def test_weights_whose_names_are_no_texts(tmp_path: Path) -> None:
    path = tmp_path / "numbers.pth"
    torch.save({7: torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not tensors are 7"):
        load_pose_network(path)


@pytest.mark.parametrize("place", [0.02, 0.5, 0.98, 0.9999])
def test_a_damaged_file_is_named(place: float, weights: State, tmp_path: Path) -> None:
    """Its end is there, so it is not truncated; damaged weights alone cannot be known."""
    path = tmp_path / "damaged.pth"
    torch.save(weights, path)
    content = bytearray(path.read_bytes())
    begin = int(len(content) * place)
    content[begin : begin + 100] = np.random.default_rng(3).bytes(len(content[begin : begin + 100]))
    path.write_bytes(content)
    try:
        load_pose_network(path)
    except CheckpointError as error:
        assert "damaged.pth" in str(error)


def test_torchscript_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "script.pth"
    torch.jit.save(torch.jit.trace(nn.ReLU(), torch.zeros(1)), path)
    with pytest.raises(CheckpointError, match="TorchScript"):
        load_pose_network(path)


@pytest.mark.parametrize("name", POSE_NETWORKS)
def test_network_is_found_out(name: str, tmp_path: Path) -> None:
    path = tmp_path / "numbered.pth"
    torch.save(numbered(name), path)
    with pytest.raises(CheckpointError, match=f"contains {name}, expected another"):
        load_pose_network(path, "another")  # the answer without the work of loading


def test_members_of_one_width_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = CONFIGURATIONS["hrnetv2_w24_small"]
    for number, change in enumerate(
        (
            {"modules": (1, 2, 1)},
            {"blocks": 3},
            {"layer1_blocks": 2},
            {"layer1_planes": 16},
            {"exchange": "across_stages", "modules": (1, 2, 1)},
            {"head_width": 0},
            {"head_width": 0, "heatmap_branch": 2},
            {"head_width": 24},
            {"head_width": 32},
        )
    ):
        other = dataclasses.replace(small, name=f"other_{number}", **change)
        monkeypatch.setitem(CONFIGURATIONS, other.name, other)
        path = tmp_path / f"{other.name}.pth"
        torch.save(HRNet(other).state_dict(), path)
        assert load_pose_network(path).configuration == other
    assert load_pose_network(MODELS / "hrnetv2_w24_small.pth").configuration == small


@pytest.mark.parametrize("layout", ["plain", "MMPose 1.x"])
def test_simple_baseline_loads(layout: str, tmp_path: Path) -> None:
    weights = numbered("simple_baseline_r50")
    path = tmp_path / "numbered.pth"
    torch.save(LAYOUTS[layout](weights), path)
    network = load_pose_network(path)
    assert network.configuration == POSE_NETWORKS["simple_baseline_r50"]
    loaded = network.state_dict()
    assert set(loaded) == set(weights)
    assert [k for k, v in loaded.items() if not torch.all(v == weights[k].flatten()[0])] == []


def test_offset_regression_is_named(weights: State, tmp_path: Path) -> None:
    """UDP's other kind of head: a map of the class and two of offsets for each joint."""
    path = tmp_path / "model.pth"
    torch.save(joints(weights, 51), path)
    mpii = find_skeleton("mpii16")
    with pytest.raises(CheckpointError, match=r"offset regression .*_hrnet_w32_udp_256x192"):
        checkpoint_skeleton(path, 51)
    with pytest.raises(CheckpointError, match="CombinedTarget: 48 maps, for each of 16 joints"):
        checkpoint_skeleton(path, 48, mpii)
