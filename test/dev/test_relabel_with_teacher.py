# SPDX-License-Identifier: Apache-2.0
"""Labels corrected by a teacher: whose point counts for which joint, and crops that find it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hrnet_pose_ros.skeleton import COCO17

NOSE, LEFT_SHOULDER, LEFT_WRIST, LEFT_HIP = 0, 5, 9, 11
SIZE = 100.0


@pytest.fixture(scope="module")
def relabel(root: Path) -> ModuleType:
    path = root / "dev" / "relabel_with_teacher.py"
    spec = importlib.util.spec_from_file_location("relabel_with_teacher", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def person() -> np.ndarray:
    """Labels ``[17, 3]`` whose joints are well apart."""
    places = np.random.default_rng(4).uniform(0, 3 * SIZE, (17, 2))
    return np.column_stack([places, np.full(17, 2.0)])


def taught(label: np.ndarray, score: float = 0.9) -> np.ndarray:
    """What the teacher finds: 2 px from the labels, with a score."""
    return np.column_stack([label[:, :2] + [2.0, 0.0], np.full(17, score)])


def test_face_and_hips_are_the_teachers_and_limbs_the_labels(
    relabel: ModuleType, person: np.ndarray
) -> None:
    found = relabel.corrected(person, taught(person), SIZE)
    assert (found[:, 2] == 2).all()
    moved = found[:, 0] - person[:, 0]
    for joint, name in enumerate(COCO17.joint_names):
        teachers = joint < 7 or "hip" in name  # face, shoulders, hips
        assert moved[joint] == pytest.approx(2.0 if teachers else 0.0), name


def test_an_unsure_teacher_leaves_limbs_and_takes_no_face(
    relabel: ModuleType, person: np.ndarray
) -> None:
    found = relabel.corrected(person, taught(person, 0.2), SIZE)
    assert not found[NOSE].any()
    assert not found[LEFT_HIP].any()
    np.testing.assert_array_equal(found[LEFT_SHOULDER], person[LEFT_SHOULDER])
    np.testing.assert_array_equal(found[LEFT_WRIST], person[LEFT_WRIST])


def test_a_limb_that_a_sure_teacher_sees_elsewhere_has_no_label(
    relabel: ModuleType, person: np.ndarray
) -> None:
    teacher = taught(person)
    teacher[LEFT_WRIST, :2] += 0.2 * SIZE
    found = relabel.corrected(person, teacher, SIZE)
    assert not found[LEFT_WRIST].any()
    assert (found[:, 2] > 0).sum() == 16


def test_left_and_right_that_are_mixed_up_are_the_teachers_alone(
    relabel: ModuleType, person: np.ndarray
) -> None:
    teacher = taught(person)
    teacher[LEFT_WRIST, 2] = 0.45  # not sure enough to stand alone
    found = relabel.corrected(person[COCO17.mirrored], teacher, SIZE)
    assert not found[LEFT_WRIST].any()
    others = np.arange(17) != LEFT_WRIST
    np.testing.assert_allclose(found[others, :2], teacher[others, :2])


def test_what_is_not_labelled_and_not_seen_stays_so(
    relabel: ModuleType, person: np.ndarray
) -> None:
    person[:, 2] = 0
    assert not relabel.corrected(person, taught(person, 0.3), SIZE).any()


def test_the_crops_find_the_person_of_the_box(relabel: ModuleType) -> None:
    """A teacher that sees bright pixels: its answer comes back to the image's coordinates."""
    image = np.zeros((300, 400, 3), np.uint8)
    box = np.array([100.0, 60.0, 80.0, 160.0])
    place = np.array([140.0, 140.0])
    image[137:144, 137:144] = 255

    def teacher(crop: np.ndarray) -> np.ndarray:
        assert crop.shape == (192, 192, 3)
        rows, columns = np.nonzero(crop[..., 0])
        found = np.zeros((6, 56), np.float32)
        found[2, 0:51:3], found[2, 1:51:3] = rows.mean() / 192, columns.mean() / 192
        found[2, 2:51:3] = 0.8
        # The box in the middle crop; in the others it is nearly the same.
        found[2, 51:55] = (0.1, 0.3, 0.9, 0.7)
        found[2, 55] = 0.9
        return found

    points = relabel.teach(teacher, image, box)
    np.testing.assert_allclose(points[:, :2], np.tile(place, (17, 1)), atol=1.0)
    np.testing.assert_allclose(points[:, 2], 0.8)
