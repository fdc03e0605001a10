# SPDX-License-Identifier: Apache-2.0
"""OKS-NMS of the HRNet reference: suppresses duplicate poses of the same person."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.oks import oks
from hrnet_pose_ros.pose.poses import Poses

# Of two poses in one image whose OKS exceeds this, the better one is kept (HRNet reference).
OKS_THRESHOLD = 0.9


def padded_areas(boxes: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
    """Areas ``[N]`` in px² of the boxes ``[N, 4]`` extended to the input's aspect and padded."""
    scales = crop_to_image(boxes, input_size)[:, 0, 0]
    return scales**2 * input_size[0] * input_size[1]


def oks_nms(
    poses: Poses, scores: np.ndarray, areas: np.ndarray, threshold: float = OKS_THRESHOLD
) -> np.ndarray:
    """Indices of the poses of one image that are kept, best score first.

    Greedy: the pose with the best score is kept, those whose OKS with it exceeds the threshold are
    removed, and so on. The OKS of two poses is taken over the joints that are valid in either of
    them, at the mean of their areas; a joint that is valid in one only counts 0.

    Parameters
    ----------
    poses
        N poses.
    scores
        float ``[N]``, the person scores; of equal ones the first is kept.
    areas
        float ``[N]`` px², from `padded_areas`.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        similar = oks(
            np.broadcast_to(poses.keypoints[best], poses.keypoints[rest].shape),
            poses.keypoints[rest],
            (areas[best] + areas[rest]) / 2,
            poses.valid[best] | poses.valid[rest],
            poses.skeleton,
        )
        order = rest[~(similar > threshold)]  # NaN if no joint is valid: the pose is kept
    return np.array(kept, np.int64)
