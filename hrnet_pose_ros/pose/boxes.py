# SPDX-License-Identifier: Apache-2.0
"""Person boxes, and the transform between the crop of a box and the image.

A box is ``x, y, width, height`` in image pixels. It is never clipped to the image, because the
position of the crop depends on the whole box. A size is always ``(width, height)``, as in OpenCV.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

# The crop is larger than the box by this factor on both axes (HRNet reference).
PADDING = 1.25

# Limits of a box, in pixels. A side below 1 px cannot show a person; usually the box is in
# normalised coordinates. The upper limit applies to x, y, width and height: cv2.warpAffine keeps
# source coordinates in units of 1/1024 px in an int32, which overflows at 2.1e6 px (measured on
# OpenCV 4.6 and 4.14: exact with a box of 1e6 px, wrong pixels with 1e7 px), and float32 still
# resolves 1/128 px at 1e5. The crop of a box within the limits stays below 4e5 px.
MIN_SIDE_PX = 1.0
MAX_PX = 1e5

# What the sides of a box are mapped to, a property of the weights. ``reference`` (HRNet): to 0 and
# W, as if a picture were W pixels wide; heatmap cell i lies at crop pixel 4·i. ``udp`` (Huang et
# al., CVPR 2020): to 0 and W-1, the centres of the outermost pixels, and likewise to 0 and w-1 of
# the heatmap, so that crop, heatmap and their mirror images all have the same middle.
CropRule = Literal["reference", "udp"]


def _checked_boxes(boxes: ArrayLike, columns: str = "x, y, width, height") -> np.ndarray:
    array = np.asarray(boxes, np.float64)
    expected = columns.count(",") + 1
    if array.ndim != 2 or array.shape[1] != expected:
        raise ValueError(f"boxes must have shape (N, {expected}): {columns}; got {array.shape}")
    return array


def _checked_size(name: str, size: tuple[float, float]) -> tuple[float, float]:
    try:
        width, height = (float(side) for side in size)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be (width, height), got {size!r}") from None
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise ValueError(f"{name} must be a positive (width, height), got {size!r}")
    return width, height


def _within_limits(boxes: np.ndarray) -> np.ndarray:
    # Comparisons with NaN are False, so this rejects every non-finite box as well.
    return (np.abs(boxes) <= MAX_PX).all(axis=1) & (boxes[:, 2:] >= MIN_SIDE_PX).all(axis=1)


def usable_boxes(boxes: ArrayLike, image_size: tuple[float, float]) -> np.ndarray:
    """Return for which boxes a pose can be estimated.

    Parameters
    ----------
    boxes
        float ``[N, 4]``: x, y, width, height in image pixels; any values are allowed.
    image_size
        ``(width, height)`` of the image in pixels.

    Returns
    -------
    bool ``[N]``: the box is finite, both sides are at least ``MIN_SIDE_PX``, no number exceeds
    ``MAX_PX`` in magnitude, and the box overlaps the image.

    Raises
    ------
    ValueError
        ``boxes`` is not ``[N, 4]``, or ``image_size`` is not a positive pair.
    """
    array = _checked_boxes(boxes)
    image = np.asarray(_checked_size("image_size", image_size))
    usable = _within_limits(array)
    near = array[usable]
    overlaps = (near[:, :2] < image) & (near[:, :2] + near[:, 2:] > 0)
    usable[usable] = overlaps.all(axis=1)
    return usable


def _extent(name: str, size: tuple[float, float], crop: CropRule) -> np.ndarray:
    """Return the sides ``[2]`` of a crop or heatmap as its rule measures them."""
    if crop not in get_args(CropRule):
        raise ValueError(f"crop must be one of {', '.join(get_args(CropRule))}; got {crop!r}")
    extent = np.array(_checked_size(name, size))
    if crop == "udp":
        extent -= 1
        if extent.min() <= 0:
            raise ValueError(f"{name} must be larger than 1 on both sides with udp, got {size!r}")
    return extent


def crop_middle(input_size: tuple[float, float], crop: CropRule = "reference") -> np.ndarray:
    """Return where the centre of a box lies in its crop: float64 ``[2]``, crop pixels.

    ``W/2, H/2`` by the reference's rule, ``(W-1)/2, (H-1)/2`` by UDP's.
    """
    return _extent("input_size", input_size, crop) / 2


def cell_pitch(
    input_size: tuple[float, float],
    heatmap_size: tuple[float, float],
    crop: CropRule = "reference",
) -> np.ndarray:
    """Return the distance between the centres of neighbouring heatmap cells.

    Cell (0, 0) lies at crop pixel (0, 0) by either rule, so that cell times pitch is a crop pixel.

    Parameters
    ----------
    input_size, heatmap_size
        ``(width, height)`` of a crop in pixels and of its heatmap in cells.
    crop
        The crop rule of the weights.

    Returns
    -------
    float64 ``[2]``, crop pixels on x and y: ``W/w`` and ``H/h`` (4 for HRNet) by the reference's
    rule, ``(W-1)/(w-1)`` and ``(H-1)/(h-1)`` by UDP's.

    Raises
    ------
    ValueError
        A size is not a positive pair, or is 1 with UDP; or the rule is unknown.
    """
    extent = _extent("input_size", input_size, crop)
    return extent / _extent("heatmap_size", heatmap_size, crop)


def _centres_and_scales(
    boxes: ArrayLike, input_size: tuple[float, float], crop: CropRule
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the crops' centres ``[N, 2]``, scales ``[N, 2]`` and the middle of a crop ``[2]``.

    They are in image pixels, in image pixels per crop pixel, and in crop pixels.
    """
    array = _checked_boxes(boxes)
    width, height = _checked_size("input_size", input_size)
    refused = np.flatnonzero(~_within_limits(array))
    if refused.size:
        index = int(refused[0])
        raise ValueError(
            f"box {index} cannot be cropped: {array[index].tolist()} (x, y, width, height) must be "
            f"finite, with sides of at least {MIN_SIDE_PX:g} px and no number beyond {MAX_PX:g}; "
            "select boxes with usable_boxes() first"
        )
    centres = array[:, :2] + array[:, 2:] / 2
    crop_width = PADDING * np.maximum(array[:, 2], array[:, 3] * (width / height))
    extent = _extent("input_size", input_size, crop)
    # By the reference's rule the last factor is exactly 1 on both axes.
    scales = (crop_width / width)[:, None] * (np.array([width, height]) / extent)
    return centres, scales, extent / 2


