# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_pose_ros.coco.annotations import (
    WHOLEBODY_PARTS,
    AnnotationError,
    read_annotations,
)
from hrnet_pose_ros.skeleton import COCO17, find_skeleton

CONTENT: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48},
        {"id": 3, "file_name": "b.jpg", "width": 32, "height": 16},
    ],
    "annotations": [
        {
            "id": 11,
            "image_id": 3,
            "category_id": 1,
            "bbox": [1, 2, 3.5, 4],
            "area": 9.5,
            "iscrowd": 0,
            "keypoints": [5, 6, 2, 7, 8.5, 1, *([0] * 45)],
        },
        {
            "id": 12,
            "image_id": 7,
            "category_id": 1,
            "bbox": [0, 0, 10, 20],
            "iscrowd": 1,
            "keypoints": [0] * 51,
        },
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joint_names)}],
}


def written(folder: Path, content: Any) -> Path:
    path = folder / "person_keypoints.json"
    path.write_text(json.dumps(content))
    return path


def test_a_file_is_read_into_arrays(tmp_path: Path) -> None:
    read = read_annotations(written(tmp_path, CONTENT))
    assert len(read) == 2
    assert read.image_ids.tolist() == [7, 3]
    assert read.image_files == ("a.jpg", "b.jpg")
    assert read.image_sizes.tolist() == [[64, 48], [32, 16]]
    assert read.ids.tolist() == [11, 12]
    assert read.image_index.tolist() == [1, 0]
    assert read.boxes.tolist() == [[1, 2, 3.5, 4], [0, 0, 10, 20]]
    assert read.areas.tolist() == [9.5, 200]  # the box's where the file says none
    assert read.crowd.tolist() == [False, True]
    assert read.keypoints.shape == (2, 17, 2)
    assert read.keypoints[0, 1].tolist() == [7, 8.5]
    assert read.visibility[0, :3].tolist() == [2, 1, 0]
    assert read.labelled[0].tolist() == [True, True] + [False] * 15
    assert read.keypoints.flags.c_contiguous


def test_a_file_without_persons_is_empty(tmp_path: Path) -> None:
    read = read_annotations(written(tmp_path, {**CONTENT, "annotations": []}))
    assert len(read) == 0
    assert read.boxes.shape == (0, 4)
    assert read.keypoints.shape == (0, 17, 2)


def changed(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    content = copy.deepcopy(CONTENT)
    change(content)
    return content


@pytest.mark.parametrize(
    "content, message",
    [
        ([], "not a COCO annotation file: it has no 'images', 'annotations', 'categories'"),
        (changed(lambda c: c.pop("categories")), "it has no 'categories'"),
        (changed(lambda c: c["categories"][0]["keypoints"].pop()), "COCO's 17 joints"),
        (changed(lambda c: c["images"][1].pop("width")), "image number 1 has no 'width'"),
        (
            changed(lambda c: c["annotations"][0].pop("keypoints")),
            "annotation number 0 has no 'keypoints'",
        ),
        (
            changed(lambda c: c["annotations"][0]["keypoints"].pop()),
            "annotation 11 has 50 numbers in 'keypoints', expected 51",
        ),
        (
            changed(lambda c: c["annotations"][1].update(bbox=[0, 0, float("nan"), 1])),
            "'bbox' of annotation 12 is not finite",
        ),
        (
            changed(lambda c: c["annotations"][1].update(image_id=99)),
            "annotation 12 is in image 99, which the file does not list",
        ),
        (changed(lambda c: c["images"][1].update(id=7)), "two images have the same id"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, content: Any, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(AnnotationError) as error:
        read_annotations(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_is_missing_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"cannot read .*nowhere\.json"):
        read_annotations(tmp_path / "nowhere.json")
    path = tmp_path / "text.json"
    path.write_text("{")
    with pytest.raises(AnnotationError, match=r"text\.json' is not a JSON"):
        read_annotations(path)


def test_the_bundled_labels_can_be_read(root: Path) -> None:
    read = read_annotations(root / "test" / "data" / "street_keypoints.json")
    assert len(read) == 36
    inside = read.keypoints[read.labelled]
    assert np.all(inside >= 0) and np.all(inside <= (768, 576))


def test_wholebody_files_are_read_as_published(tmp_path: Path) -> None:
    """The category lists the body's 17 joints; feet, face and hands are in fields of their own."""
    content = copy.deepcopy(CONTENT)
    for person in content["annotations"]:
        for field, count in zip(WHOLEBODY_PARTS, (6, 68, 21, 21), strict=True):
            person[field] = [float(count), 1.0, 0.75] * count
    path = written(tmp_path, content)
    skeleton = find_skeleton("wholebody133")
    read = read_annotations(path, skeleton)
    assert read.keypoints.shape == (len(content["annotations"]), 133, 2)
    assert read.keypoints[0, [17, 23, 91, 112], 0].tolist() == [6, 68, 21, 21]
    assert read.labelled[0, 17:].all()
    # The body alone is still COCO's.
    np.testing.assert_array_equal(read_annotations(path).keypoints, read.keypoints[:, :17])
    with pytest.raises(AnnotationError, match="no category with the joints of 'halpe26'"):
        read_annotations(path, find_skeleton("halpe26"))
