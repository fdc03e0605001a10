# SPDX-License-Identifier: Apache-2.0
"""The figures in models/zoo.yaml are those of the networks."""

from __future__ import annotations

import pytest
import torch

from hrnet_pose_ros.model_files.zoo import ZooEntry, read_zoo
from hrnet_pose_ros.network.cost import NetworkCost, network_cost
from hrnet_pose_ros.network.pose_networks import POSE_NETWORKS, pose_network

ENTRIES = list(read_zoo().values())
Measured = tuple[str, tuple[int, int], int]


def measured(entry: ZooEntry) -> Measured:
    """Network, input size and number of joints."""
    return entry.network, entry.input_size, entry.definition.joints


@pytest.fixture(scope="module")
def costs() -> dict[Measured, NetworkCost]:
    """Of each network at each input size and number of joints, once."""
    found = {}
    for network, size, joints in sorted({measured(entry) for entry in ENTRIES}):
        with torch.device("meta"):
            made = pose_network(network, joints)
        found[network, size, joints] = network_cost(made, size)
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_figures(entry: ZooEntry, costs: dict[Measured, NetworkCost]) -> None:
    assert entry.network in POSE_NETWORKS
    cost = costs[measured(entry)]
    assert entry.parameters == cost.parameters
    # Two decimals in the file.
    assert entry.paper_gflops == pytest.approx(cost.paper_gflops, abs=0.0051)
    assert entry.giga_multiply_adds == pytest.approx(cost.giga_multiply_adds, abs=0.0051)
