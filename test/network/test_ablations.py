# SPDX-License-Identifier: Apache-2.0
"""The paper's ablations (section 4.3): fewer exchange units, heatmaps of another resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.network.export import export_onnx
from hrnet_pose_ros.network.hrnet import CONFIGURATIONS, Exchange, ExchangeModule, HRNet
from hrnet_pose_ros.network.pose_networks import check_stride

W32 = (32, 64, 128, 256)


def on_meta(name: str) -> HRNet:
    with torch.device("meta"):
        return HRNet(CONFIGURATIONS[name]).eval()


def parameters(name: str) -> int:
    return sum(p.numel() for p in on_meta(name).parameters())


def exchange_unit(widths: Sequence[int], targets: Sequence[int]) -> int:
    """Parameters of an exchange unit, counted from the paper's description."""
    total = 0
    for target in targets:
        for source, width in enumerate(widths):
            if source > target:  # 1x1 convolution, normalised
                total += width * widths[target] + 2 * widths[target]
            elif source < target:  # stride-2 3x3 convolutions, each normalised; the last one widens
                total += (target - source - 1) * (9 * width * width + 2 * width)
                total += 9 * width * widths[target] + 2 * widths[target]
    return total


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("hrnet_w32_final_exchange", 1),
        ("hrnet_w32_across_stages", 3),
        ("hrnet_w32", 8),
    ],
)
def test_number_of_exchange_units(name: str, units: int) -> None:
    network = on_meta(name)
    modules = [m for m in network.modules() if isinstance(m, ExchangeModule)]
    assert len(modules) == 8
    assert sum(module.exchanges for module in modules) == units
    assert modules[-1].exchanges
    assert network(torch.empty(2, 3, 256, 192, device="meta")).shape == (2, 17, 64, 48)


def test_parameters_that_fewer_exchange_units_save() -> None:
    stage2 = exchange_unit(W32[:2], range(2))
    stage3 = exchange_unit(W32[:3], range(3))
    stage4 = exchange_unit(W32, range(4))
    assert (
        parameters("hrnet_w32") - parameters("hrnet_w32_across_stages") == 3 * stage3 + 2 * stage4
    )
    across = parameters("hrnet_w32_across_stages")
    assert across - parameters("hrnet_w32_final_exchange") == stage2 + stage3


@pytest.mark.parametrize(
    ("name", "branch", "stride"),
    [("hrnet_w32", 0, 4), ("hrnet_w32_stride_8", 1, 8), ("hrnet_w32_stride_16", 2, 16)],
)
def test_heatmaps_of_a_branch(name: str, branch: int, stride: int) -> None:
    network = on_meta(name)
    assert network.configuration.stride == stride
    for height, width in ((256, 192), (384, 288)):
        heatmaps = network(torch.empty(1, 3, height, width, device="meta"))
        assert heatmaps.shape == (1, 17, height // stride, width // stride)
    last = exchange_unit(W32, [branch]) + 17 * W32[branch]
    assert parameters(name) - parameters("hrnet_w32") == last - exchange_unit(W32, [0]) - 17 * 32


@pytest.mark.parametrize(("targets", "exchanged"), [(None, False), (range(2), True)])
def test_branches_without_an_exchange_unit_know_nothing_of_each_other(
    targets: Sequence[int] | None, exchanged: bool
) -> None:
    torch.manual_seed(0)
    module = ExchangeModule((4, 8), blocks=1, targets=targets).eval()
    high, low = torch.randn(1, 4, 8, 8), torch.randn(1, 8, 4, 4)
    with torch.inference_mode():
        (before, _), (after, _) = module([high, low]), module([high, low + 1])
    assert torch.equal(before, after) is not exchanged


@pytest.mark.parametrize(
    ("exchange", "heatmap_branch"),
    [("final", 0), ("across_stages", 0), ("within_stages", 1), ("within_stages", 2)],
)
def test_every_parameter_is_used(exchange: Exchange, heatmap_branch: int) -> None:
    small = replace(CONFIGURATIONS["hrnetv2_w24_small"], head_width=0)
    network = HRNet(replace(small, exchange=exchange, heatmap_branch=heatmap_branch))
    network(torch.randn(2, 3, 64, 64)).sum().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []


def test_other_strides_are_refused_where_heatmaps_are_decoded() -> None:
    check_stride(on_meta("hrnet_w32_final_exchange"))
    with pytest.raises(ModelError, match=r"hrnet_w32_stride_8 gives heatmaps of 1/8.*decode"):
        check_stride(on_meta("hrnet_w32_stride_8"))


def test_ablations_of_other_strides_are_refused(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = HRNet(CONFIGURATIONS["hrnet_w32_stride_8"]).state_dict()
    path = tmp_path / "a.pth"
    torch.save({key: torch.zeros(()).expand(value.shape) for key, value in shapes.items()}, path)
    with pytest.raises(ModelError, match="hrnet_w32_stride_8 gives heatmaps of 1/8 of the crop"):
        export_onnx(path, tmp_path / "a.onnx", crops=load_check_crops()[:1])
    assert list(tmp_path.iterdir()) == [path]
