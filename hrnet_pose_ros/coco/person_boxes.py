# SPDX-License-Identifier: Apache-2.0
"""Person boxes for an evaluation, from a detection file or from the annotations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrnet_pose_ros.coco.annotations import AnnotationError, PersonAnnotations
from hrnet_pose_ros.coco.results import PERSON
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
    Only persons (category 1) in images of the annotations are used; degenerate boxes are skipped.

    Raises
    ------
    AnnotationError
        The file does not exist, is not JSON or contains an invalid record; or no record refers to
        an image of the annotations, which means that the two files do not belong together.
    """
    path = Path(path)
    try:
        records = json.loads(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"cannot read detections '{path}': {error.strerror}") from error
    except ValueError as error:
        raise AnnotationError(f"'{path}' is not a JSON file: {error}") from error
    if not isinstance(records, list):
        raise AnnotationError(
            f"'{path}' must contain a list of detections, not {type(records).__name__}"
        )
    place = {int(image): index for index, image in enumerate(annotations.image_ids)}
    images, boxes, scores = [], [], []
    for number, record in enumerate(records):
        try:
            if record["category_id"] != PERSON or record["image_id"] not in place:
                continue
            x, y, width, height = (float(side) for side in record["bbox"])
            scores.append(float(record["score"]))
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(
                f"'{path}': detection number {number} must have image_id, category_id, bbox of "
                f"4 numbers and score ({type(error).__name__}: {error})"
            ) from None
        images.append(place[record["image_id"]])
        boxes.append((x, y, width, height))
    if not images:
        raise AnnotationError(
            f"'{path}' has no person detection in any image of '{annotations.path}': use "
            "detections "
            "of the same images"
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
