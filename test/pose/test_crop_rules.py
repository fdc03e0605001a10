# SPDX-License-Identifier: Apache-2.0
"""Both crop rules from picture to key point: crop and decoding belong together, never mixed."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pose.boxes import CropRule, cell_pitch, crop_to_image, image_to_crop
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.pose.decoding import Method, poses_from_heatmaps

INPUT, HEATMAP = (192, 256), (48, 64)
WIDTH, HEIGHT = 320, 240
RULES = get_args(CropRule)


def picture(x: float, y: float, sigma: float) -> np.ndarray:
    """uint8 RGB: a bright spot about (x, y) of the picture, pixel centres at integers."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(np.rint(255 * spot).astype(np.uint8)[..., None], 3, axis=2)


def cells_of(crop: np.ndarray, rule: CropRule) -> np.ndarray:
    """What a perfect network makes of a crop with one spot: its value where each cell lies."""
    pitch = cell_pitch(INPUT, HEATMAP, rule)
    x, y = (np.arange(n, dtype=np.float32) * p for n, p in zip(HEATMAP, pitch, strict=True))
    places = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    heatmap = cv2.remap(crop[..., 0].astype(np.float32), *places, cv2.INTER_LINEAR) / 255
    return np.tile(heatmap, (1, 17, 1, 1))


def found(frame: np.ndarray, box: np.ndarray, rule: CropRule, method: Method) -> np.ndarray:
    """The spot's place in the picture, by crop and decoding of a rule."""
    transform = crop_to_image(box, INPUT, rule)
    heatmaps = cells_of(warp_crops(frame, transform, INPUT)[0], rule)
    poses = poses_from_heatmaps(heatmaps, transform, INPUT, method, 2, crop=rule)
    assert poses.valid.all()
    return poses.keypoints[0, 0].astype(np.float64)


@settings(deadline=None, max_examples=40)
@given(
    left=st.floats(40, 60),
    top=st.floats(20, 40),
    height=st.floats(140, 190),
    across=st.floats(0.3, 0.7),
    down=st.floats(0.3, 0.7),
    rule=st.sampled_from(RULES),
    method=st.sampled_from(["quarter", "dark"]),
)
def test_a_point_of_the_picture_comes_back(
    left: float,
    top: float,
    height: float,
    across: float,
    down: float,
    rule: CropRule,
    method: Method,
) -> None:
    box = np.array([[left, top, 0.7 * height, height]])
    point = np.array([left + across * 0.7 * height, top + down * height])
    cell = cell_pitch(INPUT, HEATMAP, rule)[0] * crop_to_image(box, INPUT, rule)[0, 0, 0]
    error = found(picture(*point, sigma=2 * cell), box, rule, method) - point
    # Quarter decoding knows a place to a quarter of a cell and a bit; DARK's limit is the picture's
    # 256 levels. Crop and decoding of different rules miss by an eighth of a cell.
    assert np.abs(error).max() <= (0.3 if method == "quarter" else 0.05) * cell


def test_mixed_rules_miss() -> None:
    box = np.array([[50.0, 30.0, 119.0, 170.0]])
    point = (113.0, 118.0)
    cell = 4 * crop_to_image(box, INPUT)[0, 0, 0]
    transform = crop_to_image(box, INPUT, "udp")
    heatmaps = cells_of(warp_crops(picture(*point, 2 * cell), transform, INPUT)[0], "udp")
    poses = poses_from_heatmaps(heatmaps, crop_to_image(box, INPUT), INPUT, "dark")
    assert np.abs(poses.keypoints[0, 0] - point).max() > 0.1 * cell


def mirrored(box: np.ndarray) -> np.ndarray:
    """The box in the mirrored picture: column x there is column WIDTH - 1 - x here."""
    centre = box[:, 0] + box[:, 2] / 2
    return np.stack([WIDTH - 1 - centre - box[:, 2] / 2, *box.T[1:]], axis=1)


@pytest.mark.parametrize("rule", RULES)
def test_the_crop_of_a_mirrored_picture(rule: CropRule) -> None:
    """The mirror image of the crop, exactly, by UDP's rule; a crop pixel beside it by the
    reference's."""
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    # Half a picture pixel for each of 191 steps: on the grid of 1/32 px, nothing is rounded.
    box = np.array([[60.0, 70.0, 191 / 2 / 1.25, 60.0]])
    box[:, 0] += 101.25 - (box[:, 0] + box[:, 2] / 2)
    (crop,) = warp_crops(frame, crop_to_image(box, INPUT, rule), INPUT)
    other = np.ascontiguousarray(frame[:, ::-1])
    (turned,) = warp_crops(other, crop_to_image(mirrored(box), INPUT, rule), INPUT)
    if rule == "udp":
        np.testing.assert_array_equal(turned[:, ::-1], crop)
    else:
        assert np.abs(turned[:, ::-1].astype(int) - crop).mean() > 10
        # W - x is the mirror image of x: column 0 has no partner.
        near = np.abs(turned[:, :0:-1].astype(int) - crop[:, 1:]) <= 8
        assert near.mean() > 0.9


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", ["quarter", "dark"])
@pytest.mark.parametrize("x", [90.0, 101.3, 120.7])
def test_points_of_a_mirrored_picture(rule: CropRule, method: Method, x: float) -> None:
    box = np.array([[60.0, 40.0, 80.0, 160.0]])
    cell = 4 * crop_to_image(box, INPUT)[0, 0, 0]
    frame = picture(x, 121.4, 2 * cell)
    plain = found(frame, box, rule, method)
    turned = found(np.ascontiguousarray(frame[:, ::-1]), mirrored(box), rule, method)
    beside = np.abs(plain - (WIDTH - 1 - turned[0], turned[1])).max()
    if rule == "udp":
        assert beside < 1e-2  # 1/32 px of the crop's sampling, and 256 levels
    else:
        # The reference's cells lie elsewhere in the mirrored picture; its key points stay right.
        assert beside < (0.5 if method == "quarter" else 0.05) * cell + 1e-3


def test_image_points_map_to_cells_by_the_authors_formula() -> None:
    """UDP: heatmap = (w-1) · (x - left) / padded width; the reference: w instead of w-1."""
    box = np.array([[100.0, 50.0, 60.0, 200.0]])
    left, width = 130 - 0.5 * 1.25 * 150, 1.25 * 150
    for rule, cells in (("udp", 47), ("reference", 48)):
        place = image_to_crop(box, INPUT, rule)[0] @ (141.3, 99, 1)
        x = place[0] / cell_pitch(INPUT, HEATMAP, rule)[0]
        assert x == pytest.approx(cells * (141.3 - left) / width)
