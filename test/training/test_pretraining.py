# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hrnet_pose_ros.network.checkpoints import CheckpointError
from hrnet_pose_ros.network.pose_networks import pose_network
from hrnet_pose_ros.training.pretraining import load_pretraining

NETWORK = "hrnetv2_w24_small"


def classifier() -> dict[str, Tensor]:
    """The keys of a published HRNet classifier: more on top, all resolutions at the end."""
    torch.manual_seed(5)
    body = pose_network(NETWORK).state_dict().items()
    state = {k: v for k, v in body if not k.startswith(("final_layer.", "head."))}
    state["incre_modules.0.0.conv1.weight"] = torch.zeros(4, 16, 1, 1)
    state["downsamp_modules.0.0.weight"] = torch.zeros(4)
    state["final_layer.0.weight"] = torch.zeros(8, 4, 1, 1)
    state["classifier.weight"] = torch.zeros(1000, 8)
    return state


def test_a_classifiers_body_is_taken_over_and_the_head_stays(tmp_path: Path) -> None:
    state = classifier()
    torch.save({"state_dict": {f"backbone.{k}": v for k, v in state.items()}}, tmp_path / "c.pth")
    torch.manual_seed(6)
    network = pose_network(NETWORK)
    head = network.final_layer.weight.clone()
    before = network.conv1.weight.clone()
    taken = load_pretraining(network, tmp_path / "c.pth")
    assert taken == len(state) - 4
    assert not torch.equal(network.conv1.weight, before)
    for name, value in network.state_dict().items():
        if not name.startswith(("final_layer.", "head.")):
            assert torch.equal(value, state[name]), name
    assert torch.equal(network.final_layer.weight, head)


@pytest.mark.parametrize("change, message", [
    (lambda s: s.pop("stage2.0.branches.0.0.conv1.weight"),
     r"1 missing keys \(stage2\.0\.branches\.0\.0\.conv1\.weight\)"),
    (lambda s: s.update({"attention.weight": torch.zeros(1)}),
     r"1 unexpected keys \(attention\.weight\)"),
    (lambda s: s.update({"conv2.weight": torch.zeros(32, 64, 3, 3)}),
     r"conv2\.weight \(32, 64, 3, 3\) instead of \(64, 64, 3, 3\)"),
])  # fmt: skip
def test_weights_that_do_not_fit_are_named(change, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    state = classifier()
    change(state)
    torch.save(state, tmp_path / "c.pth")
    network = pose_network(NETWORK)
    before = network.conv1.weight.clone()
    with pytest.raises(CheckpointError, match=message):
        load_pretraining(network, tmp_path / "c.pth")
    assert torch.equal(network.conv1.weight, before)


def test_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(classifier(), tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match="must be a classifier of the same width"):
        load_pretraining(pose_network("hrnet_w32"), tmp_path / "c.pth")
