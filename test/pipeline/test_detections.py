# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace as Message
from typing import Any

import numpy as np
import pytest

from hrnet_pose_ros.pipeline.detections import persons_of, whole_image
from hrnet_pose_ros.pipeline.drop_reasons import Reason
from hrnet_pose_ros.pipeline.settings import Settings

DEFAULTS = Settings.of({})
IMAGE = (1280, 720)


def detection(
    cx: float, cy: float, width: float, height: float, theta: float = 0.0, **hypotheses: float
) -> Any:
    results = [
        Message(hypothesis=Message(class_id=name, score=score))
        for name, score in (hypotheses or {"person": 0.9}).items()
    ]
    center = Message(position=Message(x=cx, y=cy), theta=theta)
    return Message(
        results=results, bbox=Message(center=center, size_x=width, size_y=height), id="7"
    )


def array(*detections: Any) -> Any:
    return Message(detections=list(detections))


def test_boxes_are_corners_and_sizes() -> None:
    persons = persons_of(array(detection(100, 200, 40, 80)), IMAGE, DEFAULTS)
    np.testing.assert_allclose(persons.boxes, [[80, 160, 40, 80]])
    assert persons.omitted == 0 and persons.drops == {}


def test_a_rotated_box_is_held_by_the_upright_one_around_it() -> None:
    persons = persons_of(array(detection(100, 200, 40, 80, math.pi / 2)), IMAGE, DEFAULTS)
    np.testing.assert_allclose(persons.boxes, [[60, 180, 80, 40]], atol=1e-9)


@pytest.mark.parametrize(
    ("letterbox", "expected"),
    [
        (False, [[200, 112.5, 200, 225]]),  # each axis by itself
        (True, [[200, 40, 200, 400]]),  # scale 1/2, bars of 140 above and below
    ],
)
def test_boxes_in_the_detectors_own_pixels(letterbox: bool, expected: list) -> None:
    settings = replace(DEFAULTS, detector_size=[640, 640], detector_letterbox=letterbox)
    persons = persons_of(
        array(detection(150, 200 if not letterbox else 260, 100, 200)), IMAGE, settings
    )
    np.testing.assert_allclose(persons.boxes, expected)


@pytest.mark.parametrize(
    ("class_id", "wanted", "taken"),
    [
        ("person", ["person"], True),
        ("PEDESTRIAN", ["person", "pedestrian"], True),  # whatever the case
        ("0", ["0"], True),
        ("1", ["0"], False),
        ("", ["person"], False),
        ("car", ["*"], True),
        ("person", [], False),
    ],
)
def test_classes(class_id: str, wanted: list[str], taken: bool) -> None:
    settings = replace(DEFAULTS, class_ids=wanted)
    persons = persons_of(array(detection(100, 200, 40, 80, **{class_id: 0.5})), IMAGE, settings)
    assert len(persons.detections) == taken
    assert persons.drops == ({} if taken else {Reason.CLASS_NOT_WANTED: 1})


@pytest.mark.parametrize(
    ("box", "usable"),
    [
        ((100, 100, 40, 80), True),
        ((-10, 100, 40, 80), True),  # partly outside
        ((-100, 100, 40, 80), False),  # wholly outside
        ((100, 100, 0, 80), False),
        ((100, 100, -40, 80), False),
        ((math.nan, 100, 40, 80), False),
        ((100, math.inf, 40, 80), False),
        ((100, 100, 40, 80, math.nan), False),
    ],
)
def test_degenerate_boxes_are_omitted_and_counted(box: tuple, usable: bool) -> None:
    persons = persons_of(array(detection(*box)), IMAGE, DEFAULTS)
    assert len(persons.detections) == usable
    assert persons.omitted == (not usable)
    assert persons.drops == ({} if usable else {Reason.DEGENERATE_BOX: 1})


def test_nan_scores_are_too_low() -> None:
    persons = persons_of(array(detection(100, 100, 40, 80, person=math.nan)), IMAGE, DEFAULTS)
    assert persons.drops == {Reason.SCORE_TOO_LOW: 1}


def test_the_largest_boxes_win_in_the_detections_order() -> None:
    sizes = [10, 50, 30, 50, 20]
    message = array(*(detection(300, 300, size, size) for size in sizes))
    persons = persons_of(message, IMAGE, replace(DEFAULTS, max_persons=3))
    assert persons.indices == [1, 2, 3]
    assert persons.omitted == 2
    assert persons.drops == {Reason.OVER_MAX_PERSONS: 2}


def test_nobody() -> None:
    persons = persons_of(array(), IMAGE, DEFAULTS)
    assert persons.boxes.shape == (0, 4) and persons.detections == []


def test_whole_image() -> None:
    persons = whole_image(IMAGE)
    np.testing.assert_array_equal(persons.boxes, [[0, 0, 1280, 720]])
    assert persons.detections == [None]
