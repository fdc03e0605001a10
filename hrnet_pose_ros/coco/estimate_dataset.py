# SPDX-License-Identifier: Apache-2.0
"""Runs an engine on a data set with the same code that runs on the vehicle."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.nms import oks_nms, padded_areas
from hrnet_pose_ros.coco.person_boxes import PersonBoxes
from hrnet_pose_ros.coco.results import coco_results
from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.image_files import read_annotated_image
from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.progress import progress

# Number of images that are read ahead of the engine.
AHEAD = 8


@dataclass(frozen=True)
class DatasetPoses:
    """The M raw poses that an engine estimated for the boxes of a data set, in the same order."""

    boxes: PersonBoxes
    poses: Poses
    input_size: tuple[int, int]
    crop: CropRule = "reference"

    def scores(self) -> np.ndarray:
        """float64 ``[M]``: the person scores, from raw peaks and box scores."""
        return self.poses.person_scores().astype(np.float64) * self.boxes.scores

    def kept(self) -> np.ndarray:
        """Indices ``[K]`` of the poses left by OKS-NMS: by image, best score first."""
        scores, areas = self.scores(), padded_areas(self.boxes.boxes, self.input_size)
        kept: list[np.ndarray] = []
        for image in np.unique(self.boxes.image_index):
            inside = np.flatnonzero(self.boxes.image_index == image)
            kept.append(inside[oks_nms(self.poses.select(inside), scores[inside], areas[inside])])
        return np.concatenate(kept)

    def results(self, annotations: PersonAnnotations) -> list[dict]:
        """COCO results of the poses left by OKS-NMS."""
        kept = self.kept()
        image_ids = annotations.image_ids[self.boxes.image_index[kept]].tolist()
        records = coco_results(
            self.poses.select(kept), self.boxes.scores[kept], annotations.category_id
        )
        return [{"image_id": i, **record} for i, record in zip(image_ids, records, strict=True)]


def estimate_dataset(
    engine: PoseEngine, annotations: PersonAnnotations, images: Path, boxes: PersonBoxes
) -> DatasetPoses:
    """Estimate the pose of each box; all boxes of an image are passed in one call.

    The poses are raw: person scores are computed from peaks, with or without calibration.

    Raises
    ------
    ValueError
        There are no boxes, the annotations were read for another skeleton, or an image is missing,
        unreadable, truncated, turned, or not of the annotated size.
    """
    if not len(boxes):
        raise ValueError(f"there are no person boxes to estimate in '{annotations.path}'")
    found, places = np.unique(boxes.image_index, return_index=True)
    skeleton = engine.info.skeleton
    if different := annotations.skeleton.differences(skeleton):
        raise ValueError(f"the annotations and the model have different skeletons: {different}")
    parts = []
    frames = read_images(annotations, images, found)
    bar = progress(engine.info.model, "image", len(found), frames)
    for frame, start, end in zip(bar, places, [*places[1:], len(boxes)], strict=True):
        parts.append(engine.raw_poses(frame, boxes.boxes[start:end]))
    size = (engine.info.input_width, engine.info.input_height)
    return DatasetPoses(boxes, Poses.concatenate(parts), size, engine.info.crop)


def read_images(
    annotations: PersonAnnotations, folder: Path, wanted: np.ndarray
) -> Iterator[np.ndarray]:
    """The images at these indices of the annotations, uint8 RGB ``[H, W, 3]``, in this order.

    Another thread decodes a few images ahead. Raises ValueError as `read_annotated_image` does.
    """

    def read(image: int) -> np.ndarray:
        return read_annotated_image(
            folder / annotations.image_files[image], annotations.image_sizes[image]
        )

    with ThreadPoolExecutor(1) as reader:
        waiting: deque[Future[np.ndarray]] = deque()
        try:
            for image in wanted:
                waiting.append(reader.submit(read, image))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()
