# SPDX-License-Identifier: Apache-2.0
"""Crops against a bilinear sampler that is written out per pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.crops import MAX_FRAME_SIDE, warp_crops

SIZE = (24, 32)
BOXES = np.array(
    [
        [20, 10, 30, 50],  # inside
        [-20, -15, 50, 60],  # over the upper left corner
        [75, 40, 60, 60],  # over the lower right corner
        [-60, -60, 300, 300],  # the whole frame and more
        [40.3, 30.7, 1.5, 2.5],  # a few pixels, enlarged
        [500, 500, 30, 60],  # wholly outside
    ]
)


def smooth_frame(height: int = 72, width: int = 96) -> np.ndarray:
    """A frame whose neighbours differ by at most 12 levels."""
    y, x = np.mgrid[:height, :width]
    waves = [x / 11 + y / 17, x / 13 - y / 12, y / 10 + 1]
    return np.stack([127 + 110 * np.sin(wave) for wave in waves], axis=-1).astype(np.uint8)


def bilinear(frame: np.ndarray, transform: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The reference: each crop pixel by itself, black outside the frame."""
    width, height = size
    crop = np.zeros((height, width, 3))
    for v in range(height):
        for u in range(width):
            x, y = transform @ (u, v, 1)
            x0, y0 = math.floor(x), math.floor(y)
            for j, wy in ((y0, y0 + 1 - y), (y0 + 1, y - y0)):
                for i, wx in ((x0, x0 + 1 - x), (x0 + 1, x - x0)):
                    if 0 <= i < frame.shape[1] and 0 <= j < frame.shape[0]:
                        crop[v, u] += wx * wy * frame[j, i]
    return crop


@pytest.mark.parametrize("index", range(len(BOXES)))
def test_crop_is_bilinear_and_black_outside(index: int) -> None:
    frame = smooth_frame()
    transforms = crop_to_image(BOXES[index : index + 1], SIZE)
    (crop,) = warp_crops(frame, transforms, SIZE)
    expected = bilinear(frame, transforms[0], SIZE)
    # OpenCV's samples lie on a grid of 1/32 px, so off by 1/64 px on either axis; the step from
    # the frame to black is the largest there is, at most 255 a pixel. And 0.5 for rounding.
    tolerance = 2 * 255 / 64 + 0.5
    assert np.abs(crop - expected).max() <= tolerance
    interior = (expected > 0).all(axis=-1) & (bilinear(frame * 0 + 1, transforms[0], SIZE) > 0.999)[
        ..., 0
    ]
    # Inside the frame neighbours differ by at most 12 levels.
    assert np.abs(crop - expected)[interior].max(initial=0) <= 2 * 12 / 64 + 0.6


def test_far_boxes_are_black_not_wrapped_round() -> None:
    # The largest boxes that boxes.py lets pass; an int32 of 1/1024 px does not overflow yet.
    boxes = np.array([[1e5, 1e5, 1e5, 1e5], [-1e5, -1e5, 5, 5], [-1e5, 0, 5e4, 1e5]])
    frame = np.full((72, 96, 3), 255, np.uint8)
    assert warp_crops(frame, crop_to_image(boxes, SIZE), SIZE).max() == 0


def test_largest_box_about_the_frame_shows_it_in_the_middle_only() -> None:
    frame = np.full((8000, 8000, 3), 255, np.uint8)
    boxes = np.array([[4000 - 5e4, 4000 - 5e4, 1e5, 1e5]])
    (crop,) = warp_crops(frame, crop_to_image(boxes, (192, 256)), (192, 256))
    seen = np.argwhere(crop[..., 0] > 0)
    # 8000 px of the image are 12.3 px of a crop that shows 125000 px in 192.
    assert np.abs(seen - (128, 96)).max() <= 7
    assert len(seen) >= 11**2


