# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch

from hrnet_pose_ros.training.targets import heatmap_loss, joint_losses, target_heatmaps

SIZE = (24, 32)  # heatmap width and height
NAN = math.nan


def one_target(
    x: float, y: float, *, sigma: float = 2.0, subpixel: bool = False, weight: float = 1.0
) -> tuple[torch.Tensor, float]:
    """The target of one joint at crop pixel (x, y), and its weight."""
    keypoints = torch.full((1, 17, 2), 40.0)
    keypoints[0, 3] = torch.tensor([x, y])
    weights = torch.ones(1, 17)
    weights[0, 3] = weight
    heatmaps, kept = target_heatmaps(keypoints, weights, SIZE, sigma, subpixel)
    assert heatmaps.shape == (1, 17, 32, 24)
    assert heatmaps.dtype == torch.float32
    return heatmaps[0, 3], float(kept[0, 3])


@pytest.mark.parametrize("subpixel", [False, True])
@pytest.mark.parametrize("sigma", [1.2, 2.0, 3.0])
@pytest.mark.parametrize("x, y", [(40.0, 60.0), (41.9, 66.1), (42.0, 62.0), (3.0, 125.0)])
def test_a_target_is_the_gaussian_of_its_definition(
    x: float, y: float, sigma: float, subpixel: bool
) -> None:
    target, weight = one_target(x, y, sigma=sigma, subpixel=subpixel)
    centre_x = x / 4 if subpixel else int(x / 4 + 0.5)
    centre_y = y / 4 if subpixel else int(y / 4 + 0.5)
    assert weight == 1
    for row in range(32):
        for column in range(24):
            dx, dy = column - centre_x, row - centre_y
            inside = max(abs(dx), abs(dy)) <= 3 * sigma + 1e-9
            expected = math.exp(-(dx**2 + dy**2) / (2 * sigma**2)) if inside else 0.0
            # float32: relative 1e-6; on the border of the cut either side is right.
            if abs(max(abs(dx), abs(dy)) - 3 * sigma) > 1e-4:
                assert target[row, column] == pytest.approx(expected, abs=2e-6)


def test_the_peak_of_a_rounded_target_is_one() -> None:
    target, _ = one_target(41.3, 58.2)
    assert target[15, 10] == 1.0  # int(58.2/4 + 0.5), int(41.3/4 + 0.5)
    assert int((target == 1).sum()) == 1


@pytest.mark.parametrize(
    "x, y, weight",
    [
        (-24.0, 60.0, 1.0),  # cell -6: its last cell, -6 + 6, is column 0
        (-30.0, 60.0, 0.0),  # cell -7: nothing of it is on the map
        (24 * 4 + 20.0, 60.0, 1.0),  # cell 29: 29 - 6 is column 23, the last
        (24 * 4 + 26.0, 60.0, 0.0),
        (40.0, 32 * 4 + 40.0, 0.0),
    ],
)
def test_a_joint_off_the_map_is_not_trained(x: float, y: float, weight: float) -> None:
    target, kept = one_target(x, y)
    assert kept == weight
    assert bool(target.any()) == (weight > 0)


def test_an_unlabelled_joint_has_no_loss_and_no_gradient() -> None:
    keypoints = torch.full((2, 17, 2), 40.0)
    keypoints[0, 5] = NAN  # an unlabelled place may hold anything
    weights = torch.ones(2, 17)
    weights[0, 5] = 0
    targets, kept = target_heatmaps(keypoints, weights, SIZE, 2.0, True)
    predicted = torch.rand(targets.shape, requires_grad=True)
    loss = heatmap_loss(joint_losses(predicted, targets, kept, 8.0))
    loss.backward()
    assert loss.isfinite()
    assert predicted.grad is not None
    assert not predicted.grad[0, 5].any()
    assert predicted.grad[0, 4].all()


def test_the_loss_is_half_the_mean_squared_error_averaged_over_joints() -> None:
    predicted, target = torch.rand(3, 17, 8, 6), torch.rand(3, 17, 8, 6)
    weights = (torch.rand(3, 17) > 0.4).float()
    # Reference: for each joint half the mean over persons and cells of weighted squares, then
    # the mean over the joints.
    expected = 0.0
    for joint in range(17):
        difference = weights[:, joint, None, None] * (predicted[:, joint] - target[:, joint])
        expected += 0.5 * float((difference**2).mean()) / 17
    loss = heatmap_loss(joint_losses(predicted, target, weights, 0.0))
    assert float(loss) == pytest.approx(expected, rel=1e-5)  # float32 sums


def test_the_peak_weight_counts_a_peak_so_many_times_more() -> None:
    target = torch.zeros(1, 17, 8, 6)
    target[:, :, 2, 3] = 1
    plain, weighted = (
        joint_losses(torch.zeros_like(target), target, torch.ones(1, 17), p) for p in (0.0, 8.0)
    )
    torch.testing.assert_close(weighted, 9 * plain)


def test_hard_key_point_mining_counts_the_worst_joints_of_each_person() -> None:
    losses = torch.tensor([[1.0, 5.0, 3.0, 0.0], [2.0, 0.0, 0.0, 8.0]])
    assert float(heatmap_loss(losses, 2)) == pytest.approx((5 + 3 + 2 + 8) / 4)
    assert float(heatmap_loss(losses)) == pytest.approx(19 / 8)


def test_joint_weights_count_a_joint_so_many_times() -> None:
    losses = torch.tensor([[1.0, 5.0, 3.0, 0.0], [2.0, 0.0, 0.0, 8.0]])
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0])
    assert float(heatmap_loss(losses, None, weights)) == pytest.approx((1 + 10 + 2 + 8) / 8)
    # The hardest joints are chosen by what counts.
    assert float(heatmap_loss(losses, 1, weights)) == pytest.approx((10 + 8) / 2)


def test_a_target_of_udp_lies_where_udp_decodes_it() -> None:
    """Cell c is crop pixel c·(W-1)/(w-1): the outermost pixels are the outermost cells."""
    pitch = (95 / 23, 127 / 31)
    keypoints = torch.full((1, 17, 2), 40.0)
    keypoints[0, :4] = torch.tensor([[0.0, 0.0], [95.0, 127.0], [47.5, 63.5], [33.3, 71.9]])
    heatmaps, weights = target_heatmaps(keypoints, torch.ones(1, 17), SIZE, 2.0, True, pitch)
    assert weights.all()
    assert heatmaps[0, 0, 0, 0] == 1
    assert heatmaps[0, 1, 31, 23] == pytest.approx(1)
    middle = heatmaps[0, 2]  # between cells 11 and 12, and 15 and 16
    torch.testing.assert_close(middle, middle.flip(0, 1))
    dx, dy = 8 - 33.3 / pitch[0], 18 - 71.9 / pitch[1]
    assert heatmaps[0, 3, 18, 8] == pytest.approx(math.exp(-(dx**2 + dy**2) / 8), abs=1e-6)
