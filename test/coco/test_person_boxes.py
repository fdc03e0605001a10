# SPDX-License-Identifier: Apache-2.0
"""Boxes of annotations and of detectors' files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.coco.annotations import AnnotationError, PersonAnnotations, read_annotations
from hrnet_pose_ros.coco.person_boxes import ground_truth_boxes, read_detections
from hrnet_pose_ros.skeleton import COCO17


def annotations_of(tmp_path: Path, **changes: Any) -> PersonAnnotations:
    """Two images; persons in the second, the first, the second."""
    persons = [
        {"id": n, "image_id": image, "bbox": [10 + n, 5, 20, 40], "area": 400, "iscrowd": 0}
        | {"keypoints": [12, 8, 2] + [0] * 48}
        for n, image in enumerate((9, 4, 9))
    ]
    for place, change in changes.items():
        persons[int(place.removeprefix("person"))] |= change
    path = tmp_path / "truth.json"
    path.write_text(
        json.dumps(
            {
                "images": [
                    {"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 80} for i in (4, 9)
                ],
                "annotations": persons,
                "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joint_names)}],
            }
        )
    )
    return read_annotations(path)


def test_annotated_boxes_by_image(tmp_path: Path) -> None:
    boxes = ground_truth_boxes(annotations_of(tmp_path))
    assert boxes.image_index.tolist() == [0, 1, 1]
    assert boxes.persons.tolist() == [1, 0, 2]
    assert boxes.boxes[:, 0].tolist() == [11, 10, 12]
    assert boxes.scores.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"iscrowd": 1},
        {"keypoints": [0] * 51},  # nothing labelled
        {"bbox": [200, 5, 20, 40]},  # outside the image
        {"bbox": [10, 5, 0.2, 40]},
    ],
)
def test_annotated_boxes_that_are_left_out(tmp_path: Path, change: dict) -> None:
    assert ground_truth_boxes(annotations_of(tmp_path, person1=change)).persons.tolist() == [0, 2]


def test_published_detections(tmp_path: Path) -> None:
    detections = [
        {"image_id": 9, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.9},
        {"image_id": 9, "category_id": 3, "bbox": [1, 2, 30, 40], "score": 0.9},  # no person
        {"image_id": 7, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.9},  # another image
        {"image_id": 9, "category_id": 1, "bbox": [1, 2, 0, 40], "score": 0.9},  # no box
        {"image_id": 4, "category_id": 1, "bbox": [5, 6, 30.5, 40], "score": 0.01},
    ]
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(detections))
    boxes = read_detections(path, annotations_of(tmp_path))
    assert boxes.image_index.tolist() == [0, 1]
    np.testing.assert_array_equal(boxes.boxes, [[5, 6, 30.5, 40], [1, 2, 30, 40]])
    assert boxes.scores.tolist() == [0.01, 0.9]
    assert boxes.persons.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not a JSON file"),
        ("{}", "must contain a list"),
        (
            '[{"image_id": 9, "category_id": 1, "bbox": [1, 2, 3], "score": 1}]',
            "number 0 has 3 numbers in 'bbox'",
        ),
        ('[{"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4]}]', "number 0 has no 'score'"),
        ("[7]", "number 0 is 7, expected an object"),
        ("[]", r"no person detection \(category_id 1\) in any image .*no detection at all"),
        (
            '[{"image_id": 9, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 1}]',
            "1 of category_id 2 in its images",
        ),
        (
            '[{"image_id": 9, "category_id": 0, "bbox": [1, 2, 3, 4], "score": 1}]',
            "'category_id' of detection number 0 is 0, expected the numbering",
        ),
        (
            '[{"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4], "score": NaN}]',
            "'score' of detection number 0 is NaN, expected a finite number",
        ),
        (
            '[{"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, Infinity], "score": 1}]',
            "has Infinity in 'bbox'",
        ),
        ('[{"image_id": 9, "category_id": 1, "bbox": null, "score": 1}]', "is null, expected"),
        ('[{"image_id": "9", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]', "image_id"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "detections.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=words):
        read_detections(path, annotations_of(tmp_path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"cannot read detections .*nowhere"):
        read_detections(tmp_path / "nowhere.json", annotations_of(tmp_path))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(field=st.sampled_from(("image_id", "category_id", "bbox", "score")), value=ANY_JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_is_read_or_refused_in_one_line(field: str, value: Any, tmp_path: Path) -> None:
    good = {"image_id": 9, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.9}
    path = tmp_path / "detections.json"
    path.write_text(json.dumps([good, {**good, field: value}]))
    try:
        boxes = read_detections(path, annotations_of(tmp_path))
    except AnnotationError as error:
        assert f"'{path}'" in str(error) and field in str(error)
        return
    assert np.isfinite(boxes.boxes).all() and np.isfinite(boxes.scores).all()
