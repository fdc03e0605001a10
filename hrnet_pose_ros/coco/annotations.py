# SPDX-License-Identifier: Apache-2.0
"""Reads COCO key point annotation files into arrays.

Training and evaluation both use `read_annotations`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrnet_pose_ros.coco.categories import persons_of
from hrnet_pose_ros.coco.json_records import AnnotationError as AnnotationError
from hrnet_pose_ros.coco.json_records import Record, read_json, records_of
from hrnet_pose_ros.coco.results import PERSON
from hrnet_pose_ros.skeleton import JOINTS

# A person's segment as a fraction of the box: 0.1 to 1 in COCO, 0.53 at the median (measured on
# 5654 persons of train2017). Beyond these limits the areas are not in px², and OKS means nothing.
AREA_OF_ONE = (0.001, 2.0)
AREA_AT_MEDIAN = (0.02, 1.5)


@dataclass(frozen=True)
class PersonAnnotations:
    """Images and labelled persons of one annotation file: I images, N persons, in file order.

    Annotations of other categories than the persons' are left out.

    Attributes
    ----------
    path
        The file.
    image_ids
        int64 ``[I]``.
    image_files
        ``[I]`` file names, relative to the folder of images.
    image_sizes
        int64 ``[I, 2]``: width and height in pixels.
    ids
        int64 ``[N]``: the annotation ids; some tools write one several times.
    image_index
        int64 ``[N]``: which of the I images the person is in.
    boxes
        float64 ``[N, 4]``: x, y, width, height in image pixels, as in the file.
    areas
        float64 ``[N]``: the person's segment in px².
    crowd
        bool ``[N]``: the annotation is a group, not a person.
    keypoints
        float64 ``[N, 17, 2]``: x and y in image pixels; (0, 0) where not labelled.
    visibility
        uint8 ``[N, 17]``: 0 not labelled, 1 labelled but hidden, 2 visible.
    category_id
        The id of the persons' category in the file.
    """

    path: Path
    image_ids: np.ndarray
    image_files: tuple[str, ...]
    image_sizes: np.ndarray
    ids: np.ndarray
    image_index: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray
    category_id: int = PERSON

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> np.ndarray:
        """bool ``[N, 17]``: the joint is labelled."""
        return self.visibility > 0


def read_annotations(path: str | Path) -> PersonAnnotations:
    """Read a file in COCO's key point format.

    Every value that is used is checked, so that nothing fails or goes wrong later.

    Raises
    ------
    AnnotationError
        The file does not exist, is not JSON or has another skeleton; or an entry lacks a field, has
        a value that the field cannot have, refers to an image or category that is not in the file,
        or contradicts itself. The message names record, field and value.
    """
    path = Path(path)
    content = read_json(path, "annotations")
    required = ("images", "annotations", "categories")
    missing = [key for key in required if not isinstance(content, dict) or key not in content]
    if missing:
        raise AnnotationError(
            f"'{path}' is not a COCO annotation file: it has no {', '.join(map(repr, missing))}"
        )
    images = list(records_of(content["images"], "image", path))
    image_ids = [image.integer("id") for image in images]
    place = {image_id: index for index, image_id in enumerate(image_ids)}
    if len(place) < len(images):
        raise AnnotationError(f"'{path}': two images have the same id")
    entries = list(records_of(content["annotations"], "annotation", path))
    category_id, persons = persons_of(content["categories"], entries, path)
    for person in persons:
        if person.integer("image_id") not in place:
            raise AnnotationError(
                f"'{path}': {person} is in image {person.integer('image_id')}, "
                "which the file does not list"
            )
    boxes = _array((person.numbers("bbox", 4) for person in persons), 4)
    points = _array(map(_labels, persons), 3 * JOINTS).reshape(-1, JOINTS, 3)
    annotations = PersonAnnotations(
        path=path,
        image_ids=np.array(image_ids, np.int64),
        image_files=tuple(image.text("file_name") for image in images),
        image_sizes=np.array(
            [(image.integer("width", 1), image.integer("height", 1)) for image in images], np.int64
        ).reshape(-1, 2),
        ids=np.array([person.integer("id") for person in persons], np.int64),
        image_index=np.array([place[person.integer("image_id")] for person in persons], np.int64),
        boxes=boxes,
        areas=np.array(
            [
                person.number_of("area", 0) if "area" in person else box[2] * box[3]
                for person, box in zip(persons, boxes, strict=True)
            ],
            np.float64,
        ),
        crowd=np.array([_is_crowd(person) for person in persons], bool),
        keypoints=np.ascontiguousarray(points[:, :, :2]),
        visibility=points[:, :, 2].astype(np.uint8),
        category_id=category_id,
    )
    _check_areas(persons, annotations)
    return annotations


def _array(rows: Iterable[list[float]], count: int) -> np.ndarray:
    return np.array(list(rows), np.float64).reshape(-1, count)


def _is_crowd(person: Record) -> bool:
    """COCO's evaluators take every value but 0 for a crowd, "0" as well."""
    crowd = person.fields.get("iscrowd", 0)
    if not isinstance(crowd, (bool, int, float)) or crowd not in (0, 1):
        raise person.error("iscrowd", "0 or 1")
    return bool(crowd)


def _labels(person: Record) -> list[float]:
    """x, y and visibility of each joint, as in the file.

    COCO's evaluators take every visibility above 0 for a label, and ignore persons by
    ``num_keypoints``, whatever the key points say.
    """
    values = person.numbers("keypoints", 3 * JOINTS)
    for joint, visibility in enumerate(values[2::3]):
        if visibility not in (0, 1, 2):
            raise AnnotationError(
                f"'{person.path}': the visibility of joint {joint} in 'keypoints' of {person} is "
                f"{visibility:g}, expected 0 (not labelled), 1 (hidden) or 2 (visible)"
            )
    labelled = sum(visibility > 0 for visibility in values[2::3])
    if "num_keypoints" in person and (person.integer("num_keypoints", 0) == 0) != (labelled == 0):
        raise person.error("num_keypoints", f"{labelled}, the number of labelled joints")
    return values


def _check_areas(persons: list[Record], annotations: PersonAnnotations) -> None:
    """Refuse areas that are not those of segments in px² of labelled persons.

    OKS divides by the area: with one of 0 or in another unit, every figure would be wrong.
    """
    sides = annotations.boxes[:, 2:]
    of_boxes = sides.prod(axis=1)
    counted = np.flatnonzero(
        ~annotations.crowd & annotations.labelled.any(axis=1) & (sides >= 1).all(axis=1)
    )
    if not len(counted):
        return
    fractions = annotations.areas[counted] / of_boxes[counted]
    outside = (fractions < AREA_OF_ONE[0]) | (fractions > AREA_OF_ONE[1])
    way_out = "or remove 'area' from all annotations to take the boxes' areas"
    for number in counted[outside][:1]:
        raise persons[number].error(
            "area",
            f"the person's segment in px² (its box has {of_boxes[number]:.6g} px²; so in "
            f"{outside.sum()} of {len(counted)} labelled persons): correct it, {way_out}",
        )
    median = float(np.median(fractions))
    if not AREA_AT_MEDIAN[0] <= median <= AREA_AT_MEDIAN[1]:
        raise AnnotationError(
            f"'{annotations.path}': the median 'area' of a person is {median:.3g} times that of "
            f"its box, expected the person's segment in px² ({AREA_AT_MEDIAN[0]:g} to "
            f"{AREA_AT_MEDIAN[1]:g} times): correct the areas, {way_out}"
        )