def _scale_and_shift(scales: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    transform = np.zeros((len(scales), 2, 3))
    transform[:, 0, 0], transform[:, 1, 1] = scales.T
    transform[:, :, 2] = shifts
    return transform


def crop_to_image(
    boxes: ArrayLike, input_size: tuple[float, float], crop: CropRule = "reference"
) -> np.ndarray:
    """Return affine transforms from crop pixels to image pixels.

    The box is extended about its centre to the aspect ratio of the input, then both sides are
    multiplied by 1.25. By the reference's rule the scale is the same on both axes, ``bw / W``, and
    the centre of the box is mapped to ``W/2, H/2`` of the crop. By UDP's rule the scales are
    ``bw / (W-1)`` and ``bh / (H-1)``, which differ by 0.1 %, and the centre is mapped to
    ``(W-1)/2, (H-1)/2`` (``get_udp_warp_matrix`` of MMPose).

    Parameters
    ----------
    boxes
        float ``[N, 4]``: x, y, width, height in image pixels, unclipped.
    input_size
        ``(W, H)``: width and height of the network's input, in pixels.
    crop
        The crop rule of the weights.

    Returns
    -------
    float64 ``[N, 2, 3]``.

    Raises
    ------
    ValueError
        ``boxes`` is not ``[N, 4]``, or one of them is outside the limits of this module; the
        message names its index and value. Or the rule is unknown.
    """
    centres, scales, middle = _centres_and_scales(boxes, input_size, crop)
    return _scale_and_shift(scales, centres - scales * middle)


def image_to_crop(
    boxes: ArrayLike, input_size: tuple[float, float], crop: CropRule = "reference"
) -> np.ndarray:
    """Return affine transforms from image pixels to crop pixels, the inverse of `crop_to_image`.

    Arguments, shape and errors are those of `crop_to_image`.
    """
    centres, scales, middle = _centres_and_scales(boxes, input_size, crop)
    return _scale_and_shift(1 / scales, middle - centres / scales)


def rotated_box_bounds(rotated_boxes: ArrayLike) -> np.ndarray:
    """Return axis-aligned boxes around rotated ones (``vision_msgs/BoundingBox2D`` with theta).

    Parameters
    ----------
    rotated_boxes
        float ``[N, 5]``: centre x, centre y, width, height in pixels, theta in radians.

    Returns
    -------
    float64 ``[N, 4]``: x, y, width, height; NaN or infinite where the input is, so that
    `usable_boxes` rejects the box.

    Raises
    ------
    ValueError
        ``rotated_boxes`` is not ``[N, 5]``.
    """
    array = _checked_boxes(rotated_boxes, "centre x, centre y, width, height, theta")
    centres, sides, theta = array[:, :2], array[:, 2:4], array[:, 4]
    with np.errstate(invalid="ignore", over="ignore"):
        cos, sin = np.abs(np.cos(theta))[:, None], np.abs(np.sin(theta))[:, None]
        bounds = sides * cos + sides[:, ::-1] * sin
        return np.concatenate([centres - bounds / 2, bounds], axis=1)


def boxes_from_detector_size(
    boxes: ArrayLike,
    detector_size: tuple[float, float],
    image_size: tuple[float, float],
    letterbox: bool,
) -> np.ndarray:
    """Map boxes given in the detector's input pixels to image pixels.

    Parameters
    ----------
    boxes
        float ``[N, 4]``: x, y, width, height in pixels of the detector's input.
    detector_size
        ``(width, height)`` of the detector's input.
    image_size
        ``(width, height)`` of the image.
    letterbox
        False: the image was stretched to the detector's size, independently on each axis. True: it
        was scaled by the smaller of the two ratios and centred between bars of equal width.

    Returns
    -------
    float64 ``[N, 4]``, unclipped.

    Raises
    ------
    ValueError
        ``boxes`` is not ``[N, 4]``, or a size is not a positive pair.
    """
    array = _checked_boxes(boxes)
    detector = np.asarray(_checked_size("detector_size", detector_size))
    image = np.asarray(_checked_size("image_size", image_size))
    scale = detector / image
    if letterbox:
        scale = np.full(2, scale.min())
    bars = (detector - image * scale) / 2
    with np.errstate(invalid="ignore", over="ignore"):
        return np.concatenate([(array[:, :2] - bars) / scale, array[:, 2:] / scale], axis=1)


def iou(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Return the IoU ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]`` (xywh); 0 for empty boxes."""
    low = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    ends_a, ends_b = boxes_a[:, :2] + boxes_a[:, 2:], boxes_b[:, :2] + boxes_b[:, 2:]
    high = np.minimum(ends_a[:, None], ends_b[None])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas_a, areas_b = np.prod(boxes_a[:, 2:], axis=1), np.prod(boxes_b[:, 2:], axis=1)
    union = areas_a[:, None] + areas_b[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
