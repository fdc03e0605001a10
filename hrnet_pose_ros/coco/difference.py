# SPDX-License-Identifier: Apache-2.0
"""Key point differences between two engines on the same boxes, for example of two precisions."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.model_files.metadata import STRIDE
from hrnet_pose_ros.pose.boxes import cell_pitch, crop_to_image
from hrnet_pose_ros.pose.oks import PERSON_TO_BOX, oks
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD

PERCENTILES = (50, 90, 95, 99, 100)
# The fraction of key points within each of these distances in cells is reported (equality of
# engines, docs/architecture.md).
NEAR_CELLS = (0.05, 0.25)


def pose_difference(a: DatasetPoses, b: DatasetPoses) -> dict[str, Any]:
    """Distribution of the differences between two engines' poses of the same boxes.

    Only joints that are valid in both count for distances. A cell is one of the first engine's
    heatmap cells. The OKS of two poses is taken at 0.5 times the box's area, over the joints that
    are valid in the first with a score above 0.2; persons without such a joint are left out.

    Returns
    -------
    ``joints``: number compared; ``px``, ``cells`` and ``oks``: percentile to value (for OKS from
    the other end: 90 is the value that 90 % of the persons reach or exceed) and ``mean``;
    ``fraction_within_cells``: limit to fraction; ``valid_in_one_only``: joints. Values are None if
    nothing can be compared.

    Raises
    ------
    ValueError
        The two were not estimated on the same boxes, or their skeletons differ.
    """
    if not np.array_equal(a.boxes.boxes, b.boxes.boxes):
        raise ValueError("the two engines were not run on the same boxes")
    if different := a.poses.skeleton.differences(b.poses.skeleton):
        raise ValueError(f"the two models have different skeletons: {different}")
    both = a.poses.valid & b.poses.valid
    moved = np.linalg.norm(
        a.poses.keypoints.astype(np.float64) - b.poses.keypoints.astype(np.float64), axis=-1
    )
    heatmap_size = (a.input_size[0] // STRIDE, a.input_size[1] // STRIDE)
    pitch = cell_pitch(a.input_size, heatmap_size, a.crop)
    cell_px = pitch[0] * crop_to_image(a.boxes.boxes, a.input_size, a.crop)[:, 0, 0]
    px, cells = moved[both], (moved / cell_px[:, None])[both]
    counted = a.poses.valid & (a.poses.scores > PERSON_SCORE_THRESHOLD)
    areas = PERSON_TO_BOX * a.boxes.boxes[:, 2:].prod(axis=1)
    similar = oks(a.poses.keypoints, b.poses.keypoints, areas, counted, a.poses.skeleton)
    similar = similar[np.isfinite(similar)]
    return {
        "joints": int(both.sum()),
        "valid_in_one_only": int((a.poses.valid ^ b.poses.valid).sum()),
        "px": _distribution(px),
        "cells": _distribution(cells),
        "fraction_within_cells": {
            f"{limit:g}": float((cells <= limit).mean()) if len(cells) else None
            for limit in NEAR_CELLS
        },
        "oks": _distribution(similar, from_the_top=True),
    }


def _distribution(values: np.ndarray, from_the_top: bool = False) -> dict[str, float | None]:
    distribution: dict[str, float | None] = dict.fromkeys(["mean", *map(str, PERCENTILES)])
    if not len(values):
        return distribution
    places = [100 - p for p in PERCENTILES] if from_the_top else list(PERCENTILES)
    found = np.percentile(values, places)
    distribution["mean"] = float(values.mean())
    distribution |= {str(p): float(v) for p, v in zip(PERCENTILES, found, strict=True)}
    return distribution
