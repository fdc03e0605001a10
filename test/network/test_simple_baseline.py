# SPDX-License-Identifier: Apache-2.0
"""SimpleBaseline: shapes and names. Its cost stands in test_cost.py, its files in
test_checkpoints.py."""

from __future__ import annotations

import pytest
import torch

from hrnet_pose_ros.network.pose_networks import network_of, pose_network
from hrnet_pose_ros.network.simple_baseline import (
    SIMPLE_BASELINES,
    SimpleBaseline,
    SimpleBaselineConfiguration,
)


@pytest.mark.parametrize("name", SIMPLE_BASELINES)
@pytest.mark.parametrize(("height", "width"), [(256, 192), (384, 288)])
def test_heatmaps_are_a_quarter_of_the_crop(name: str, height: int, width: int) -> None:
    with torch.device("meta"):
        network = SimpleBaseline(SIMPLE_BASELINES[name]).eval()
    crops = torch.empty(2, 3, height, width, device="meta")
    assert network(crops).shape == (2, 17, height // 4, width // 4)


def test_published_names() -> None:
    """One name of every kind in the reference's checkpoints, with its shape in ResNet-50."""
    with torch.device("meta"):
        state = pose_network("simple_baseline_r50").state_dict()
    for key, shape in {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_mean": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.conv2.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (512, 256, 1, 1),
        "layer2.0.downsample.1.weight": (512,),
        "layer3.5.conv3.weight": (1024, 256, 1, 1),
        "layer4.2.bn3.running_var": (2048,),
        # nn.ConvTranspose2d: in, out
        "deconv_layers.0.weight": (2048, 256, 4, 4),
        "deconv_layers.1.weight": (256,),
        "deconv_layers.3.weight": (256, 256, 4, 4),
        "deconv_layers.7.running_mean": (256,),
        "final_layer.weight": (17, 256, 1, 1),
        "final_layer.bias": (17,),
    }.items():
        assert tuple(state[key].shape) == shape, key
    assert not any(key.endswith("deconv_layers.0.bias") for key in state)
    assert not any(key.startswith("layer2.1.downsample") for key in state)


def test_the_stride_lies_in_the_3x3_convolution() -> None:
    """As in torchvision's ResNets, whose weights the published models started from."""
    with torch.device("meta"):
        network = pose_network("simple_baseline_r50")
    strides = {
        key: layer.stride[0]
        for key, layer in network.named_modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.stride != (1, 1)
    }
    downwards = {f"layer{n}.0.{part}": 2 for n in (2, 3, 4) for part in ("conv2", "downsample.0")}
    assert strides == {"conv1": 2, **downwards}


def test_every_parameter_reaches_the_heatmaps() -> None:
    network = network_of(SimpleBaselineConfiguration("tiny", (1, 1, 1, 1)))
    network(torch.randn(2, 3, 64, 64)).sum().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no network 'resnet50'.*hrnet_w32.*simple_baseline_r50"):
        pose_network("resnet50")
