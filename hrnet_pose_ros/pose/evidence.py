# SPDX-License-Identifier: Apache-2.0
"""Evidence for or against a key point, besides its own heatmap peak.

All evidence is computed from poses, boxes and the image size, which every engine provides, so that
a model's uncertainty calibration (pose/uncertainty.py) weights the same evidence on every engine.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import SkeletonDefinition

# This order is used everywhere. The fit decides the sign of each weight, so whether an item counts
# for or against a key point.
EVIDENCE: tuple[str, ...] = (
    "heatmap_spread",  # log of (trace of the heatmap's covariance / area of the box)
    "limb_peaks",  # mean peak of the joints at the other ends of its limbs
    "other_peaks",  # mean peak of the person's other joints
    "on_mirror",  # 1 if it lies on its mirrored joint (both on one foot), 0 far from it
    "outside_box",  # distance outside of its box, as a fraction of the box's side
    "at_cut",  # 1 if it lies on an image border that cuts the box, 0 far from it
)

# Length scales of on_mirror and at_cut, as fractions of the square root of the box's area.
MIRROR_REACH = 0.05
CUT_REACH = 0.1

# An image border cuts a box if their distance is at most this fraction of the image's longer side,
# or at most this many pixels: annotated and detected boxes end slightly before the border.
CUT_MARGIN = 0.01
CUT_MARGIN_PX = 2.0


@lru_cache(maxsize=8)
def _means(skeleton: SkeletonDefinition) -> tuple[np.ndarray, np.ndarray]:
    """Return two float64 ``[J, J]``, which map peaks to means over other joints.

    The first to the means over the other ends of a joint's limbs (0 for a joint without limbs), the
    second to those over all other joints.
    """
    joints = skeleton.joints
    ends = np.zeros((joints, joints))
    for a, b in skeleton.limbs:
        ends[a, b] = ends[b, a] = 1
    limbs = ends / np.maximum(ends.sum(axis=0), 1)
    return limbs, (1 - np.eye(joints)) / max(joints - 1, 1)


def evidence_of(poses: Poses, boxes: np.ndarray, image_sizes: np.ndarray) -> np.ndarray:
    """Return the `EVIDENCE` of each key point: float64 ``[6, N, J]``, 0 if it is not valid.

    Parameters
    ----------
    poses
        N poses as decoded: scores are raw peaks.
    boxes
        float ``[N, 4]``: the boxes of the poses; x, y, width, height in image pixels.
    image_sizes
        ``[2]`` or ``[N, 2]``: (width, height) of the image in pixels.
    """
    boxes = np.asarray(boxes, np.float64)
    left, top, width, height = boxes.T[..., None]
    areas = width * height
    valid = poses.valid
    x = poses.keypoints[..., 0].astype(np.float64)
    y = poses.keypoints[..., 1].astype(np.float64)
    peaks = poses.scores.astype(np.float64)
    traces = poses.covariances[..., 0, 0] + poses.covariances[..., 1, 1].astype(np.float64)
    some_invalid = not valid.all()  # their NaN must not propagate
    if some_invalid:
        x, y, traces = np.where(valid, x, left), np.where(valid, y, top), np.where(valid, traces, 1)

    limb_means, other_means = _means(poses.skeleton)
    mirrored = poses.skeleton.mirrored
    evidence = np.empty((len(EVIDENCE), *x.shape))
    np.log(traces / areas, out=evidence[0])
    np.matmul(peaks, limb_means, out=evidence[1])
    np.matmul(peaks, other_means, out=evidence[2])
    apart = (x - x[:, mirrored]) ** 2 + (y - y[:, mirrored]) ** 2
    np.exp(apart / (-(MIRROR_REACH**2) * areas), out=evidence[3])
    evidence[3, :, mirrored == np.arange(len(mirrored))] = 0  # a joint that is its own mirror
    beyond = np.abs((x - left) / width - 0.5), np.abs((y - top) / height - 0.5)
    np.maximum(np.maximum(*beyond) - 0.5, 0, out=evidence[4])
    evidence[5] = _at_cut(x, y, boxes, image_sizes, CUT_REACH * np.sqrt(areas))
    if some_invalid:
        evidence[3] *= valid[:, mirrored]
        evidence *= valid
    return evidence


def cut_sides(boxes: np.ndarray, image_sizes: np.ndarray) -> np.ndarray:
    """Return bool ``[N, 4]``: whether the left, top, right and bottom image border cuts the box.

    boxes: float ``[N, 4]``; image_sizes: ``[2]`` or ``[N, 2]``, (width, height) in pixels.
    """
    sizes = np.asarray(image_sizes, np.float64).reshape(-1, 2)
    margins = np.maximum(sizes.max(axis=1, keepdims=True) * CUT_MARGIN, CUT_MARGIN_PX)
    cut = np.empty((len(boxes), 4), bool)
    np.less_equal(boxes[:, :2], margins, out=cut[:, :2])
    np.greater_equal(boxes[:, :2] + boxes[:, 2:], sizes - margins, out=cut[:, 2:])
    return cut


def _at_cut(
    x: np.ndarray, y: np.ndarray, boxes: np.ndarray, image_sizes: np.ndarray, reach: np.ndarray
) -> np.ndarray:
    """Return float64 ``[N, J]`` for key points at x and y ``[N, J]``; reach: ``[N, 1]`` px."""
    cut = cut_sides(boxes, image_sizes).T
    if not cut.any():
        return np.zeros(x.shape)
    last_x, last_y = np.asarray(image_sizes, np.float64).reshape(-1, 2).T[..., None] - 1
    apart = np.abs([x, y, last_x - x, last_y - y])
    apart[~cut] = np.inf
    return np.exp(-apart.min(axis=0) / reach)
