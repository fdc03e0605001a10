# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.coco.annotations import AnnotationError, read_annotations
from hrnet_pose_ros.coco.categories import WHOLEBODY_PARTS
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
        (changed(lambda c: c["images"][1].pop("width")), "image number 1 (id 3) has no 'width'"),
        (
            changed(lambda c: c["annotations"][0].pop("keypoints")),
            "annotation number 0 (id 11) has no 'keypoints'",
        ),
        (
            changed(lambda c: c["annotations"][0]["keypoints"].pop()),
            "annotation number 0 (id 11) has 50 numbers in 'keypoints', expected 51",
        ),
        (
            changed(lambda c: c["annotations"][1].update(bbox=[0, 0, float("nan"), 1])),
            "annotation number 1 (id 12) has NaN in 'bbox' (place 2)",
        ),
        (
            changed(lambda c: c["annotations"][1].update(image_id=99)),
            "annotation number 1 (id 12) is in image 99, which the file does not list",
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


SPARE = {"id": 5, "name": "dog", "keypoints": ["nose", "tail"]}


def _person(number: int, **changes: Any) -> dict[str, Any]:
    labelled = [4.0, 6.0, 2] + [0] * 48
    return {
        "id": number,
        "image_id": 7,
        "category_id": 1,
        "bbox": [1, 2, 30, 40],
        "area": 600.0,
        "iscrowd": 0,
        "keypoints": labelled,
        "num_keypoints": 1,
        **changes,
    }


def _content(*persons: dict[str, Any]) -> dict[str, Any]:
    return {**CONTENT, "annotations": list(persons)}


@pytest.mark.parametrize("number", [0, 1, 7])
def test_the_persons_category_is_found_by_its_joints(number: int, tmp_path: Path) -> None:
    """Among others, whose annotations have joints of their own."""
    person = {**CONTENT["categories"][0], "id": number, "name": "pedestrian"}
    dog = {"id": 3, "image_id": 7, "category_id": 5, "bbox": None, "keypoints": [1, 2, 2] * 2}
    content = _content(dog, _person(4, category_id=number))
    content["categories"] = [SPARE, person]
    read = read_annotations(written(tmp_path, content))
    assert read.category_id == number
    assert read.ids.tolist() == [4]


def test_of_two_categories_with_joints_the_used_one_is_taken(tmp_path: Path) -> None:
    content = _content(_person(1, category_id=2))
    content["categories"] = [CONTENT["categories"][0], {**CONTENT["categories"][0], "id": 2}]
    assert read_annotations(written(tmp_path, content)).category_id == 2
    content["annotations"].append(_person(2, category_id=1))
    with pytest.raises(AnnotationError, match="2 categories with COCO's 17 joints and annotations"):
        read_annotations(written(tmp_path, content))


@pytest.mark.parametrize(
    ("persons", "message"),
    [
        ([_person(3, iscrowd="0")], """'iscrowd' of annotation number 0 (id 3) is "0", expected"""),
        ([_person(3, iscrowd=2)], "expected 0 or 1"),
        ([_person(3, iscrowd=None)], "'iscrowd' of annotation number 0 (id 3) is null"),
        ([_person(3, keypoints=[4, 6, 0.9] + [0] * 48)], "(id 3) is 0.9, expected 0 (not"),
        ([_person(3, keypoints=[4, 6, 256] + [0] * 48)], "(id 3) is 256, expected"),
        ([_person(3, keypoints=[4, 6, 2] * 16 + [0, 0, -1])], "visibility of joint 16"),
        ([_person(3, num_keypoints=0)], "'num_keypoints' of annotation number 0 (id 3) is 0"),
        ([_person(3, area=0)], "'area' of annotation number 0 (id 3) is 0, expected the person's"),
        ([_person(3), _person(4, area=0.0006)], "'area' of annotation number 1 (id 4) is 0.0006"),
        ([_person(3), _person(4, area=60000)], "in 1 of 2 labelled persons"),
        ([_person(3, area=-1)], "'area' of annotation number 0 (id 3) is -1"),
        ([_person(3, area=12), _person(4, area=12)], "the median 'area' of a person is 0.01 times"),
        ([_person(3, category_id=9)], "'category_id' of annotation number 0 (id 3) is 9, expected"),
        ([_person(3, id="a")], """'id' of annotation number 0 (id "a") is "a", expected a whole"""),
        ([7], "annotation number 0 is 7, expected an object"),
        ([_person(3, bbox=[1, 2, 1e300, 4])], "far too large"),
        ([_person(3, bbox=["1", 2, 3, 4])], "expected a list of 4 numbers"),
    ],
)
def test_values_that_would_give_wrong_figures_are_refused(
    persons: list[Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(AnnotationError) as error:
        read_annotations(written(tmp_path, _content(*persons)))
    assert message in str(error.value)


def test_persons_without_labels_and_crowds_may_have_any_area(tmp_path: Path) -> None:
    nobody = _person(4, area=0, keypoints=[0] * 51, num_keypoints=0)
    read = read_annotations(written(tmp_path, _content(_person(3), nobody, _person(5, iscrowd=1))))
    assert read.areas.tolist() == [600, 0, 600]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
PLACES = [
    *(("images", 0, field) for field in CONTENT["images"][0]),
    *(("annotations", 0, field) for field in _person(0)),
    *(("annotations", 0, "bbox", place) for place in range(4)),
    *(("annotations", 0, "keypoints", place) for place in range(3)),
    *(("categories", 0, field) for field in CONTENT["categories"][0]),
    *((part, 0) for part in CONTENT),
    *((part,) for part in CONTENT),
    (),
]


@given(place=st.sampled_from(PLACES), value=ANY_JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_is_read_or_refused_in_one_line(
    place: tuple[Any, ...], value: Any, tmp_path: Path
) -> None:
    content: Any = [copy.deepcopy(_content(_person(3), _person(4)))]
    *way, last = (0, *place)
    inside = content
    for step in way:
        inside = inside[step]
    inside[last] = value
    try:
        read = read_annotations(written(tmp_path, content[0]))
    except AnnotationError as error:
        assert "person_keypoints.json" in str(error)
        return
    assert read.boxes.shape == (len(read), 4) and np.isfinite(read.boxes).all()
    assert read.keypoints.shape == (len(read), 17, 2) and np.isfinite(read.keypoints).all()
    assert np.isfinite(read.areas).all() and (read.image_sizes > 0).all()


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
