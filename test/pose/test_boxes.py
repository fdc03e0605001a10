# SPDX-License-Identifier: Apache-2.0
"""Boxes: which are usable, where their crop lies, and how other kinds of boxes are mapped."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pose.boxes import (
    MAX_PX,
    MIN_SIDE_PX,
    CropRule,
    boxes_from_detector_size,
    cell_pitch,
    crop_middle,
    crop_to_image,
    image_to_crop,
    iou,
    rotated_box_bounds,
    usable_boxes,
)

IMAGE = (1280, 720)
SIZES = [(192, 256), (288, 384), (256, 256)]


def apply(transforms: np.ndarray, points: np.ndarray) -> np.ndarray:
    """One transform ``[N, 2, 3]`` for each group of points ``[N, K, 2]``."""
    return points @ transforms[:, :, :2].swapaxes(1, 2) + transforms[:, None, :, 2]


@pytest.mark.parametrize(
    ("box", "usable"),
    [
        ((100, 100, 50, 150), True),
        ((-20, -30, 50, 60), True),  # partly outside
        ((-500, -500, 5000, 5000), True),  # larger than the image
        ((1279.5, 719.5, 50, 60), True),  # its last half pixel
        ((10, 10, MIN_SIDE_PX, MIN_SIDE_PX), True),
        ((-MAX_PX, -MAX_PX, MAX_PX, MAX_PX), False),  # within the limits, but only touches
        ((1 - MAX_PX, 1 - MAX_PX, MAX_PX, MAX_PX), True),
        ((-50, 10, 50, 60), False),  # ends where the image begins
        ((1280, 10, 50, 60), False),
        ((10, 720, 50, 60), False),
        ((10, -60, 50, 60), False),
        ((10, 10, 0, 60), False),
        ((10, 10, 50, -60), False),
        ((60, 60, -50, -50), False),  # corners exchanged
        ((0.1, 0.2, 0.3, 0.4), False),  # normalised coordinates
        ((10, 10, math.nan, 60), False),
        ((math.nan, 10, 50, 60), False),
        ((10, math.inf, 50, 60), False),
        ((-math.inf, 10, math.inf, 60), False),
        ((0, 0, 1.1 * MAX_PX, 60), False),
        ((-1e308, -1e308, 1e308, 1e308), False),
        ((-1.7e308, 0, 1.7e308, 5), False),
    ],
)
def test_usable_boxes(box: tuple[float, ...], usable: bool) -> None:
    others = np.array([[10, 10, 20, 20], box, [10, 10, -1, 20]], np.float64)
    assert usable_boxes(others, IMAGE).tolist() == [True, usable, False]


def test_boxes_that_are_usable_in_float64_have_a_crop_in_float32() -> None:
    boxes = np.array([[0, 0, 1 + 1e-12, 1 + 1e-12], [0, 0, MAX_PX - 1e-9, MAX_PX - 1e-9]])
    assert usable_boxes(boxes, IMAGE).all()
    assert np.isfinite(crop_to_image(boxes.astype(np.float32), (192, 256))).all()


def test_no_boxes() -> None:
    none = np.zeros((0, 4), np.float32)
    assert usable_boxes(none, IMAGE).shape == (0,)
    assert crop_to_image(none, (192, 256)).shape == (0, 2, 3)
    assert image_to_crop(none, (192, 256)).shape == (0, 2, 3)
    assert boxes_from_detector_size(none, (640, 640), IMAGE, True).shape == (0, 4)
    assert rotated_box_bounds(np.zeros((0, 5))).shape == (0, 4)


@pytest.mark.parametrize(
    ("box", "k", "centre"),
    [
        ((100, 100, 60, 200), 192 / (0.75 * 200 * 1.25), (130, 200)),  # tall: height decides
        ((100, 100, 300, 200), 192 / (300 * 1.25), (250, 200)),  # wide: width decides
        ((100, 100, 150, 200), 192 / (150 * 1.25), (175, 200)),  # exactly the input's aspect
        ((-40, -60, 60, 200), 192 / (0.75 * 200 * 1.25), (-10, 40)),  # not clipped
    ],
)
def test_crop_rule_of_the_reference(
    box: tuple[float, ...], k: float, centre: tuple[float, float]
) -> None:
    (transform,) = image_to_crop(np.array([box]), (192, 256))
    cx, cy = centre
    expected = [[k, 0, 96 - k * cx], [0, k, 128 - k * cy]]
    np.testing.assert_allclose(transform, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("size", [(192, 256), (288, 384), (64, 32)])
@pytest.mark.parametrize("box", [(100, 100, 60, 200), (100, 100, 300, 200), (-40.5, -60, 60, 7)])
def test_crop_rule_of_udp(box: tuple[float, ...], size: tuple[int, int]) -> None:
    """The sides of the padded box are the centres of the outermost pixels, 0 and W-1."""
    x, y, w, h = box
    width = 1.25 * max(w, h * size[0] / size[1])
    sides = np.array([width, width * size[1] / size[0]])
    centre = np.array([x + w / 2, y + h / 2])
    (transform,) = crop_to_image(np.array([box]), size, "udp")
    last = np.array(size) - 1
    np.testing.assert_allclose(transform @ (0, 0, 1), centre - sides / 2, atol=1e-9)
    np.testing.assert_allclose(transform @ (*last, 1), centre + sides / 2, atol=1e-9)
    np.testing.assert_allclose(transform @ (*crop_middle(size, "udp"), 1), centre, atol=1e-9)
    # Its two scales and shifts as UDP's authors write them, without rotation.
    scale_x, scale_y = last / sides
    expected = [
        [scale_x, 0, scale_x * (-centre[0] + sides[0] / 2)],
        [0, scale_y, scale_y * (-centre[1] + sides[1] / 2)],
    ]
    (there,) = image_to_crop(np.array([box]), size, "udp")
    np.testing.assert_allclose(there, expected, rtol=1e-12, atol=1e-9)


def test_pitch_of_a_cell() -> None:
    assert cell_pitch((192, 256), (48, 64)).tolist() == [4, 4]
    assert cell_pitch((192, 256), (24, 32)).tolist() == [8, 8]
    assert cell_pitch((192, 256), (48, 64), "udp").tolist() == [191 / 47, 255 / 63]


@pytest.mark.parametrize("size", SIZES)
def test_centre_of_the_box_is_the_middle_of_the_crop(size: tuple[int, int]) -> None:
    boxes = np.array([[10, 20, 30, 90], [-70, 500.5, 400, 90]], np.float32)
    middle = np.broadcast_to(np.array(size) / 2, (2, 1, 2))
    centres = apply(crop_to_image(boxes, size), middle)[:, 0]
    np.testing.assert_allclose(centres, boxes[:, :2] + boxes[:, 2:] / 2, atol=1e-9)


coordinate = st.floats(-MAX_PX, MAX_PX, allow_nan=False)
side = st.floats(MIN_SIDE_PX, MAX_PX)


@settings(deadline=None, max_examples=200)
@given(
    boxes=st.lists(st.tuples(coordinate, coordinate, side, side), min_size=1, max_size=4),
    points=st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=4),
    size=st.sampled_from(SIZES),
    crop=st.sampled_from(get_args(CropRule)),
)
def test_image_to_crop_and_back_is_identity(
    boxes: list[tuple[float, ...]],
    points: list[tuple[float, float]],
    size: tuple[int, int],
    crop: CropRule,
) -> None:
    array = np.array(boxes)
    there, back = image_to_crop(array, size, crop), crop_to_image(array, size, crop)
    pixels = np.broadcast_to(np.array(points), (len(array), len(points), 2))
    # 1e-3 px: far below what a key point resolves, far above float64's rounding at 1e5 px.
    np.testing.assert_allclose(apply(back, apply(there, pixels)), pixels, rtol=0, atol=1e-3)


@settings(deadline=None, max_examples=100)
@given(
    box=st.tuples(coordinate, coordinate, side, side),
    size=st.sampled_from(SIZES),
)
def test_crop_holds_the_padded_box(box: tuple[float, ...], size: tuple[int, int]) -> None:
    boxes = np.array([box])
    corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    inside = apply(image_to_crop(boxes, size), corners)
    middle = np.array(size) / 2
    reach = np.abs(inside - middle) / (middle / 1.25)
    # One axis fills the crop but for the padding, the other does not exceed it.
    assert reach.max() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "bad",
    [
        (10, 10, 0, 20),
        (10, 10, 20, -3),
        (math.nan, 10, 20, 20),
        (10, 10, math.inf, 20),
        (10, 2 * MAX_PX, 20, 20),
    ],
)
@pytest.mark.parametrize("function", [crop_to_image, image_to_crop])
def test_a_box_without_a_crop_is_named(function, bad: tuple[float, ...]) -> None:
    boxes = np.array([[10, 10, 20, 20], [1, 2, 3, 4], bad], np.float64)
    with pytest.raises(ValueError, match=r"box 2 .*usable_boxes") as error:
        function(boxes, (192, 256))
    assert str(boxes[2].tolist()) in str(error.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: usable_boxes(np.zeros((3, 5)), IMAGE), r"\(N, 4\).*\(3, 5\)"),
        (lambda: usable_boxes(np.zeros(4), IMAGE), r"\(N, 4\).*\(4,\)"),
        (lambda: usable_boxes(np.zeros((0, 4)), (0, 720)), "image_size"),
        (lambda: usable_boxes(np.zeros((0, 4)), (1, 2, 3)), "image_size"),
        (lambda: crop_to_image(np.zeros((3, 2)), (192, 256)), r"\(N, 4\).*\(3, 2\)"),
        (lambda: crop_to_image(np.zeros((0, 4)), (192, -1)), "input_size"),
        (lambda: crop_to_image(np.zeros((0, 4)), (192, 256), "dark"), "reference, udp; got 'dark'"),
        (lambda: crop_to_image(np.zeros((0, 4)), (1, 256), "udp"), r"larger than 1.*\(1, 256\)"),
        (lambda: cell_pitch((192, 256), (48, 1), "udp"), r"heatmap_size.*larger than 1"),
        (lambda: rotated_box_bounds(np.zeros((3, 4))), r"\(N, 5\).*\(3, 4\)"),
        (
            lambda: boxes_from_detector_size(np.zeros((3, 3)), (64, 64), IMAGE, True),
            r"\(N, 4\).*\(3, 3\)",
        ),
        (
            lambda: boxes_from_detector_size(np.zeros((0, 4)), (0, 64), IMAGE, True),
            "detector_size",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("theta", "expected"),
    [
        (0.0, (90, 180, 20, 40)),
        (math.pi / 2, (80, 190, 40, 20)),
        (math.pi, (90, 180, 20, 40)),
        (-math.pi / 2, (80, 190, 40, 20)),
    ],
)
def test_bounds_of_a_box_turned_by_quarters(theta: float, expected: tuple[float, ...]) -> None:
    bounds = rotated_box_bounds(np.array([[100, 200, 20, 40, theta]]))
    np.testing.assert_allclose(bounds, [expected], atol=1e-12)


@settings(deadline=None, max_examples=100)
@given(
    theta=st.floats(-10, 10),
    w=st.floats(1, 500),
    h=st.floats(1, 500),
)
def test_bounds_touch_the_turned_corners(theta: float, w: float, h: float) -> None:
    corners = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
    c, s = math.cos(theta), math.sin(theta)
    turned = corners @ np.array([(c, s), (-s, c)]) + (30, -40)
    low, high = turned.min(axis=0), turned.max(axis=0)
    (bounds,) = rotated_box_bounds(np.array([[30, -40, w, h, theta]]))
    np.testing.assert_allclose(bounds, [*low, *(high - low)], atol=1e-9)


def test_bounds_of_a_box_that_is_not_finite_are_not_usable() -> None:
    rotated = np.array([[9, 9, 5, 5, math.inf], [9, math.nan, 5, 5, 0], [9, 9, 5, 5, 0.1]])
    assert usable_boxes(rotated_box_bounds(rotated), IMAGE).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("detector", "image", "letterbox", "box", "expected"),
    [
        ((640, 640), (640, 640), False, (1, 2, 3, 4), (1, 2, 3, 4)),
        ((640, 640), (1280, 720), False, (64, 64, 32, 320), (128, 72, 64, 360)),
        ((640, 640), (1280, 720), True, (0, 140, 640, 360), (0, 0, 1280, 720)),  # bars above
        ((640, 640), (720, 1280), True, (140, 0, 360, 640), (0, 0, 720, 1280)),  # bars beside
        ((640, 640), (1280, 720), True, (0, 0, 640, 640), (0, -280, 1280, 1280)),  # unclipped
        ((1280, 1280), (640, 360), True, (0, 280, 100, 50), (0, 0, 50, 25)),  # enlarged
    ],
)
def test_boxes_in_the_detectors_pixels(detector, image, letterbox, box, expected) -> None:
    mapped = boxes_from_detector_size(np.array([box], np.float32), detector, image, letterbox)
    np.testing.assert_allclose(mapped, [expected], atol=1e-9)


def test_iou_of_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 0, 0]], float)
    third = 50 / 150
    expected = [[1, third, 0], [third, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(iou(boxes, boxes), expected)
