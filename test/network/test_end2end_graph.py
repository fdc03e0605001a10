# SPDX-License-Identifier: Apache-2.0
"""The end-to-end graph in PyTorch: its network, and the flip test against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hrnet_pose_ros.engines.heatmap_engine import mirrored_back
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.metadata import End2EndGraphMetadata, ModelMetadata
from hrnet_pose_ros.network.checkpoints import load_pose_network
from hrnet_pose_ros.network.end2end_graph import End2EndGraph, with_folded_normalisation
from hrnet_pose_ros.network.heatmap_network import HeatmapNetwork
from hrnet_pose_ros.network.pose_networks import pose_network
from hrnet_pose_ros.skeleton import COCO17

MODELS = Path(__file__).resolve().parents[2] / "models"

NETWORK = load_pose_network(MODELS / "hrnetv2_w24_small.pth")


def graph(
    *,
    precision: str = "float32",
    flip_test: bool = False,
    shift: bool = True,
    colour_order: str = "rgb",
) -> End2EndGraph:
    model = ModelMetadata(
        "m", "hrnetv2_w24_small", 192, 256, 2.0, shift, "ab" * 32, "0.1.0", colour_order
    )
    return End2EndGraph(
        NETWORK, End2EndGraphMetadata(model, precision, "quarter", flip_test, None)
    ).eval()


def crops(n: int = 1) -> tuple[np.ndarray, torch.Tensor]:
    """uint8 ``[N, H, W, 3]`` as the reference takes them, and float32 ``[N, 3, H, W]``."""
    chosen = load_check_crops()[:n]
    return chosen, torch.from_numpy(chosen).permute(0, 3, 1, 2).float()


@torch.inference_mode()
def reference(images: np.ndarray, colour_order: str = "rgb") -> np.ndarray:
    return HeatmapNetwork(NETWORK, colour_order)(torch.from_numpy(images.copy())).numpy()


@torch.inference_mode()
@pytest.mark.parametrize("colour_order", ["rgb", "bgr"])
def test_heatmaps_are_those_of_the_heatmap_network(colour_order: str) -> None:
    images, sampled = crops()
    heatmaps = graph(colour_order=colour_order).heatmaps(sampled).numpy()
    # The design's bound for float32 heatmaps of the same crop.
    np.testing.assert_allclose(heatmaps, reference(images, colour_order), rtol=0, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("shift", [True, False])
def test_flip_test_is_what_engines_compute(shift: bool) -> None:
    images, sampled = crops()
    expected = (
        reference(images) + mirrored_back(reference(images[:, :, ::-1]), shift, COCO17.mirrored)
    ) / 2
    heatmaps = graph(flip_test=True, shift=shift).heatmaps(sampled).numpy()
    np.testing.assert_allclose(heatmaps, expected, rtol=0, atol=1e-4)
    assert np.abs(expected - reference(images)).max() > 0.1  # it does something


@torch.inference_mode()
def test_float16_is_near_and_its_heatmaps_are_not_rounded() -> None:
    images, sampled = crops()
    half = graph(precision="float16")
    assert next(half.network.parameters()).dtype == torch.float16
    heatmaps = half.heatmaps(sampled)
    assert heatmaps.dtype == torch.float32
    assert np.abs(heatmaps.numpy() - reference(images)).max() < 0.01  # measured: 0.0021
    # The last convolution computes in float32: few values are ones that float16 has.
    assert (heatmaps == heatmaps.half().float()).float().mean() < 0.05


@torch.inference_mode()
@pytest.mark.parametrize("name", ["hrnetv2_w24_small", "simple_baseline_r50"])
def test_folded_normalisations_compute_the_same(name: str) -> None:
    torch.manual_seed(0)
    network = pose_network(name).eval()
    for module in network.modules():  # normalisations that do something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.1)
    before = [v.clone() for v in network.state_dict().values()]
    folded = with_folded_normalisation(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    x = torch.randn(1, 3, 128, 96)
    torch.testing.assert_close(folded(x), network(x), rtol=1e-4, atol=1e-4)
    for value, old in zip(network.state_dict().values(), before, strict=True):
        assert torch.equal(value, old)  # the network given is left alone
