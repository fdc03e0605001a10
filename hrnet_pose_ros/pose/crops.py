# SPDX-License-Identifier: Apache-2.0
"""Samples the crops of persons from a frame."""

from __future__ import annotations

import cv2
import numpy as np

# cv2.warpAffine keeps source coordinates in int16 and fails an assertion at sides of 32767 px.
MAX_FRAME_SIDE = 32766


def warp_crops(
    frame: np.ndarray, crop_to_image: np.ndarray, input_size: tuple[int, int]
) -> np.ndarray:
    """Sample one crop per transform, with bilinear interpolation; black outside of the frame.

    Parameters
    ----------
    frame
        uint8 ``[H, W, 3]``, sides up to 32766 px. Rows may be padded: a view with a larger row
        stride is read in place, and so is one with a reversed channel axis (a BGR image as RGB),
        of which the crops are turned. Other layouts are copied once.
    crop_to_image
        float ``[N, 2, 3]`` from `hrnet_pose_ros.pose.boxes.crop_to_image`.
    input_size
        ``(width, height)`` of a crop in pixels.

    Returns
    -------
    uint8 ``[N, height, width, 3]``. OpenCV rounds sample positions to 1/32 px.

    Raises
    ------
    ValueError
        An array has another shape or type, the frame is empty or too large, or a transform is
        not finite.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"frame must be uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
    if not 1 <= min(frame.shape[:2]) <= max(frame.shape[:2]) <= MAX_FRAME_SIDE:
        raise ValueError(
            f"frame sides must be 1 to {MAX_FRAME_SIDE} px (limit of cv2.warpAffine), "
            f"got (H, W) = {frame.shape[:2]}; crop or resize the image first"
        )
    transforms = np.asarray(crop_to_image, np.float64)
    if transforms.ndim != 3 or transforms.shape[1:] != (2, 3):
        raise ValueError(f"crop_to_image must have shape (N, 2, 3), got {transforms.shape}")
    if not np.isfinite(transforms).all():
        raise ValueError("crop_to_image must be finite; compute it with boxes.crop_to_image()")
    width, height = input_size
    crops = np.empty((len(transforms), height, width, 3), np.uint8)
    turned = frame.strides[2] == -1
    if turned:
        frame = frame[..., ::-1]
    if not _readable_by_opencv(frame):
        frame = np.ascontiguousarray(frame)
    for transform, crop in zip(transforms, crops, strict=True):
        cv2.warpAffine(
            frame,
            transform,
            (width, height),
            dst=crop,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(0, 0, 0),
        )
        if turned:
            cv2.cvtColor(crop, cv2.COLOR_BGR2RGB, dst=crop)
    return crops


def _readable_by_opencv(frame: np.ndarray) -> bool:
    """Return whether OpenCV reads the array in place; otherwise it would copy it for each crop."""
    row, pixel, channel = frame.strides
    return channel == 1 and pixel == 3 and row >= 3 * frame.shape[1]
