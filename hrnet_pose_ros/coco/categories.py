# SPDX-License-Identifier: Apache-2.0
"""Which category of an annotation file its persons are in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_pose_ros.coco.json_records import AnnotationError, Record, records_of
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition, find_skeleton

# Where COCO-WholeBody's annotations keep the joints beyond COCO's 17, and how many, in the order of
# the skeleton "wholebody133"; their category lists only the 17.
WHOLEBODY_PARTS = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}


@dataclass(frozen=True)
class PersonCategory:
    """The category of a file's persons.

    Attributes
    ----------
    id
        Its id in the file.
    joint_names
        The joints that it labels, in the order of the file.
    fields
        The fields of an annotation with the labels, and the number of joints in each, in order.
    """

    id: int
    joint_names: tuple[str, ...]
    fields: dict[str, int]


def persons_of(
    categories: Any, annotations: list[Record], path: Path, skeleton: SkeletonDefinition = COCO17
) -> tuple[PersonCategory, list[Record]]:
    """The persons' category, and the annotations in it.

    COCO gives persons the id 1; other tools begin at 0, or list persons among other classes. The
    category of the persons is the one with all joints of the skeleton. Among several, it is the
    only one that has annotations. If a file lists only one category, its annotations need not name
    it.

    Parameters
    ----------
    categories
        The list of the file.
    annotations
        All annotations of the file.
    path
        The file, for errors.
    skeleton
        The joints to read; a category may have more of them, and in another order.

    Raises
    ------
    AnnotationError
        A category has no id or that of another one; none has the joints, or several do and have
        annotations; or an annotation is in no category.
    """
    known: dict[int, Record] = {}
    for category in records_of(categories, "category", path):
        number = category.integer("id")
        if number in known:
            raise AnnotationError(f"'{path}': two categories have the id {number}")
        known[number] = category
    only = next(iter(known)) if len(known) == 1 else None
    persons: dict[int, list[Record]] = {}
    for annotation in annotations:
        named = "category_id" in annotation
        number = annotation.integer("category_id") if named or only is None else only
        persons.setdefault(number, []).append(annotation)
    found = [_read(number, one, persons.get(number, [])) for number, one in known.items()]
    chosen = _with_joints(found, known, {*persons}, path, skeleton)
    for number, ones in persons.items():
        if number not in known:
            raise ones[0].error("category_id", f"the id of a category: {_listed(known)}")
    return chosen, persons.get(chosen.id, [])


def _read(number: int, category: Record, persons: list[Record]) -> PersonCategory:
    names = category.fields.get("keypoints")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return PersonCategory(number, (), {})
    fields = {"keypoints": len(names)}
    if tuple(names) == COCO17.joint_names and persons and _have_whole_bodies(persons):
        return PersonCategory(
            number, find_skeleton("wholebody133").joint_names, fields | WHOLEBODY_PARTS
        )
    return PersonCategory(number, tuple(names), fields)


def _have_whole_bodies(persons: list[Record]) -> bool:
    return all(field in person for person in persons for field in WHOLEBODY_PARTS)


def _with_joints(
    categories: list[PersonCategory],
    known: dict[int, Record],
    used: set[int],
    path: Path,
    skeleton: SkeletonDefinition,
) -> PersonCategory:
    def lacking(category: PersonCategory) -> list[str]:
        return [name for name in skeleton.joint_names if name not in category.joint_names]

    which = "COCO's 17 joints" if skeleton == COCO17 else f"the joints of '{skeleton.name}'"
    found = [category for category in categories if not lacking(category)]
    if len(found) > 1:
        found = [category for category in found if category.id in used] or found[:1]
    if not found:
        nearest = min(map(lacking, categories), key=len, default=list(skeleton.joint_names))
        shown = ", ".join(nearest[:4]) + (", …" if len(nearest) > 4 else "")
        raise AnnotationError(
            f"'{path}' has no category with {which}: it lacks {len(nearest)} of them ({shown}); "
            "the names in the category's 'keypoints' must be those of the model's skeleton; the "
            f"file has {_listed(known)}"
        )
    if len(found) > 1:
        several = _listed({category.id: known[category.id] for category in found})
        raise AnnotationError(
            f"'{path}' has {len(found)} categories with {which} and annotations, {several}: give "
            "all persons the same category_id"
        )
    (category,) = found
    if category.joint_names[: COCO17.joints] == skeleton.joint_names:  # the parts are not needed
        fields = {"keypoints": category.fields["keypoints"]}
        count = fields["keypoints"]
        return PersonCategory(category.id, category.joint_names[:count], fields)
    return category


def _listed(categories: dict[int, Record]) -> str:
    return ", ".join(_described(number, one) for number, one in categories.items()) or "none"


def _described(number: int, category: Record) -> str:
    name, joints = category.fields.get("name"), category.fields.get("keypoints")
    count = f"{len(joints)} joints" if isinstance(joints, list) and joints else "no joints"
    return f"{name if isinstance(name, str) else 'a category'!r} (id {number}, {count})"
