# SPDX-License-Identifier: Apache-2.0
"""Reads COCO key point annotation files into arrays.

Training and evaluation both use `read_annotations`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.skeleton import JOINT_NAMES, JOINTS


class AnnotationError(ValueError):
    """An annotation file is missing or invalid; the message says where."""


@dataclass(frozen=True)
class PersonAnnotations:
    """Images and labelled persons of one annotation file: I images, N persons, in file order.

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
        int64 ``[N]``: the annotation ids.
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

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> np.ndarray:
        """bool ``[N, 17]``: the joint is labelled."""
        return self.visibility > 0


def read_annotations(path: str | Path) -> PersonAnnotations:
    """Read a file in COCO's key point format.

    Raises
    ------
    AnnotationError
        The file does not exist, is not JSON or has another skeleton, or an entry lacks a field, has
        the wrong number of values, is not finite, or refers to an image that is not in the file.
    """
    path = Path(path)
    content = _read_json(path)
    _check_skeleton(content["categories"], path)
    images = _records(content["images"], ("id", "file_name", "width", "height"), "image", path)
    persons = _records(
        content["annotations"], ("id", "image_id", "bbox", "keypoints"), "annotation", path
    )
    place = {image["id"]: index for index, image in enumerate(images)}
    if len(place) < len(images):
        raise AnnotationError(f"'{path}': two images have the same id")
    for person in persons:
        if person["image_id"] not in place:
            raise AnnotationError(
                f"'{path}': annotation {person['id']} is in image {person['image_id']}, "
                "which the file does not list"
            )
    boxes = _numbers(persons, "bbox", 4, path)
    points = _numbers(persons, "keypoints", 3 * JOINTS, path).reshape(-1, JOINTS, 3)
    return PersonAnnotations(
        path=path,
        image_ids=np.array([image["id"] for image in images], np.int64),
        image_files=tuple(str(image["file_name"]) for image in images),
        image_sizes=np.array([(i["width"], i["height"]) for i in images], np.int64).reshape(-1, 2),
        ids=np.array([person["id"] for person in persons], np.int64),
        image_index=np.array([place[person["image_id"]] for person in persons], np.int64),
        boxes=boxes,
        areas=np.array(
            [p.get("area", box[2] * box[3]) for p, box in zip(persons, boxes, strict=True)],
            np.float64,
        ),
        crowd=np.array([bool(person.get("iscrowd", 0)) for person in persons], bool),
        keypoints=np.ascontiguousarray(points[:, :, :2]),
        visibility=points[:, :, 2].astype(np.uint8),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"cannot read annotations '{path}': {error.strerror}") from error
    except ValueError as error:
        raise AnnotationError(f"'{path}' is not a JSON file: {error}") from error
    required = ("images", "annotations", "categories")
    missing = [key for key in required if not isinstance(content, dict) or key not in content]
    if missing:
        raise AnnotationError(
            f"'{path}' is not a COCO annotation file: it has no {', '.join(map(repr, missing))}"
        )
    return content


def _check_skeleton(categories: Any, path: Path) -> None:
    names = [category.get("keypoints") for category in categories if isinstance(category, dict)]
    if list(JOINT_NAMES) not in names:
        raise AnnotationError(
            f"'{path}' has no category with COCO's {JOINTS} joints (person_keypoints files do)"
        )


def _records(entries: Any, fields: tuple[str, ...], what: str, path: Path) -> list[dict[str, Any]]:
    for number, entry in enumerate(entries):
        missing = [f for f in fields if not isinstance(entry, dict) or f not in entry]
        if missing:
            raise AnnotationError(
                f"'{path}': {what} number {number} has no {', '.join(map(repr, missing))}"
            )
    return list(entries)


def _numbers(persons: list[dict[str, Any]], field: str, count: int, path: Path) -> np.ndarray:
    for person in persons:
        if len(person[field]) != count:
            raise AnnotationError(
                f"'{path}': annotation {person['id']} has {len(person[field])} numbers in "
                f"'{field}', expected {count}"
            )
    values = np.array([person[field] for person in persons], np.float64).reshape(-1, count)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise AnnotationError(
            f"'{path}': '{field}' of annotation {persons[bad[0]]['id']} is not finite"
        )
    return values
