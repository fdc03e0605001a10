# SPDX-License-Identifier: Apache-2.0
"""COCO's key point result format, with one record per person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hrnet_pose_ros.pose.poses import Poses

PERSON = 1  # COCO's category


def coco_results(poses: Poses, box_scores: np.ndarray, category_id: int = PERSON) -> Iterator[dict]:
    """COCO key point results of N persons of one image, without ``image_id``.

    The person's score is the mean of its key point scores above 0.2 times the box's score (HRNet
    reference). A joint that is not valid is 0, 0 with score 0.

    There is no ``bbox``, as in the results of the HRNet reference: COCO's evaluators would use its
    area as the person's area instead of the extent of the key points. That area decides which
    unmatched results count as medium or large persons, so with a ``bbox`` APM and APL would not be
    comparable with published results.

    Parameters
    ----------
    poses
        N poses; for an evaluation, raw poses, whose scores are heatmap peaks.
    box_scores
        float ``[N]``.
    category_id
        The persons' category; for an evaluation, that of the annotations.
    """
    keypoints = np.concatenate([poses.keypoints, poses.scores[..., None]], axis=2)
    keypoints = np.where(poses.valid[..., None], keypoints, 0).astype(np.float64).round(3)
    scores = poses.person_scores() * box_scores
    for person in range(len(poses)):
        record: dict[str, Any] = {
            "category_id": category_id,
            "keypoints": keypoints[person].ravel().tolist(),
            "score": float(scores[person]),
        }
        yield record
