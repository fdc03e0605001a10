# SPDX-License-Identifier: Apache-2.0
"""Cost: Table 1 of the paper is met."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hrnet_pose_ros.network.cost import network_cost
from hrnet_pose_ros.network.pose_networks import pose_network


@pytest.mark.parametrize(
    ("name", "height", "width", "parameters", "by_rule", "paper"),
    [
        # parameters in millions; GFLOPs computed by the reference's rule and as printed
        ("hrnet_w32", 256, 192, 28.5, 7.12, 7.10),
        ("hrnet_w32", 384, 288, 28.5, 16.02, 16.0),
        ("hrnet_w48", 256, 192, 63.6, 14.61, 14.6),
        ("hrnet_w48", 384, 288, 63.6, 32.88, 32.9),
        ("simple_baseline_r50", 256, 192, 34.0, 8.99, 8.90),
        ("simple_baseline_r101", 256, 192, 53.0, 12.38, 12.4),
        ("simple_baseline_r152", 256, 192, 68.6, 15.76, 15.7),
        ("simple_baseline_r152", 384, 288, 68.6, 35.47, 35.6),
    ],
)
def test_table_1(
    name: str, height: int, width: int, parameters: float, by_rule: float, paper: float
) -> None:
    with torch.device("meta"):
        network = pose_network(name)
    cost = network_cost(network, (width, height))
    assert round(cost.parameters / 1e6, 1) == parameters
    assert cost.paper_gflops == pytest.approx(by_rule, abs=0.006)  # two decimals
    assert cost.paper_gflops == pytest.approx(paper, rel=0.011)  # as far as printed values agree


@pytest.mark.parametrize(
    ("name", "parameters", "giga_multiply_adds"),
    [
        ("hrnet_w32", 28.5, 7.65),
        ("hrnetv2_w24_small", 3.22, 1.02),
        ("simple_baseline_r50", 34.0, 5.43),  # by the paper's rule it would be 9.65
    ],
)
def test_plain_multiply_adds(name: str, parameters: float, giga_multiply_adds: float) -> None:
    with torch.device("meta"):
        network = pose_network(name)
    cost = network_cost(network, (192, 256))
    assert cost.parameters / 1e6 == pytest.approx(parameters, rel=0.002)
    assert cost.giga_multiply_adds == pytest.approx(giga_multiply_adds, rel=0.005)


@pytest.mark.parametrize(
    ("layer", "plain", "by_reference"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), 8 * 32 * 32 * 9 * 3, 8 * 32 * 32 * 9 * 3),
        (nn.Conv2d(3, 6, 3, padding=1, groups=3), 6 * 32 * 32 * 9, 6 * 32 * 32 * 9),
        # The reference counts a deconvolution as a convolution at its output size; it computes
        # one product for every input value and cell of the kernel.
        (
            nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1),
            3 * 32 * 32 * 16 * 8,
            8 * 64 * 64 * 16 * 3,
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)),
            3 * 32 * 32 * 10,
            3 * 32 * 32 * 10,
        ),
        (nn.BatchNorm2d(3), 0, 0),
    ],
)
def test_counting_rule(layer: nn.Module, plain: int, by_reference: int) -> None:
    cost = network_cost(layer, (32, 32))
    assert (cost.multiply_adds, cost.reference_multiply_adds) == (plain, by_reference)


def test_the_network_is_left_as_it_is() -> None:
    network = pose_network("hrnetv2_w24_small").train()
    network_cost(network, (192, 256))
    assert network.training
    assert network.conv1.weight.device.type == "cpu"
    assert not any(layer._forward_hooks for layer in network.modules())
