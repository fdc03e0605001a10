# SPDX-License-Identifier: Apache-2.0
"""Which category of an annotation file its persons are in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hrnet_pose_ros.coco.json_records import AnnotationError, Record, records_of
from hrnet_pose_ros.skeleton import JOINT_NAMES, JOINTS


def persons_of(categories: Any, annotations: list[Record], path: Path) -> tuple[int, list[Record]]:
    """The id of the persons' category, and the annotations in it.

    COCO gives persons the id 1; other tools begin at 0, or list persons among other classes. The
    category of the persons is the one with COCO's joints. Among several, it is the only one that
    has annotations. If a file lists only one category, its annotations need not name it.

    Parameters
    ----------
    categories
        The list of the file.
    annotations
        All annotations of the file.
    path
        The file, for errors.

    Raises
    ------
    AnnotationError
        A category has no id or that of another one; none has COCO's joints, or several do and have
        annotations; or an annotation is in no category.
    """
    known: dict[int, Record] = {}
    for category in records_of(categories, "category", path):
        number = category.integer("id")
        if number in known:
            raise AnnotationError(f"'{path}': two categories have the id {number}")
        known[number] = category
    only = next(iter(known)) if len(known) == 1 else None
    used = [
        one.integer("category_id") if only is None or "category_id" in one else only
        for one in annotations
    ]
    chosen = _with_joints(known, {*used}, path)
    for annotation, number in zip(annotations, used, strict=True):
        if number not in known:
            raise annotation.error("category_id", f"the id of a category: {_listed(known)}")
    return chosen, [one for one, number in zip(annotations, used, strict=True) if number == chosen]


def _with_joints(known: dict[int, Record], used: set[int], path: Path) -> int:
    """The id of the persons' category."""
    found = [n for n, one in known.items() if one.fields.get("keypoints") == list(JOINT_NAMES)]
    if len(found) > 1:
        found = [number for number in found if number in used] or found[:1]
    if not found:
        raise AnnotationError(
            f"'{path}' has no category with COCO's {JOINTS} joints (person_keypoints files do); "
            f"it has {_listed(known)}"
        )
    if len(found) > 1:
        several = _listed({number: known[number] for number in found})
        raise AnnotationError(
            f"'{path}' has {len(found)} categories with COCO's {JOINTS} joints and annotations, "
            f"{several}: give all persons the same category_id"
        )
    return found[0]


def _listed(categories: dict[int, Record]) -> str:
    return ", ".join(_described(number, one) for number, one in categories.items()) or "none"


def _described(number: int, category: Record) -> str:
    name, joints = category.fields.get("name"), category.fields.get("keypoints")
    count = f"{len(joints)} joints" if isinstance(joints, list) and joints else "no joints"
    return f"{name if isinstance(name, str) else 'a category'!r} (id {number}, {count})"
