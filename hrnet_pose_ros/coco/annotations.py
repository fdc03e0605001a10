# SPDX-License-Identifier: Apache-2.0
"""Reads COCO key point annotation files into arrays.

Training and evaluation both use `read_annotations`. The joints are those of the model; their places
in the file follow from the names in the file's category.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition, find_skeleton

# Where COCO-WholeBody's annotations keep the joints beyond COCO's 17, in the order of the skeleton
# "wholebody133"; their category lists only the 17.
WHOLEBODY_PARTS = ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


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
        float64 ``[N, J, 2]``: x and y in image pixels; (0, 0) where not labelled.
    visibility
        uint8 ``[N, J]``: 0 not labelled, 1 labelled but hidden, 2 visible.
    skeleton
        The definition of the J joints.
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
    skeleton: SkeletonDefinition = COCO17

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> np.ndarray:
        """bool ``[N, J]``: the joint is labelled."""
        return self.visibility > 0


def read_annotations(path: str | Path, skeleton: SkeletonDefinition = COCO17) -> PersonAnnotations:
    """Read a file in COCO's key point format.

    Parameters
    ----------
    skeleton
        The joints to read. The file's category must name all of them, in any order; other joints
        of the file are left out. COCO-WholeBody's files are read as they are published.

    Raises
    ------
    AnnotationError
        The file does not exist, is not JSON or lacks a joint, or an entry lacks a field, has
        the wrong number of values, is not finite, or refers to an image that is not in the file.
    """
    path = Path(path)
    content = _read_json(path)
    names, fields = _joints_in(content, path, skeleton)
    images = _records(content["images"], ("id", "file_name", "width", "height"), "image", path)
    persons = _records(
        content["annotations"], ("id", "image_id", "bbox", *fields), "annotation", path
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
    points = _points(persons, names, fields, path)
    if tuple(names) != skeleton.joint_names:
        points = points[:, [names.index(name) for name in skeleton.joint_names]]
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
        visibility=np.ceil(points[:, :, 2]).astype(np.uint8),
        skeleton=skeleton,
    )


def labels_of(
    person: dict[str, Any], names: list[str], fields: tuple[str, ...], skeleton: SkeletonDefinition
) -> list[float]:
    """The labels of one annotation, x, y, v of each of the skeleton's joints."""
    flat = [value for field in fields for value in person[field]]
    places = [names.index(name) for name in skeleton.joint_names]
    return [value for place in places for value in flat[3 * place : 3 * place + 3]]


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


def joints_in(
    content: dict[str, Any], skeleton: SkeletonDefinition
) -> tuple[list[str], tuple[str, ...]]:
    """The joints that a file labels, in its order, and the fields of an annotation with the labels.

    The first category that has all joints of the skeleton; if none has, the one that lacks the
    fewest. Without any category of key points there are no names.
    """
    fields: tuple[str, ...] = ("keypoints",)
    listed = [
        [str(name) for name in category["keypoints"]]
        for category in content["categories"]
        if isinstance(category, dict) and isinstance(category.get("keypoints"), list)
    ]
    persons = content["annotations"]
    whole = list(COCO17.joint_names) in listed and bool(persons)
    if whole and all(isinstance(p, dict) and p.keys() >= {*WHOLEBODY_PARTS} for p in persons):
        listed.append(list(find_skeleton("wholebody133").joint_names))
    names = min(listed, key=lambda one: len(set(skeleton.joint_names) - set(one)), default=[])
    if whole and len(names) == find_skeleton("wholebody133").joints and "foot_kpts" in persons[0]:
        fields = (*fields, *WHOLEBODY_PARTS)
    return names, fields


def _joints_in(
    content: dict[str, Any], path: Path, skeleton: SkeletonDefinition
) -> tuple[list[str], tuple[str, ...]]:
    names, fields = joints_in(content, skeleton)
    missing = [name for name in skeleton.joint_names if name not in names]
    if missing:
        which = "COCO's 17 joints" if skeleton == COCO17 else f"the joints of '{skeleton.name}'"
        shown = ", ".join(missing[:4]) + (", …" if len(missing) > 4 else "")
        raise AnnotationError(
            f"'{path}' has no category with {which}: it lacks {len(missing)} of them ({shown}); "
            "the names in the category's 'keypoints' must be those of the model's skeleton"
        )
    return names, fields


def _points(
    persons: list[dict[str, Any]], names: list[str], fields: tuple[str, ...], path: Path
) -> np.ndarray:
    """float64 ``[N, F, 3]``: the labels of the F joints in the file."""
    counts = [3 * len(names)]
    if len(fields) > 1:  # 17 joints of the body, 6 of the feet, 68 of the face, 21 of each hand
        counts = [51, 18, 204, 63, 63]
    parts = [
        _numbers(persons, field, count, path) for field, count in zip(fields, counts, strict=True)
    ]
    return np.concatenate(parts, axis=1).reshape(-1, len(names), 3)


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
