# SPDX-License-Identifier: Apache-2.0
"""Heatmaps to key points with scores and covariances, all persons and joints at once.

Positions are first found in heatmap cells (cell centres at integers), then mapped to image pixels
by the crop's transform, of which one cell is ``stride`` pixels.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np

from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import JOINTS

Method = Literal["quarter", "dark"]

# Size of DARK's Gaussian kernel for the target sigma (in cells) that the network was trained with.
# The kernel's own sigma follows from its size by OpenCV's rule, as in the DARK reference.
BLUR_KERNELS = {2: 11, 3: 17}

# DARK takes the logarithm of no less than this (DARK reference).
LOG_FLOOR = 1e-10

# A DARK step longer than this on either axis, in cells, is not taken: it would leave the 5x5
# stencil that the quadratic was fitted on.
MAX_STEP = 2.0

# The covariance's weights are what rises above this part of the peak; of a 2D Gaussian's variance
# this truncation leaves MOMENT_KEPT (by integration 0.6042).
WEIGHT_FLOOR = 0.1
MOMENT_KEPT = 0.604

# Variance of a position that is only known to lie somewhere in its cell, in cells².
CELL_VARIANCE = 1 / 12


class HeatmapPoints(NamedTuple):
    """Decoded heatmaps of N persons, in heatmap cells.

    points: float64 ``[N, 17, 2]``, x and y; scores: float32 ``[N, 17]``, the raw peak;
    covariances: float64 ``[N, 17, 2, 2]``, cells²; valid: bool ``[N, 17]``. Where not valid,
    points and covariances are NaN and the score is 0.
    """

    points: np.ndarray
    scores: np.ndarray
    covariances: np.ndarray
    valid: np.ndarray


def decode_heatmaps(heatmaps: np.ndarray, method: Method, sigma: float = 2) -> HeatmapPoints:
    """Find each heatmap's key point, its score and its covariance.

    A joint is valid when its map is finite and its peak is above 0.

    Parameters
    ----------
    heatmaps
        float ``[N, 17, h, w]`` as the network gives them (values below 0 and above 1 are normal).
    method
        ``"quarter"``: the argmax, moved by 0.25 cell towards the larger neighbour on each axis
        where ``1 < px < w-1`` and ``1 < py < h-1`` (HRNet reference). ``"dark"``: one Taylor step
        on the logarithm of the blurred map where ``1 < px < w-2`` and ``1 < py < h-2`` (DARK
        reference); the argmax stays where the Hessian is not negative definite or the step is
        longer than ``MAX_STEP`` on an axis.
    sigma
        The target sigma in cells that the network was trained with, 2 or 3; used by ``"dark"``.

    Raises
    ------
    ValueError
        The heatmaps have another shape or are not floats, or method or sigma is unknown.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {get_args(Method)}, got {method!r}")
    if sigma not in BLUR_KERNELS:
        raise ValueError(f"sigma must be one of {tuple(BLUR_KERNELS)} (cells), got {sigma!r}")
    if heatmaps.ndim != 4 or heatmaps.shape[1] != JOINTS or 0 in heatmaps.shape[2:]:
        raise ValueError(f"heatmaps must have shape (N, {JOINTS}, h, w), got {heatmaps.shape}")
    if not np.issubdtype(heatmaps.dtype, np.floating):
        raise ValueError(f"heatmaps must be floats, got {heatmaps.dtype}")
    n, _, h, w = heatmaps.shape
    flat = np.asarray(heatmaps, np.float32).reshape(n * JOINTS, h * w)

    best = flat.argmax(axis=1)  # the first NaN, if there is one
    peaks = flat[np.arange(len(flat)), best]
    valid = np.isfinite(peaks) & (peaks > 0) & np.isfinite(flat.min(axis=1))
    chosen = np.flatnonzero(valid)
    # A copy of the valid maps only where some are not; all of them valid is the usual case.
    maps = (flat if valid.all() else flat[chosen]).reshape(len(chosen), h, w)

    cells = np.stack([best[chosen] % w, best[chosen] // w], axis=1)
    # Extreme values may become infinite here, which every step below bears.
    with np.errstate(over="ignore", invalid="ignore"):
        relative = maps / peaks[chosen, None, None]
        if method == "quarter":
            offsets = _quarter_offsets(maps, cells)
        else:
            offsets = _taylor_offsets(relative, cells, peaks[chosen], BLUR_KERNELS[int(sigma)])
        decoded = cells + offsets
        second_moments = _covariances(relative, decoded)

    points = np.full((n * JOINTS, 2), np.nan)
    covariances = np.full((n * JOINTS, 2, 2), np.nan)
    points[chosen] = decoded
    covariances[chosen] = second_moments
    return HeatmapPoints(
        points.reshape(n, JOINTS, 2),
        np.where(valid, peaks, np.float32(0)).reshape(n, JOINTS),
        covariances.reshape(n, JOINTS, 2, 2),
        valid.reshape(n, JOINTS),
    )


def poses_from_heatmaps(
    heatmaps: np.ndarray,
    crop_to_image: np.ndarray,
    input_size: tuple[int, int],
    method: Method,
    sigma: float = 2,
) -> Poses:
    """Decode heatmaps and map the key points and covariances to image pixels.

    Parameters
    ----------
    heatmaps
        float ``[N, 17, h, w]``.
    crop_to_image
        float64 ``[N, 2, 3]`` from `hrnet_pose_ros.pose.boxes.crop_to_image`, of the same boxes
        that the crops were taken with.
    input_size
        ``(width, height)`` of the network's input; ``width / w`` and ``height / h`` must be the
        same stride (4 for HRNet).
    method, sigma
        As for `decode_heatmaps`.

    Raises
    ------
    ValueError
        As `decode_heatmaps`; or the transforms are not a finite ``[N, 2, 3]``; or the stride is
        not the same on both axes.
    """
    transforms = np.asarray(crop_to_image, np.float64)
    if transforms.shape != (len(heatmaps), 2, 3):
        raise ValueError(
            f"crop_to_image must have shape {(len(heatmaps), 2, 3)}, got {transforms.shape}"
        )
    if not np.isfinite(transforms).all():
        raise ValueError("crop_to_image must be finite; make it with boxes.crop_to_image()")
    points, scores, covariances, valid = decode_heatmaps(heatmaps, method, sigma)
    h, w = heatmaps.shape[2:]
    stride = input_size[0] / w
    if input_size[1] / h != stride:
        raise ValueError(
            f"input_size {input_size} and heatmap size {(w, h)} (width, height) give a different "
            "stride on each axis"
        )

    cell_to_image = stride * transforms[:, None, :, :2]
    keypoints = (cell_to_image @ points[..., None])[..., 0] + transforms[:, None, :, 2]
    spread = cell_to_image @ covariances @ cell_to_image.swapaxes(-1, -2)
    spread[..., 1, 0] = spread[..., 0, 1]  # rounding must not leave it asymmetric
    return Poses(keypoints.astype(np.float32), scores, spread.astype(np.float32), valid)


def _quarter_offsets(maps: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Offsets ``[M, 2]`` of the peaks at ``cells [M, 2]`` of ``maps [M, h, w]``."""
    h, w = maps.shape[1:]
    offsets = np.zeros(cells.shape)
    m = np.flatnonzero(((cells > 1) & (cells < (w - 1, h - 1))).all(axis=1))
    x, y = cells[m].T
    offsets[m, 0] = 0.25 * np.sign(maps[m, y, x + 1] - maps[m, y, x - 1])
    offsets[m, 1] = 0.25 * np.sign(maps[m, y + 1, x] - maps[m, y - 1, x])
    return offsets


def _taylor_offsets(
    relative: np.ndarray, cells: np.ndarray, peaks: np.ndarray, kernel_size: int
) -> np.ndarray:
    """DARK's offsets ``[M, 2]`` of the peaks at ``cells [M, 2]``.

    ``relative [M, h, w]`` are the maps divided by their ``peaks [M]``, so that none is too small
    or too large for float32.
    """
    h, w = relative.shape[1:]
    offsets = np.zeros(cells.shape)
    fits = np.flatnonzero(((cells > 1) & (cells < (w - 2, h - 2))).all(axis=1))
    if not fits.size:
        return offsets
    if len(fits) < len(relative):
        relative, cells, peaks = relative[fits], cells[fits], peaks[fits]
    blurred = _blur(relative, kernel_size)
    highest = blurred.reshape(len(blurred), h * w).max(axis=1).astype(np.float64)

    reach = np.arange(-2, 3)
    x, y = cells.T
    stencil = blurred[
        np.arange(len(blurred))[:, None, None],
        (y[:, None] + reach)[:, :, None],
        (x[:, None] + reach)[:, None, :],
    ]
    with np.errstate(all="ignore"):  # a map that blurs to nothing gives NaN: the argmax stays
        restored = stencil * (peaks / highest)[:, None, None]
        log = np.log(np.maximum(restored, LOG_FLOOR))
        dx = (log[:, 2, 3] - log[:, 2, 1]) / 2
        dy = (log[:, 3, 2] - log[:, 1, 2]) / 2
        dxx = (log[:, 2, 4] - 2 * log[:, 2, 2] + log[:, 2, 0]) / 4
        dyy = (log[:, 4, 2] - 2 * log[:, 2, 2] + log[:, 0, 2]) / 4
        dxy = (log[:, 3, 3] - log[:, 1, 3] - log[:, 3, 1] + log[:, 1, 1]) / 4
        determinant = dxx * dyy - dxy * dxy
        step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=1) / determinant[:, None]
        peaked = (highest > 0) & (dxx < 0) & (determinant > 0)
        taken = peaked & (np.abs(step) <= MAX_STEP).all(axis=1)
    offsets[fits[taken]] = step[taken]
    return offsets


def _blur(maps: np.ndarray, kernel_size: int) -> np.ndarray:
    """Gaussian blur of ``maps [M, h, w]`` with zeros outside, as two products with band matrices.

    At these sizes the products beat ``cv2.GaussianBlur`` over padded maps by half.
    """
    _, h, w = maps.shape
    return blur_matrix(h, kernel_size) @ (maps @ blur_matrix(w, kernel_size))


def blur_matrix(size: int, kernel_size: int) -> np.ndarray:
    """float32 ``[size, size]``, symmetric: multiplying by it convolves with OpenCV's Gaussian
    kernel, zeros outside."""
    kernel = cv2.getGaussianKernel(kernel_size, 0, cv2.CV_32F)[:, 0]
    radius = kernel_size // 2
    place = np.arange(size)
    shift = place[:, None] - place + radius
    inside = (shift >= 0) & (shift < kernel_size)
    return np.where(inside, kernel[np.clip(shift, 0, kernel_size - 1)], np.float32(0))


def _covariances(relative: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Covariances ``[M, 2, 2]`` in cells² about ``points [M, 2]``.

    ``relative [M, h, w]`` are the maps divided by their peaks.
    """
    _, h, w = relative.shape
    weights = relative - np.float32(WEIGHT_FLOOR)
    np.maximum(weights, 0, out=weights)
    dx = (np.arange(w) - points[:, :1]).astype(np.float32)
    dy = (np.arange(h) - points[:, 1:]).astype(np.float32)
    rows = np.stack([np.ones_like(dy), dy, dy * dy], axis=1)  # [M, 3, h]
    columns = np.stack([np.ones_like(dx), dx, dx * dx], axis=2)  # [M, w, 3]
    moments = (rows @ weights @ columns).astype(np.float64)  # [M, power of dy, power of dx]
    moments /= MOMENT_KEPT * moments[:, :1, :1]
    covariances = np.empty((len(relative), 2, 2))
    covariances[:, 0, 0] = moments[:, 0, 2] + CELL_VARIANCE
    covariances[:, 1, 1] = moments[:, 2, 0] + CELL_VARIANCE
    covariances[:, 0, 1] = covariances[:, 1, 0] = moments[:, 1, 1]
    return covariances
