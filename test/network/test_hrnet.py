# SPDX-License-Identifier: Apache-2.0
"""HRNet: shapes, names and the order of the exchange."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.network.heatmap_network import HeatmapNetwork
from hrnet_pose_ros.network.hrnet import (
    CONFIGURATIONS,
    HRNet,
    HRNetConfiguration,
    MultiResolutionHead,
)
from hrnet_pose_ros.network.pose_networks import check_head

MODELS = Path(__file__).resolve().parents[2] / "models"


def on_meta(name: str) -> HRNet:
    with torch.device("meta"):
        return HRNet(CONFIGURATIONS[name]).eval()


@pytest.mark.parametrize("name", ["hrnet_w32", "hrnet_w48", "hrnetv2_w24_small"])
@pytest.mark.parametrize(("height", "width"), [(256, 192), (384, 288), (128, 96)])
def test_heatmaps_are_a_quarter_of_the_crop(name: str, height: int, width: int) -> None:
    crops = torch.empty(2, 3, height, width, device="meta")
    assert on_meta(name)(crops).shape == (2, 17, height // 4, width // 4)


def test_published_names() -> None:
    """One name of every kind in the reference's checkpoints, with its shape in W32."""
    state = on_meta("hrnet_w32").state_dict()
    for key, shape in {
        "conv1.weight": (64, 3, 3, 3),
        "bn1.running_mean": (64,),
        "conv2.weight": (64, 64, 3, 3),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.3.conv3.weight": (256, 64, 1, 1),
        "transition1.0.0.weight": (32, 256, 3, 3),
        "transition1.1.0.0.weight": (64, 256, 3, 3),
        "stage2.0.branches.1.3.conv2.weight": (64, 64, 3, 3),
        "stage2.0.fuse_layers.0.1.0.weight": (32, 64, 1, 1),
        "transition2.2.0.0.weight": (128, 64, 3, 3),
        "stage3.3.fuse_layers.2.0.0.0.weight": (32, 32, 3, 3),
        "stage3.3.fuse_layers.2.0.1.0.weight": (128, 32, 3, 3),
        "transition3.3.0.1.weight": (256,),
        "stage4.1.fuse_layers.3.0.2.0.weight": (256, 32, 3, 3),
        "stage4.2.branches.3.3.bn2.running_var": (256,),
        "stage4.2.fuse_layers.0.3.0.weight": (32, 256, 1, 1),
        "final_layer.weight": (17, 32, 1, 1),
        "final_layer.bias": (17,),
    }.items():
        assert tuple(state[key].shape) == shape, key
    # The last module gives the highest resolution only.
    assert not any(key.startswith("stage4.2.fuse_layers.1") for key in state)
    # Branches that keep their width pass a transition untouched.
    assert not any(key.startswith(("transition2.0", "transition2.1")) for key in state)


def test_bundled_weights_load_strictly() -> None:
    network = HRNet(CONFIGURATIONS["hrnetv2_w24_small"])
    weights = torch.load(MODELS / "hrnetv2_w24_small.pth", weights_only=True)
    assert set(weights) == set(network.state_dict())
    network.load_state_dict(weights, strict=True)


@pytest.mark.parametrize("head_width", [0, 48])
def test_every_parameter_reaches_the_heatmaps(head_width: int) -> None:
    small = CONFIGURATIONS["hrnetv2_w24_small"]
    network = HRNet(dataclasses.replace(small, head_width=head_width))
    network(torch.randn(2, 3, 64, 64)).sum().backward()
    unused = [name for name, p in network.named_parameters() if p.grad is None]
    assert unused == []


def test_normalisation_is_part_of_the_network() -> None:
    """uint8 RGB crops in, as engines hold them: (x / 255 - mean) / std, channel by channel."""
    seen = []

    class Probe(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x

    crops = torch.tensor([[[[255, 0, 51]]]], dtype=torch.uint8)  # one RGB pixel
    HeatmapNetwork(Probe())(crops)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    torch.testing.assert_close(seen[0].flatten(), torch.tensor(expected))
    assert seen[0].shape == (1, 3, 1, 1)


def test_the_multi_resolution_head_is_hrnetv2s() -> None:
    """HRNetV2's words: resize the branches, concatenate them, then one 1x1 convolution."""
    torch.manual_seed(0)
    widths = (6, 12, 24, 48)
    head = MultiResolutionHead(widths, 20).eval()
    xs = [torch.randn(2, w, 32 // 2**b, 24 // 2**b) for b, w in enumerate(widths)]
    resized = [
        torch.nn.functional.interpolate(x, size=(32, 24), mode="bilinear", align_corners=False)
        for x in xs
    ]
    weight = torch.cat([conv.weight for conv in head.convs], dim=1)
    expected = torch.relu(head.bn(torch.nn.functional.conv2d(torch.cat(resized, 1), weight)))
    torch.testing.assert_close(head(xs), expected, atol=1e-5, rtol=1e-5)  # float32 sums


def test_a_head_of_fewer_channels_than_maps_is_refused() -> None:
    small = CONFIGURATIONS["hrnetv2_w24_small"]
    narrow = HRNet(dataclasses.replace(small, head_width=16))
    with pytest.raises(ModelError, match="17 heatmaps of 16 channels"):
        check_head(narrow)
    # What the refusal is about: one combination of the maps has the same value everywhere.
    with torch.inference_mode():
        maps = narrow.eval()(torch.rand(1, 3, 64, 64))[0].flatten(1)
        null = torch.linalg.svd(narrow.final_layer.weight.flatten(1)).U[:, -1]
    assert float((null @ maps).std()) < 1e-4 * float(maps.std())
    check_head(HRNet(small))


def test_a_mixed_head_reads_no_single_branch() -> None:
    with pytest.raises(ValueError, match="heatmap_branch must be 0"):
        HRNetConfiguration("both", 32, heatmap_branch=1, head_width=48)
