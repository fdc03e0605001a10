# SPDX-License-Identifier: Apache-2.0
"""Person boxes for an evaluation, from a detection file or from the annotations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.json_records import AnnotationError, read_json, records_of
from hrnet_pose_ros.pose.boxes import usable_boxes


@dataclass(frozen=True)
class PersonBoxes:
    """M boxes to estimate a pose for, sorted by image.

    Attributes
    ----------
    image_index
        int64 ``[M]``, ascending: index of the image in the annotations.
    boxes
        float64 ``[M, 4]``: x, y, width, height in image pixels.
    scores
        float64 ``[M]``, from the detector; 1 for boxes from the annotations.
    persons
        int64 ``[M]``: index of the annotated person; -1 for boxes from a detector.
    """

    image_index: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    persons: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


def ground_truth_boxes(annotations: PersonAnnotations) -> PersonBoxes:
    """The annotated boxes of persons with at least one labelled joint, without crowds.

    Boxes that lie entirely outside their image or have a side below 1 px are left out.
    """
    wanted = ~annotations.crowd & annotations.labelled.any(axis=1)
    wanted &= _usable(annotations, annotations.image_index, annotations.boxes)
    persons = np.flatnonzero(wanted)
    persons = persons[np.argsort(annotations.image_index[persons], kind="stable")]
    return PersonBoxes(
        annotations.image_index[persons],
        annotations.boxes[persons],
        np.ones(len(persons)),
        persons,
    )


def read_detections(path: str | Path, annotations: PersonAnnotations) -> PersonBoxes:
    """Read detector boxes in the published format of COCO person detections.

    The format is a list of ``{"image_id", "category_id", "bbox": [x, y, width, height], "score"}``.
    Only detections of the annotations' person category in images of the annotations are used;
    degenerate boxes are skipped.

    Raises
    ------
    AnnotationError
        The file does not exist, is not JSON or contains an invalid record; or no record refers to
        an image of the annotations, which means that the two files do not belong together.
    """
    path = Path(path)
    records = read_json(path, "detections")
    place = {int(image): index for index, image in enumerate(annotations.image_ids)}
    categories: Counter[int] = Counter()
    images, boxes, scores = [], [], []
    for record in records_of(records, "detection", path):
        category, image = record.integer("category_id"), record.integer("image_id")
        box, score = record.numbers("bbox", 4), record.number_of("score")
        if category == 0 != annotations.category_id:
            raise record.error(
                "category_id",
                f"the numbering of '{annotations.path}', where persons have category_id "
                f"{annotations.category_id}: in a file that counts from 0, 1 is another class",
            )
        categories[category] += image in place
        if category == annotations.category_id and image in place:
            images.append(place[image])
            boxes.append(box)
            scores.append(score)
    if not images:
        found = ", ".join(f"{n} of category_id {c}" for c, n in categories.most_common(5) if n)
        raise AnnotationError(
            f"'{path}' has no person detection (category_id {annotations.category_id}) in any "
            f"image of '{annotations.path}' ({found or 'no detection at all'} in its images): use "
            "detections of the same images with the same category_id"
        )
    image_index, box_array = np.array(images, np.int64), np.array(boxes, np.float64)
    taken = np.flatnonzero(_usable(annotations, image_index, box_array))
    taken = taken[np.argsort(image_index[taken], kind="stable")]
    return PersonBoxes(
        image_index[taken],
        box_array[taken],
        np.array(scores)[taken],
        np.full(len(taken), -1, np.int64),
    )


def _usable(
    annotations: PersonAnnotations, image_index: np.ndarray, boxes: np.ndarray
) -> np.ndarray:
    usable = np.zeros(len(boxes), bool)
    for image in np.unique(image_index):
        inside = image_index == image
        width, height = annotations.image_sizes[image]
        usable[inside] = usable_boxes(boxes[inside], (float(width), float(height)))
    return usable
