# SPDX-License-Identifier: Apache-2.0
"""Draws skeletons into an image: limbs, joints, one-sigma ellipses, boxes and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import SkeletonDefinition

Colour = tuple[int, int, int]

# RGB. Colour-blind people can tell orange from blue. Left and right are those of the person.
LEFT_COLOUR: Colour = (255, 140, 0)  # orange: limbs and joints of the person's left side
RIGHT_COLOUR: Colour = (40, 160, 255)  # blue: limbs and joints of the right side
MIDDLE_COLOUR: Colour = (80, 230, 80)  # green: joints of no side, and limbs between the sides
BOX_COLOUR: Colour = (235, 235, 235)
ELLIPSE_COLOUR: Colour = (255, 240, 90)
ELLIPSE_OPACITY = 0.4
TEXT_COLOUR: Colour = (255, 255, 255)
OUTLINE_COLOUR: Colour = (20, 20, 20)  # under limbs, joints and text: visible on any background

# OpenCV draws with 4 fractional bits in fixed-point coordinates, whose range is limited; whatever
# lies further out than this is not drawn.
_SHIFT = 4
_SUBPIXELS = 1 << _SHIFT
FARTHEST_PX = 8000.0

# A close-up shows this many times the size of a person's box.
CLOSE_UP_MARGIN = 1.4

# Ids of some trackers are UUIDs; a label shows at most this many characters.
LABEL_LENGTH = 12


@lru_cache(maxsize=8)
def side_colours(skeleton: SkeletonDefinition) -> tuple[tuple[Colour, ...], tuple[Colour, ...]]:
    """Return the colours of the joints and of the limbs: those of the sides of the person."""
    joints = [MIDDLE_COLOUR] * skeleton.joints
    for left, right in skeleton.mirror_pairs:
        joints[left], joints[right] = LEFT_COLOUR, RIGHT_COLOUR
    limbs = []
    for a, b in skeleton.limbs:
        pair = {joints[a], joints[b]}
        both_sides = {LEFT_COLOUR, RIGHT_COLOUR} <= pair
        side = next((c for c in (LEFT_COLOUR, RIGHT_COLOUR) if c in pair), MIDDLE_COLOUR)
        limbs.append(MIDDLE_COLOUR if both_sides else side)
    return tuple(joints), tuple(limbs)


def draw_poses(
    image: np.ndarray,
    poses: Poses,
    boxes: np.ndarray | None = None,
    labels: Sequence[str] | None = None,
    min_score: float = 0.2,
) -> None:
    """Draw the poses into the image, in place; line widths depend on each person's size.

    A joint is drawn if it is valid, its score is at least ``min_score`` and it is within
    ``FARTHEST_PX``; a limb is drawn if both of its joints are. Each drawn joint has its one-sigma
    covariance ellipse. The details of a skeleton (hands and face) are thinner, and without
    ellipses, which would cover each other.

    Parameters
    ----------
    image
        uint8 RGB ``[H, W, 3]``, writeable, pixels contiguous within a row.
    poses
        N poses in pixels of this image.
    boxes
        float ``[N, 4]``: x, y, width, height in pixels; a box that is not finite is not drawn.
    labels
        N strings, usually the persons' ids, shown with the person score above each person.
    min_score
        Minimum score of a joint that is drawn.

    Raises
    ------
    ValueError
        The image cannot be modified in place, or the number of boxes or labels is not N.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
    if boxes is not None and boxes.shape != (len(poses), 4):
        raise ValueError(f"boxes must have shape {(len(poses), 4)}, got {boxes.shape}")
    if labels is not None and len(labels) != len(poses):
        raise ValueError(f"labels must be {len(poses)} texts, one per pose, got {len(labels)}")
    if 0 in image.shape:
        return
    row, pixel, channel = image.strides
    if not image.flags.writeable or (pixel, channel) != (3, 1) or row < 3 * image.shape[1]:
        raise ValueError("image must be writeable with contiguous pixels; pass a copy")

    near = (np.abs(poses.keypoints) < FARTHEST_PX).all(axis=2)  # False for NaN
    drawn = poses.valid & (poses.scores >= min_score) & near
    coarse = drawn.copy()
    coarse[:, list(poses.skeleton.details)] = False
    if coarse.any():  # below everything else and translucent, because there are many per person
        layer = image.copy()
        _draw_ellipses(layer, poses.keypoints[coarse], poses.covariances[coarse])
        image[:] = cv2.addWeighted(layer, ELLIPSE_OPACITY, image, 1 - ELLIPSE_OPACITY, 0)
    person_scores = poses.person_scores()
    captions: list[tuple[str, np.ndarray, float]] = []
    for person in range(len(poses)):
        points, shown = poses.keypoints[person], drawn[person]
        box = _drawable_box(boxes[person]) if boxes is not None else None
        extent = box if box is not None else _bounds(points[shown])
        if extent is None:
            continue
        size = float(max(extent[2:] - extent[:2]))
        if box is not None:
            cv2.rectangle(image, *_box_corners(box), BOX_COLOUR, _width(size, 300, 3))
        _draw_skeleton(image, poses.skeleton, points, shown, size)
        if labels is not None:
            text = f"{_shortened(labels[person])} {person_scores[person]:.2f}".strip()
            captions.append((text, extent, size))
    for caption in captions:  # last, so that no skeleton covers them
        _draw_label(image, *caption)


