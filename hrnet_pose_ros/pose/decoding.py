# SPDX-License-Identifier: Apache-2.0
"""Decodes heatmaps to key points with scores and covariances, for all persons and joints at once.

Positions are first computed in heatmap cells (cell centres at integers), then mapped to image
pixels by the transform of the crop. How wide a cell is depends on the weights' crop rule
(`hrnet_pose_ros.pose.boxes.cell_pitch`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np

from hrnet_pose_ros.pose.boxes import CropRule, cell_pitch
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition

Method = Literal["quarter", "dark"]

# Size of DARK's Gaussian kernel for each target sigma (in cells) of the training. The sigma of the
# kernel follows from its size by OpenCV's rule, as in the DARK reference.
BLUR_KERNELS = {2: 11, 3: 17}

# Values are clipped to this minimum before DARK takes their logarithm: in DARK's reference, and in
# UDP's form of it.
LOG_FLOORS: dict[CropRule, float] = {"reference": 1e-10, "udp": 1e-3}

# How far DARK's differences reach from the peak, in cells: its step applies where they fit.
REACHES: dict[CropRule, int] = {"reference": 2, "udp": 1}

# A DARK step longer than this on either axis, in cells, is rejected: it would leave the cells to
# which the quadratic was fitted.
MAX_STEP = 2.0

# The weights of the covariance are the excess over this fraction of the peak. This truncation
# reduces the variance of a 2D Gaussian by the factor MOMENT_KEPT (0.6042 by integration).
WEIGHT_FLOOR = 0.1
MOMENT_KEPT = 0.604

# Variance of a position that is uniformly distributed over its cell, in cells².
CELL_VARIANCE = 1 / 12


class HeatmapPoints(NamedTuple):
    """Decoded heatmaps of N persons, in heatmap cells.

    points: float64 ``[N, J, 2]``, x and y; scores: float32 ``[N, J]``, the raw peak;
    covariances: float64 ``[N, J, 2, 2]``, cells²; valid: bool ``[N, J]``. Joints that are not
    valid have NaN points and covariances, and a score of 0.
    """

    points: np.ndarray
    scores: np.ndarray
    covariances: np.ndarray
    valid: np.ndarray


def decode_heatmaps(
    heatmaps: np.ndarray, method: Method, sigma: float = 2, crop: CropRule = "reference"
) -> HeatmapPoints:
    """Decode the key point of each heatmap, with its score and covariance.

    A joint is valid if its heatmap is finite and its peak is above 0.

    Parameters
    ----------
    heatmaps
        float ``[N, J, h, w]`` from the network (values below 0 and above 1 are normal).
    method
        ``"quarter"``: the argmax, moved by 0.25 cell towards the larger neighbour on each axis if
        ``1 < px < w-1`` and ``1 < py < h-1`` (HRNet reference). ``"dark"``: one Taylor step on the
        logarithm of the blurred map if ``1 < px < w-2`` and ``1 < py < h-2`` (DARK reference); the
        argmax is kept if the Hessian is not negative definite or the step is longer than
        ``MAX_STEP`` on an axis.
    sigma
        The target sigma of the network's training, 2 or 3 cells; used by ``"dark"``.
    crop
        The crop rule of the weights. With ``"udp"``, ``"dark"`` is the form that UDP's authors and
        MMPose gave it (``post_dark_udp``): differences over 3x3 cells instead of 5x5, taken if
        ``0 < px < w-1`` and ``0 < py < h-1``, of values of at least 1e-3. Theirs also steps at the
        border, always half a cell outwards; here the argmax is kept.

    Raises
    ------
    ValueError
        The heatmaps have another shape or are not floats, or method, sigma or crop is unknown.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {get_args(Method)}, got {method!r}")
    if sigma not in BLUR_KERNELS:
        raise ValueError(f"sigma must be one of {tuple(BLUR_KERNELS)} (cells), got {sigma!r}")
    if crop not in get_args(CropRule):
        raise ValueError(f"crop must be one of {get_args(CropRule)}, got {crop!r}")
    if heatmaps.ndim != 4 or 0 in heatmaps.shape[1:]:
        raise ValueError(f"heatmaps must have shape (N, joints, h, w), got {heatmaps.shape}")
    if not np.issubdtype(heatmaps.dtype, np.floating):
        raise ValueError(f"heatmaps must be floats, got {heatmaps.dtype}")
    n, joints, h, w = heatmaps.shape
    flat = np.asarray(heatmaps, np.float32).reshape(n * joints, h * w)

    best = flat.argmax(axis=1)  # the first NaN, if there is any
    peaks = flat[np.arange(len(flat)), best]
    valid = np.isfinite(peaks) & (peaks > 0) & np.isfinite(flat.min(axis=1))
    chosen = np.flatnonzero(valid)
    # Copies the valid maps only if some are invalid; usually all of them are valid.
    maps = (flat if valid.all() else flat[chosen]).reshape(len(chosen), h, w)

    cells = np.stack([best[chosen] % w, best[chosen] // w], axis=1)
    # Extreme values may become infinite here, which every step below tolerates.
    with np.errstate(over="ignore", invalid="ignore"):
        relative = maps / peaks[chosen, None, None]
        if method == "quarter":
            offsets = _quarter_offsets(maps, cells)
        else:
            kernel = BLUR_KERNELS[int(sigma)]
            offsets = _taylor_offsets(relative, cells, peaks[chosen], kernel, crop)
        decoded = cells + offsets
        second_moments = _covariances(relative, decoded)

    points = np.full((n * joints, 2), np.nan)
    covariances = np.full((n * joints, 2, 2), np.nan)
    points[chosen] = decoded
    covariances[chosen] = second_moments
    return HeatmapPoints(
        points.reshape(n, joints, 2),
        np.where(valid, peaks, np.float32(0)).reshape(n, joints),
        covariances.reshape(n, joints, 2, 2),
        valid.reshape(n, joints),
    )


def poses_from_heatmaps(
    heatmaps: np.ndarray,
    crop_to_image: np.ndarray,
    input_size: tuple[int, int],
    method: Method,
    sigma: float = 2,
    skeleton: SkeletonDefinition = COCO17,
    crop: CropRule = "reference",
) -> Poses:
    """Decode heatmaps and map the key points and covariances to image pixels.

    Parameters
    ----------
    heatmaps
        float ``[N, J, h, w]``.
    crop_to_image
        float64 ``[N, 2, 3]`` from `hrnet_pose_ros.pose.boxes.crop_to_image`, for the boxes of the
        crops.
    input_size
        ``(width, height)`` of the network's input; ``width / w`` and ``height / h`` must be equal:
        the stride (4 for HRNet).
    method, sigma, crop
        As for `decode_heatmaps`; ``crop`` also says how wide a cell is.
    skeleton
        The definition of the J joints.

    Raises
    ------
    ValueError
        As for `decode_heatmaps`; or the skeleton has another number of joints; or the transforms
        are not a finite ``[N, 2, 3]``; or the stride differs between the axes.
    """
    if heatmaps.ndim == 4 and heatmaps.shape[1] != skeleton.joints:
        raise ValueError(
            f"heatmaps must have shape (N, {skeleton.joints}, h, w) for the skeleton "
            f"'{skeleton.name}', got {heatmaps.shape}"
        )
    transforms = np.asarray(crop_to_image, np.float64)
    if transforms.shape != (len(heatmaps), 2, 3):
        raise ValueError(
            f"crop_to_image must have shape {(len(heatmaps), 2, 3)}, got {transforms.shape}"
        )
    if not np.isfinite(transforms).all():
        raise ValueError("crop_to_image must be finite; compute it with boxes.crop_to_image()")
    points, scores, covariances, valid = decode_heatmaps(heatmaps, method, sigma, crop)
    h, w = heatmaps.shape[2:]
    if input_size[0] / w != input_size[1] / h:
        raise ValueError(
            f"input_size {input_size} and heatmap size {(w, h)} (width, height) give different "
            "strides on the two axes"
        )

    cell_to_image = cell_pitch(input_size, (w, h), crop) * transforms[:, None, :, :2]
    keypoints = (cell_to_image @ points[..., None])[..., 0] + transforms[:, None, :, 2]
    spread = cell_to_image @ covariances @ cell_to_image.swapaxes(-1, -2)
    spread[..., 1, 0] = spread[..., 0, 1]  # rounding must not leave it asymmetric
    return Poses(keypoints.astype(np.float32), scores, spread.astype(np.float32), valid, skeleton)


def _quarter_offsets(maps: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return offsets ``[M, 2]`` of the peaks at ``cells [M, 2]`` of ``maps [M, h, w]``."""
    h, w = maps.shape[1:]
    offsets = np.zeros(cells.shape)
    m = np.flatnonzero(((cells > 1) & (cells < (w - 1, h - 1))).all(axis=1))
    x, y = cells[m].T
    offsets[m, 0] = 0.25 * np.sign(maps[m, y, x + 1] - maps[m, y, x - 1])
    offsets[m, 1] = 0.25 * np.sign(maps[m, y + 1, x] - maps[m, y - 1, x])
    return offsets


def _taylor_offsets(
    relative: np.ndarray,
    cells: np.ndarray,
    peaks: np.ndarray,
    kernel_size: int,
    crop: CropRule,
) -> np.ndarray:
    """Return DARK's offsets ``[M, 2]`` of the peaks at ``cells [M, 2]``.

    ``relative [M, h, w]`` are the maps divided by their ``peaks [M]``, which keeps them within the
    range of float32.
    """
    h, w = relative.shape[1:]
    offsets = np.zeros(cells.shape)
    far = REACHES[crop]
    fits = np.flatnonzero(((cells > far - 1) & (cells < (w - far, h - far))).all(axis=1))
    if not fits.size:
        return offsets
    if len(fits) < len(relative):
        relative, cells, peaks = relative[fits], cells[fits], peaks[fits]
    blurred = _blur(relative, kernel_size)
    highest = blurred.reshape(len(blurred), h * w).max(axis=1).astype(np.float64)

    reach = np.arange(-far, far + 1)
    x, y = cells.T
    stencil = blurred[
        np.arange(len(blurred))[:, None, None],
        (y[:, None] + reach)[:, :, None],
        (x[:, None] + reach)[:, None, :],
    ]
    with np.errstate(all="ignore"):  # a map that blurs to zero gives NaN: the argmax is kept
        restored = stencil * (peaks / highest)[:, None, None]
        log = np.log(np.maximum(restored, LOG_FLOORS[crop]))
        places = range(-far, far + 1)
        at = {(i, j): log[:, far + j, far + i] for i in places for j in places}  # right, down
        dx = (at[1, 0] - at[-1, 0]) / 2
        dy = (at[0, 1] - at[0, -1]) / 2
        dxx = (at[far, 0] - 2 * at[0, 0] + at[-far, 0]) / far**2
        dyy = (at[0, far] - 2 * at[0, 0] + at[0, -far]) / far**2
        if crop == "udp":  # the two corners on one diagonal, as published
            across = at[1, 0] + at[0, 1] + at[-1, 0] + at[0, -1]
            dxy = (at[1, 1] + at[-1, -1] + 2 * at[0, 0] - across) / 2
        else:
            dxy = (at[1, 1] - at[1, -1] - at[-1, 1] + at[-1, -1]) / 4
        determinant = dxx * dyy - dxy * dxy
        step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=1) / determinant[:, None]
        peaked = (highest > 0) & (dxx < 0) & (determinant > 0)
        taken = peaked & (np.abs(step) <= MAX_STEP).all(axis=1)
    offsets[fits[taken]] = step[taken]
    return offsets


def _blur(maps: np.ndarray, kernel_size: int) -> np.ndarray:
    """Apply a Gaussian blur to ``maps [M, h, w]``, zero outside, as products with band matrices.

    At these sizes the products take half as long as ``cv2.GaussianBlur`` of padded maps.
    """
    _, h, w = maps.shape
    return blur_matrix(h, kernel_size) @ (maps @ blur_matrix(w, kernel_size))


def blur_matrix(size: int, kernel_size: int) -> np.ndarray:
    """Return the symmetric float32 ``[size, size]`` matrix that applies OpenCV's Gaussian kernel.

    Multiplying a signal by it convolves the signal, zero outside, with the kernel.
    """
    kernel = cv2.getGaussianKernel(kernel_size, 0, cv2.CV_32F)[:, 0]
    radius = kernel_size // 2
    place = np.arange(size)
    shift = place[:, None] - place + radius
    inside = (shift >= 0) & (shift < kernel_size)
    return np.where(inside, kernel[np.clip(shift, 0, kernel_size - 1)], np.float32(0))


def _covariances(relative: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return covariances ``[M, 2, 2]`` in cells² about ``points [M, 2]``.

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
