# SPDX-License-Identifier: Apache-2.0
"""Target heatmaps and losses, batched, on the device of the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CUT_SIGMAS = 3  # a target is zero further from its centre than this, on either axis (reference)


def target_heatmaps(
    keypoints: Tensor,
    weights: Tensor,
    heatmap_size: tuple[int, int],
    sigma: float,
    subpixel: bool,
    pitch: Sequence[float] = (4, 4),
) -> tuple[Tensor, Tensor]:
    """Gaussian targets and the weights of the joints that lie on the heatmap.

    Parameters
    ----------
    keypoints
        float ``[N, J, 2]``: x and y in crop pixels.
    weights
        float ``[N, J]``: 0 if a joint is not labelled.
    heatmap_size
        (width, height) in cells.
    sigma
        Standard deviation in cells.
    subpixel
        False: the centre is rounded to a cell, ``int(x / 4 + 0.5)`` (HRNet reference). True: it
        is not rounded (DARK, UDP).
    pitch
        Width and height of a cell in crop pixels, `hrnet_pose_ros.pose.boxes.cell_pitch`.

    Returns
    -------
    heatmaps float32 ``[N, J, h, w]``, 1 at a centre, cut at 3 sigma; and weights ``[N, J]``, 0
    also if no cell of a joint's target lies on the map. The target of a joint with weight 0 is all
    zeros and is not used by the loss.
    """
    width, height = heatmap_size
    centres = keypoints.float() / torch.tensor(
        list(pitch), dtype=torch.float32, device=keypoints.device
    )
    # The reference's int() truncates towards zero, which differs from floor only left of the map.
    cells = torch.trunc(centres + 0.5)
    reach = CUT_SIGMAS * sigma
    limits = torch.tensor([width, height], device=keypoints.device)
    on_map = ((cells + reach + 1 > 0) & (cells - reach < limits)).all(dim=-1)
    weights = weights.float() * on_map
    # Unlabelled coordinates may have any value, even NaN, and must not reach the targets.
    centres = torch.where(weights[..., None] > 0, centres if subpixel else cells, 0.0)
    x = _profile(centres[..., 0], width, sigma, reach)
    y = _profile(centres[..., 1], height, sigma, reach)
    return y[..., :, None] * (x * (weights > 0)[..., None])[..., None, :], weights


def _profile(centres: Tensor, cells: int, sigma: float, reach: float) -> Tensor:
    """``[..., cells]``: one axis of the Gaussian, which is separable."""
    distance = torch.arange(cells, device=centres.device) - centres[..., None]
    return torch.exp(-(distance**2) / (2 * sigma**2)) * (distance.abs() <= reach)


def joint_losses(predicted: Tensor, target: Tensor, weights: Tensor, peak_weight: float) -> Tensor:
    """Loss of every joint, float32 ``[N, J]``: half the mean squared error over its heatmap.

    ``peak_weight`` p multiplies the squared error by ``1 + p * target``; 0 is the reference. A
    joint of weight 0 has loss 0 and no gradient.
    """
    error = (predicted.float() - target) ** 2
    if peak_weight:
        error = error * (1 + peak_weight * target)
    return 0.5 * weights * error.mean(dim=(-2, -1))


def heatmap_loss(
    losses: Tensor, hardest: int | None = None, joint_weights: Tensor | None = None
) -> Tensor:
    """Mean over persons and joints of `joint_losses`; or, with OHKM, over the hardest joints of
    each person.

    ``hardest`` is the number of joints per person that are used (online hard keypoint mining);
    ``joint_weights`` float ``[J]`` are factors on the losses of the joints.
    """
    if joint_weights is not None:
        losses = losses * joint_weights
    if hardest is not None:
        losses = losses.topk(hardest, dim=1).values
    return losses.mean()