def draw_close_up(
    image: np.ndarray,
    box: np.ndarray,
    poses: Poses,
    size: tuple[int, int],
    margin: float = CLOSE_UP_MARGIN,
) -> np.ndarray:
    """Return an enlarged part of the image around a box, with the poses drawn into it.

    The part is enlarged before the poses are drawn, so that lines remain thin.

    Parameters
    ----------
    image
        uint8 RGB ``[H, W, 3]``; not modified.
    box
        float ``[4]``: x, y, width, height in pixels; sides below 1 px count as 1 px.
    poses
        N poses in pixels of the image.
    size
        (width, height) of the result; the box keeps its aspect ratio and is centred.
    margin
        The result shows at least this many times the size of the box.

    Returns
    -------
    uint8 RGB ``[height, width, 3]``; black outside of the image.
    """
    sides = np.maximum(np.asarray(box[2:], np.float64), 1)
    scale = float((np.array(size) / (margin * sides)).min())
    shift = np.array(size) / 2 - scale * (np.asarray(box[:2], np.float64) + sides / 2)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    picture = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC)
    enlarged = replace(
        poses,
        keypoints=(poses.keypoints * scale + shift).astype(np.float32),
        covariances=(poses.covariances * scale**2).astype(np.float32),
    )
    draw_poses(picture, enlarged)
    return picture


def _width(size: float, divisor: float, most: int) -> int:
    """Return the line width in pixels for a person of this size: from 1 to ``most``."""
    return int(np.clip(round(size / divisor), 1, most))


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """Return a point in pixels in OpenCV's fixed-point coordinates."""
    x, y = np.rint(np.asarray(point, np.float64) * _SUBPIXELS)
    return int(x), int(y)


def _drawable_box(box: np.ndarray) -> np.ndarray | None:
    """Return the corners x0, y0, x1, y1 of a box, clipped to what OpenCV can draw."""
    x, y, width, height = np.asarray(box, np.float64)
    corners = np.array([x, y, x + width, y + height])
    if not np.isfinite(corners).all() or width <= 0 or height <= 0:
        return None
    corners = np.clip(corners, -FARTHEST_PX, FARTHEST_PX)
    return corners if (corners[:2] < corners[2:]).all() else None


def _box_corners(corners: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    x0, y0, x1, y1 = (int(value) for value in np.rint(corners))
    return (x0, y0), (x1, y1)


def _bounds(points: np.ndarray) -> np.ndarray | None:
    """Return the bounds x0, y0, x1, y1 of points ``[K, 2]``; None without points."""
    if not len(points):
        return None
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float64)


def _draw_ellipses(image: np.ndarray, points: np.ndarray, covariances: np.ndarray) -> None:
    finite = np.isfinite(covariances).all(axis=(1, 2))
    variances, axes = np.linalg.eigh(covariances[finite].astype(np.float64))
    radii = np.sqrt(np.maximum(variances, 0))
    angles = np.degrees(np.arctan2(axes[:, 1, 1], axes[:, 0, 1]))  # of the longer axis
    for point, radius, angle in zip(points[finite], radii, angles, strict=True):
        if radius[1] < FARTHEST_PX:
            cv2.ellipse(
                image,
                _fixed(point),
                _fixed(radius[::-1]),
                float(angle),
                0,
                360,
                ELLIPSE_COLOUR,
                1,
                cv2.LINE_AA,
                _SHIFT,
            )


def _draw_skeleton(
    image: np.ndarray,
    skeleton: SkeletonDefinition,
    points: np.ndarray,
    shown: np.ndarray,
    size: float,
) -> None:
    joint_colours, limb_colours = side_colours(skeleton)
    details = frozenset(skeleton.details)
    width = _width(size, 110, 6)
    outline = width + 2
    radius = float(np.clip(size / 75, 1.5, 6)) * _SUBPIXELS
    limbs = [limb for limb, (a, b) in enumerate(skeleton.limbs) if shown[a] and shown[b]]
    fine = [limb for limb in limbs if details.issuperset(skeleton.limbs[limb])]
    coarse = [limb for limb in limbs if not details.issuperset(skeleton.limbs[limb])]
    for chosen, colours, thickness in (
        (coarse, None, outline),
        (coarse, limb_colours, width),
        (fine, limb_colours, _width(size, 4 * 110, 2)),  # without an outline
    ):
        for limb in chosen:
            a, b = (_fixed(points[joint]) for joint in skeleton.limbs[limb])
            colour = colours[limb] if colours else OUTLINE_COLOUR
            cv2.line(image, a, b, colour, thickness, cv2.LINE_AA, _SHIFT)
    for joint in np.flatnonzero(shown):
        centre = _fixed(points[joint])
        rings = [(OUTLINE_COLOUR, radius + _SUBPIXELS), (joint_colours[joint], radius)]
        if joint in details:
            rings = [(joint_colours[joint], max(radius / 3, 0.75 * _SUBPIXELS))]
        for colour, r in rings:
            cv2.circle(image, centre, round(r), colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _shortened(label: str) -> str:
    return label if len(label) <= LABEL_LENGTH else label[: LABEL_LENGTH - 2] + ".."


def _draw_label(image: np.ndarray, text: str, extent: np.ndarray, size: float) -> None:
    """Draw white text on a dark background, above the person if possible, inside the image."""
    scale = float(np.clip(size / 400, 0.4, 0.8))
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, 1
    (width, height), below = cv2.getTextSize(text, font, scale, thickness)
    image_height, image_width = image.shape[:2]
    x = int(np.clip(round(extent[0]), 0, max(image_width - width - 4, 0)))
    y = int(np.clip(round(extent[1]) - below - 2, height + 2, image_height))
    corner = (x + width + 4, y + below)
    cv2.rectangle(image, (x, y - height - 2), corner, OUTLINE_COLOUR, cv2.FILLED)
    cv2.putText(image, text, (x + 2, y), font, scale, TEXT_COLOUR, thickness, cv2.LINE_AA)
