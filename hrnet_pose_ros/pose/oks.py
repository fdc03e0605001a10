# SPDX-License-Identifier: Apache-2.0
"""Object key point similarity (OKS) between pairs of poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hrnet_pose_ros.pose.boxes import PADDING
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition

# A standing person covers about half of the box from which a crop is made.
PERSON_TO_BOX = 0.5


def oks(
    keypoints_a: ArrayLike,
    keypoints_b: ArrayLike,
    areas: ArrayLike,
    counted: ArrayLike,
    skeleton: SkeletonDefinition = COCO17,
) -> np.ndarray:
    """Return COCO's object key point similarity of each pair of poses.

    It is the mean of ``exp(-d² / (2 · area · k²))`` over the counted joints, with ``k`` twice the
    joint's sigma (COCO key point evaluation). A counted joint that is not finite in one of the
    poses has similarity 0.

    Parameters
    ----------
    keypoints_a, keypoints_b
        float ``[N, J, 2]``: x and y in pixels.
    areas
        float ``[N]``: the persons' areas in px², above 0.
    counted
        bool ``[N, J]``: the joints to include.
    skeleton
        The definition of the J joints, for their sigmas.

    Returns
    -------
    float64 ``[N]`` in [0, 1]; NaN where no joint is counted.

    Raises
    ------
    ValueError
        A shape is wrong, or an area is not finite or not above 0.
    """
    a, b = np.asarray(keypoints_a, np.float64), np.asarray(keypoints_b, np.float64)
    area, mask = np.asarray(areas, np.float64), np.asarray(counted, bool)
    n, joints = len(a), skeleton.joints
    for name, array, shape in (
        ("keypoints_a", a, (n, joints, 2)),
        ("keypoints_b", b, (n, joints, 2)),
        ("areas", area, (n,)),
        ("counted", mask, (n, joints)),
    ):
        if array.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    bad = np.flatnonzero(~((area > 0) & (area < np.inf)))
    if bad.size:
        raise ValueError(f"areas[{bad[0]}] must be finite and above 0 px², got {area[bad[0]]}")

    with np.errstate(invalid="ignore", over="ignore"):
        squared = ((a - b) ** 2).sum(axis=-1)
        similarity = np.exp(-squared / (2 * area[:, None] * (2 * skeleton.sigmas) ** 2))
    similarity = np.where(mask & np.isfinite(similarity), similarity, 0.0)
    number = mask.sum(axis=1)
    return np.where(number > 0, similarity.sum(axis=1) / np.maximum(number, 1), np.nan)


def mean_crop_oks(
    keypoints_a: ArrayLike,
    keypoints_b: ArrayLike,
    crop_size: tuple[int, int],
    counted: ArrayLike,
    skeleton: SkeletonDefinition = COCO17,
) -> float:
    """Return the mean OKS of poses in crops of one person each, as the agreement of two networks.

    Parameters
    ----------
    keypoints_a, keypoints_b
        float ``[N, J, 2]``: x and y in pixels of the crops.
    crop_size
        (width, height) of the crops in pixels. The area is that of a typical person in such a crop,
        whose box is padded by 1.25.
    counted
        bool ``[N, J]``: the joints to include.
    skeleton
        The definition of the J joints, for their sigmas.

    Returns
    -------
    A mean in [0, 1] over the persons with at least one counted joint; NaN if there are none.
    """
    width, height = crop_size
    areas = np.full(len(np.asarray(counted)), PERSON_TO_BOX * width * height / PADDING**2)
    similarities = oks(keypoints_a, keypoints_b, areas, counted, skeleton)
    seen = similarities[np.isfinite(similarities)]
    return float(seen.mean()) if len(seen) else float("nan")
