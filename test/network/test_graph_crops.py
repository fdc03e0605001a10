# SPDX-License-Identifier: Apache-2.0
"""Crops in the graph against ``cv2.warpAffine`` and against exact arithmetic."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from hrnet_pose_ros.network.graph_crops import sample_crops, sampling_grid
from hrnet_pose_ros.pose.boxes import CropRule, crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops

SIZE = (96, 128)
BOXES = np.array(
    [
        [20, 10, 30, 50],  # inside
        [-20, -15, 50, 60],  # over the upper left corner
        [75, 40, 60, 60],  # over the lower right corner
        [-60, -60, 300, 300],  # the whole frame and more
        [40.3, 30.7, 1.5, 2.5],  # a few pixels, enlarged
        [500, 500, 30, 60],  # wholly outside
        [1e5, 1e5, 1e5, 1e5],  # as far as boxes.py lets pass
        [-5e4 + 48, -5e4 + 36, 1e5, 1e5],  # the largest one, about the frame
    ]
)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """Neighbours differ by at most 12 levels."""
    y, x = np.mgrid[:height, :width]
    waves = [x / 11 + y / 17, x / 13 - y / 12, y / 10 + 1]
    return np.stack([127 + 110 * np.sin(wave) for wave in waves], axis=-1).astype(np.uint8)


def in_graph(image: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Crops ``[N, H, W, 3]``."""
    sampled = sample_crops(
        torch.from_numpy(image), torch.from_numpy(transforms.astype(np.float32)), SIZE
    )
    return sampled.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("crop", get_args(CropRule))
@pytest.mark.parametrize("index", range(len(BOXES)))
def test_crops_are_those_of_warp_affine(index: int, crop: CropRule) -> None:
    image = smooth(72, 96)
    transforms = crop_to_image(BOXES[index : index + 1], SIZE, crop)
    crops, expected = in_graph(image, transforms), warp_crops(image, transforms, SIZE)
    # A place that float32 and OpenCV's integers round to different steps of 1/32 px: at the
    # frame's edge the step to black is 255 levels a pixel, on both axes, and a level of rounding.
    assert np.abs(crops - expected).max() <= 2 * 255 / 32 + 1
    # Elsewhere none of it is seen but the rounding of a few values.
    assert (np.abs(crops - expected) <= 1).mean() > 0.999
    assert (crops == expected).mean() > 0.98


def test_all_persons_at_once_as_one_by_one() -> None:
    image, transforms = noise(72, 96), crop_to_image(BOXES, SIZE)
    together = in_graph(image, transforms)
    for index in range(len(BOXES)):
        alone = in_graph(image, transforms[index : index + 1])
        np.testing.assert_array_equal(alone[0], together[index])


@pytest.mark.parametrize("image_size", [(1, 1), (1, 40), (50, 1)])
def test_images_of_one_pixel(image_size: tuple[int, int]) -> None:
    image = np.full((*image_size, 3), 200, np.uint8)
    transforms = crop_to_image(np.array([[-0.5, -0.5, 2.0, 2.0]]), SIZE)
    expected = warp_crops(image, transforms, SIZE)
    assert expected.max() == 200
    assert np.abs(in_graph(image, transforms) - expected).max() <= 2 * 255 / 32 + 1


def test_a_turned_crop() -> None:
    """Transforms of other makers may turn: row and column are not mixed up."""
    image = smooth(72, 96)
    transforms = np.array([[[0.3, -0.4, 40.0], [0.4, 0.3, 10.0]]])
    expected = warp_crops(image, transforms, SIZE)
    crops = in_graph(image, transforms)
    assert (np.abs(crops - expected) <= 1).mean() > 0.99


@pytest.mark.parametrize("width", [1280, 7680, 32766])
def test_where_samples_lie_in_wide_images(width: int) -> None:
    """float32 places: what GridSample makes of the grid, computed exactly, against the place."""
    boxes = np.array([[width - 300.0, 50, 200, 400], [10, 10, 60, 90], [width / 2, 5, 31, 77]])
    transforms = crop_to_image(boxes, SIZE)
    grid = sampling_grid(torch.from_numpy(transforms.astype(np.float32)), width, 4320, SIZE)
    seen = ((grid[..., 0].double().numpy() + 1) * width - 1) / 2
    place = transforms[:, 0, 0, None] * np.arange(SIZE[0]) + transforms[:, 0, 2, None]
    # Half a step of 1/32 px, the transform's own float32 (half a unit in the last place of its
    # shift and of the sum), and half a unit in the last place of a grid of 1, times half the width.
    rounding = 1 / 64 + np.spacing(np.float32(width)) + width / 2 * 2**-24
    assert np.abs(seen - place[:, None]).max() <= rounding
    # Beside the steps that OpenCV has as well, less than 1e-3 px at 8K.
    steps = np.floor(seen * 32 + 0.5) / 32
    assert np.abs(seen - steps).max() <= width / 2 * 2**-24 + 1e-9
