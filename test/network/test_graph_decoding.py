# SPDX-License-Identifier: Apache-2.0
"""Decoding in the graph against pose/decoding.py on the same heatmaps."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch

from hrnet_pose_ros.network.graph_decoding import HeatmapDecoder
from hrnet_pose_ros.pose.boxes import CropRule, crop_to_image
from hrnet_pose_ros.pose.decoding import poses_from_heatmaps

W, H = 48, 64
METHODS = ["quarter", "dark"]
BOXES = np.array([[100, 50, 60, 200], [-30, 300.5, 300, 200], [5, 5, 2, 3], [7000, 4000, 90, 200]])


def gaussian(x: float, y: float, sigma: float = 2.0) -> np.ndarray:
    rows, columns = np.mgrid[:H, :W]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


def realistic(seed: int, n: int) -> np.ndarray:
    """Peaks anywhere, also at the borders, with second peaks, noise and values below 0."""
    rng = np.random.default_rng(seed)
    maps = np.empty((n * 17, H, W))
    for heatmap in maps:
        first, second = rng.uniform((0, 0), (W - 1, H - 1), (2, 2))
        heatmap[:] = gaussian(*first) + rng.uniform(0, 0.9) * gaussian(*second) - 0.01
        heatmap += rng.choice([0.002, 0.02]) * rng.normal(0, 1, (H, W))
    return maps.reshape(n, 17, H, W).astype(np.float32)


def compare(
    heatmaps: np.ndarray,
    method: str,
    sigma: float = 2,
    boxes: np.ndarray = BOXES,
    crop: CropRule = "reference",
) -> None:
    """Key points within 1e-3 cell (the design's bound for the same heatmap), the rest by its
    float32 rounding."""
    n, _, h, w = heatmaps.shape
    size = (4 * w, 4 * h)
    transforms = crop_to_image(boxes[:n], size, crop)
    expected = poses_from_heatmaps(heatmaps, transforms, size, method, sigma, crop=crop)
    decoder = HeatmapDecoder((w, h), method, sigma, crop)
    with torch.inference_mode():
        decoded = decoder(
            torch.from_numpy(heatmaps), torch.from_numpy(transforms.astype(np.float32))
        )
    keypoints, scores, covariances = (part.numpy() for part in decoded)
    np.testing.assert_array_equal(scores > 0, expected.valid)
    np.testing.assert_array_equal(scores, expected.scores)
    assert np.isfinite(keypoints).all()
    assert np.isfinite(covariances).all()
    assert not keypoints[~expected.valid].any()
    assert not covariances[~expected.valid].any()

    cells = np.broadcast_to(4 * transforms[:, 0, 0, None, None], keypoints.shape)
    # Two roundings of float32 at the coordinate's size: the box's shift and the sum.
    bound = 1e-3 * cells + 2 * np.spacing(np.abs(expected.keypoints))
    assert (np.abs(keypoints - expected.keypoints) <= bound)[expected.valid].all()
    spread = expected.covariances.reshape(n, 17, 4)[..., [0, 1, 3]]
    largest = np.abs(spread).max(axis=-1, keepdims=True)
    # Covariances are taken about the point: 1e-3 cell beside it, in maps tens of cells wide.
    assert (np.abs(covariances - spread) <= 1e-3 * largest)[expected.valid].all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sigma", [2, 3])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("crop", get_args(CropRule))
def test_same_heatmaps_same_points(method: str, sigma: float, seed: int, crop: CropRule) -> None:
    compare(realistic(seed, 4), method, sigma, crop=crop)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e4, 1e30])
@pytest.mark.parametrize("crop", get_args(CropRule))
def test_very_small_and_very_large_maps(method: str, scale: float, crop: CropRule) -> None:
    compare(realistic(3, 2) * np.float32(scale), method, crop=crop)


PLACES = [(x, y) for x in (0, 1, 2, 3, 20, W - 3, W - 2, W - 1) for y in (0, 1, 2, H - 2, H - 1)]


@pytest.mark.parametrize("method", METHODS)
def test_peaks_at_borders(method: str) -> None:
    maps = np.stack([gaussian(x + 0.2, y + 0.2) for x, y in PLACES])
    maps = maps[np.arange(3 * 17) % len(PLACES)]
    compare(maps.reshape(3, 17, H, W).astype(np.float32), method)


def special(kind: str) -> np.ndarray:
    heatmap = np.zeros((H, W))
    if kind == "plateau":  # the first of the equal cells counts
        heatmap[30:33, 20:24] = 0.7
    elif kind == "constant":
        heatmap[:] = 0.5
    elif kind == "two equal peaks":
        heatmap = np.maximum(gaussian(12, 40), gaussian(35, 20))
    elif kind == "negative":
        heatmap = gaussian(20, 30) - 2
    elif kind == "below zero beside the peak":
        heatmap = gaussian(20, 30) - 0.5
    elif kind == "saddle":  # DARK must not step
        heatmap = gaussian(16, 30) + gaussian(26, 30)
        heatmap[31, 21] = 1.5
    elif kind == "slope":  # DARK's step would be too long
        heatmap = gaussian(22, 34, 3)
        heatmap[30, 20] = 1.5
    elif kind == "one cell":
        heatmap[30, 20] = 1
    elif kind == "corner":
        heatmap[0, 0] = 1e-30
    return heatmap


KINDS = ["plateau", "constant", "two equal peaks", "negative", "below zero beside the peak"]
KINDS += ["zero", "saddle", "slope", "one cell", "corner"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_special_maps(method: str, kind: str) -> None:
    heatmaps = realistic(5, 1)
    heatmaps[0, 4] = special(kind)
    compare(heatmaps, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [(5, 5), (30, 20)])
def test_a_map_that_is_not_finite_is_not_valid(method: str, value: float, place) -> None:
    heatmaps = np.tile(gaussian(20, 30), (1, 17, 1, 1)).astype(np.float32)
    heatmaps[0, 3][place] = value
    compare(heatmaps, method)


def test_a_transform_with_a_turn() -> None:
    heatmaps = realistic(6, 1)
    transforms = np.array([[[0.3, -2, 7], [2, 0.4, 11]]])
    expected = poses_from_heatmaps(heatmaps, transforms, (4 * W, 4 * H), "quarter")
    points, _, covariances = HeatmapDecoder((W, H), "quarter", 2)(
        torch.from_numpy(heatmaps), torch.from_numpy(transforms.astype(np.float32))
    )
    np.testing.assert_allclose(points.numpy(), expected.keypoints, atol=1e-3)
    spread = expected.covariances.reshape(1, 17, 4)[..., [0, 1, 3]]
    np.testing.assert_allclose(covariances.numpy(), spread, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("size", [(72, 96), (8, 8)])
@pytest.mark.parametrize("method", METHODS)
def test_other_sizes(method: str, size: tuple[int, int]) -> None:
    maps = np.random.default_rng(1).normal(0, 1, (2, 17, size[1], size[0])).astype(np.float32)
    compare(maps, method, 3)
