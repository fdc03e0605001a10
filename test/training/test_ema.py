# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import nn

from hrnet_pose_ros.training.ema import AveragedWeights


def normalisation(value: float) -> nn.BatchNorm1d:
    network = nn.BatchNorm1d(1)
    nn.init.constant_(network.weight, value)
    assert network.running_mean is not None
    network.running_mean.fill_(10 * value)
    return network


def test_the_average_forgets_its_beginning_and_then_decays() -> None:
    average = AveragedWeights(normalisation(0.0), 0.5)
    expected = 0.0
    for update, value in enumerate((1.0, 2.0, 4.0, 8.0), start=1):
        average.update(normalisation(value))
        past = min(0.5, (1 + update) / (10 + update))
        expected = past * expected + (1 - past) * value
        weights = average.network.state_dict()
        assert float(weights["weight"]) == pytest.approx(expected)
        assert float(weights["running_mean"]) == pytest.approx(10 * expected)
    assert average.updates == 4


def test_without_decay_it_is_the_network_and_counters_are_copied() -> None:
    network = normalisation(3.0)
    network(torch.tensor([[1.0], [2.0]]))
    average = AveragedWeights(normalisation(0.0), 0.0)
    average.update(network)
    for name, value in average.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert not average.network.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
