# SPDX-License-Identifier: Apache-2.0
"""The bundled clip's labelled images with their detector's boxes, and the rules of equality."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from pathlib import Path

import numpy as np

from hrnet_pose_ros.pipeline.images import rgb_frame_of_compressed
from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.oks import PERSON_TO_BOX, oks
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD, Poses
from hrnet_pose_ros.replay.bags import BagReader

ROOT = Path(__file__).resolve().parents[2]
STRIDE = 4

# Largest distance in heatmap cells of 99 % of the valid key points, and least mean OKS, against
# float32 (docs/architecture.md).
RULES = {"float32": (0.05, 0.999), "float16": (0.25, 0.995)}


def street() -> list[tuple[np.ndarray, np.ndarray]]:
    """RGB frames ``[576, 768, 3]`` and boxes ``[N, 4]`` of the labelled images."""
    labels = json.loads((ROOT / "test" / "data" / "street_keypoints.json").read_text())
    boxes: dict[int, list] = {}
    for annotation in labels["annotations"]:
        boxes.setdefault(annotation["image_id"], []).append(annotation["bbox"])
    return [(frame, np.array(boxes[number], np.float32)) for number, frame in clip_frames(boxes)]


def clip_frames(wanted: Container[int]) -> Iterator[tuple[int, np.ndarray]]:
    """``(number, RGB frame [576, 768, 3])`` of the bundled clip's images with these numbers."""
    with BagReader(ROOT / "demo" / "street_bag") as bag:
        for number, item in enumerate(bag.messages(["/camera/image/compressed"])):
            if number in wanted:
                yield number, rgb_frame_of_compressed(item.message)


def agreement(
    ours: Poses, theirs: Poses, boxes: np.ndarray, input_size: tuple[int, int], cells: float
) -> tuple[float, float]:
    """Share of the valid key points within so many cells, and the mean OKS."""
    scale = np.linalg.norm(crop_to_image(boxes, input_size)[:, :, 0], axis=1)  # px a crop pixel
    distances = np.linalg.norm(ours.keypoints - theirs.keypoints, axis=-1)
    within = distances / (STRIDE * scale[:, None]) <= cells
    counted = theirs.valid & (theirs.scores > PERSON_SCORE_THRESHOLD)
    similarity = oks(
        ours.keypoints, theirs.keypoints, PERSON_TO_BOX * boxes[:, 2] * boxes[:, 3], counted
    )
    return float(within[theirs.valid].mean()), float(np.nanmean(similarity))
