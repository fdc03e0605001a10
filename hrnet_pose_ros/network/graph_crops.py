# SPDX-License-Identifier: Apache-2.0
"""The persons' crops as part of a graph: what pose/crops.py does, in operations of ONNX.

``cv2.warpAffine``, which pose/crops.py uses, rounds each sample's place to 1/32 px and each value
to a whole level. So does the graph: with exact sampling 1.6 % of a compact HRNet's key points
would differ from the CPU's by half a cell, for nothing (the sign in the quarter offset flips on the
last digit). Where a place lies between two steps of 1/32 px the two may round it to different ones:
0.4 % of the values differ, by at most 1/32 px on either axis times the image's slope, and a level.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

# Steps a pixel in which cv2.warpAffine places its samples.
STEPS = 32.0


def sample_crops(image: Tensor, crop_to_image: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Cut one crop a transform out of a single image, black outside.

    The image is never copied for each person: all crops are one tall picture of N·height rows,
    sampled at once.

    Parameters
    ----------
    image
        uint8 ``[H, W, 3]``.
    crop_to_image
        float32 ``[N, 2, 3]`` from `hrnet_pose_ros.pose.boxes.crop_to_image`.
    input_size
        ``(width, height)`` of a crop in pixels.

    Returns
    -------
    float32 ``[N, 3, height, width]``, whole levels from 0 to 255.
    """
    width, height = input_size
    # TensorRT: an input in uint8 must feed a cast and nothing else. So the size, too, is taken
    # after it.
    planes = image.to(torch.float32).permute(2, 0, 1).unsqueeze(0)
    grid = sampling_grid(crop_to_image, planes.shape[3], planes.shape[2], input_size)
    tall = grid_sample(
        planes,
        grid.reshape(1, -1, width, 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    crops = tall.reshape(3, -1, height, width).permute(1, 0, 2, 3)
    return torch.floor(crops + 0.5)


def sampling_grid(
    crop_to_image: Tensor,
    image_width: Tensor | int,
    image_height: Tensor | int,
    input_size: tuple[int, int],
) -> Tensor:
    """Places in the image of all crops' pixels, as GridSample counts them.

    Returns float32 ``[N, height, width, 2]``; -1 and 1 are the outer edges of the first and last
    pixel (``align_corners=False``, which unlike the other convention bears images of one pixel).

    float32 bears it: a place in steps of 1/32 px is exact up to 2**19 px, and so is its distance
    from the image's middle; only the division rounds. At 7680 px a sample is then taken less
    than 1e-3 px beside its place (test_graph_crops.py).
    """
    width, height = input_size
    u = torch.arange(width, dtype=torch.float32).view(1, 1, width)
    v = torch.arange(height, dtype=torch.float32).view(1, height, 1)

    def axis(row: int, size: Tensor | int) -> Tensor:
        # Products and sums, no MatMul: TensorRT may compute that with 10 bits (TF32).
        across, down, shift = (crop_to_image[:, row, i].view(-1, 1, 1) for i in range(3))
        place = torch.floor((across * u + (down * v + shift)) * STEPS + 0.5) / STEPS
        return (place - (size - 1) * 0.5) / (size * 0.5)

    return torch.stack([axis(0, image_width), axis(1, image_height)], dim=-1)