@pytest.mark.parametrize(
    "view",
    [
        lambda f: f,
        lambda f: np.pad(f, ((0, 0), (0, 7), (0, 0)))[:, :-7],  # padded rows
        lambda f: np.repeat(f, 2, axis=0)[::2],  # every other row
        lambda f: np.repeat(f, 2, axis=1)[:, ::2],  # every other column
        lambda f: f[::-1].copy()[::-1],  # bottom row first
        lambda f: f[:, :, ::-1].copy()[:, :, ::-1],  # channels reversed
        lambda f: np.concatenate([f, f], axis=2)[:, :, :3],  # more channels than three
        lambda f: np.asfortranarray(f),
        lambda f: np.frombuffer(f.tobytes(), np.uint8).reshape(f.shape),  # read-only
    ],
)
def test_memory_layout_does_not_matter(view) -> None:
    frame = smooth_frame()
    transforms = crop_to_image(BOXES, SIZE)
    same = view(frame)
    np.testing.assert_array_equal(same, frame)
    np.testing.assert_array_equal(
        warp_crops(same, transforms, SIZE), warp_crops(frame, transforms, SIZE)
    )


def test_frame_is_not_written() -> None:
    frame = smooth_frame()
    before = frame.copy()
    warp_crops(frame, crop_to_image(BOXES, SIZE), SIZE)
    np.testing.assert_array_equal(frame, before)


def test_mirrored_frame_gives_the_mirrored_crop() -> None:
    # The crop's middle W/2 lies half a pixel right of its mirror axis (W-1)/2: the mirrored box
    # is shifted by one crop pixel so that both sample the same places.
    frame = smooth_frame()
    box = np.array([[20.0, 10.0, 30.0, 50.0]])
    transform = crop_to_image(box, SIZE)
    mirrored = transform.copy()
    mirrored[0, 0, 2] = frame.shape[1] - 1 - transform[0, 0, :] @ (SIZE[0] - 1, 0, 1)
    crop = warp_crops(frame, transform, SIZE)[0].astype(int)
    other = warp_crops(np.ascontiguousarray(frame[:, ::-1]), mirrored, SIZE)[0].astype(int)
    # Twice the grid's 1/64 px at 12 levels a pixel, and rounding.
    assert np.abs(crop - other[:, ::-1]).max() <= 2


def test_no_persons() -> None:
    crops = warp_crops(smooth_frame(), np.zeros((0, 2, 3)), SIZE)
    assert crops.shape == (0, 32, 24, 3)
    assert crops.dtype == np.uint8


@pytest.mark.parametrize(
    ("frame", "transforms", "message"),
    [
        (np.zeros((5, 5), np.uint8), np.zeros((1, 2, 3)), r"frame .*\(5, 5\)"),
        (np.zeros((5, 5, 4), np.uint8), np.zeros((1, 2, 3)), r"frame .*\(5, 5, 4\)"),
        (np.zeros((5, 5, 3), np.float32), np.zeros((1, 2, 3)), "frame .*float32"),
        (np.zeros((0, 5, 3), np.uint8), np.zeros((1, 2, 3)), "frame sides"),
        (np.zeros((1, MAX_FRAME_SIDE + 1, 3), np.uint8), np.zeros((0, 2, 3)), "frame sides.*warp"),
        (np.zeros((5, 5, 3), np.uint8), np.zeros((2, 3)), r"crop_to_image .*\(2, 3\)"),
        (np.zeros((5, 5, 3), np.uint8), np.full((1, 2, 3), np.nan), "finite"),
    ],
)
def test_wrong_arguments_are_named(frame, transforms, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        warp_crops(frame, transforms, SIZE)


def test_longest_frame_that_opencv_takes() -> None:
    frame = np.full((4, MAX_FRAME_SIDE, 3), 200, np.uint8)
    boxes = np.array([[MAX_FRAME_SIDE - 3.0, 0.0, 2.0, 2.0]])
    crops = warp_crops(frame, crop_to_image(boxes, SIZE), SIZE)
    assert crops[0, 16, 12, 0] == 200
