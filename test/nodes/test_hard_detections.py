# SPDX-License-Identifier: Apache-2.0
"""Detections that no detector should send, through the real node: who is left out is counted."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from injector import PERSON, Injector
from ros_robot import FRAME_ID, header

from hrnet_pose_ros.nodes.person_detector_node import detection_array
from hrnet_pose_ros.pipeline.drop_reasons import Reason

MAX_PERSONS = 20
NAN, INF = math.nan, math.inf


@pytest.fixture(scope="module")
def injector(inject: Callable[..., Injector]) -> Injector:
    return inject(max_persons=MAX_PERSONS)


def with_each(value: float) -> list[list[float]]:
    """The person's box with that value in one place after the other."""
    return [[*PERSON[:n], value, *PERSON[n + 1 :]] for n in range(4)]


BOXES = {
    "nan": with_each(NAN),
    "infinite": [*with_each(INF), *with_each(-INF)],
    "huge": [*with_each(1e300), *with_each(-1e300), *with_each(1e6)],
    "negative": [[100.0, 50.0, w, h] for w, h in ((-60.0, 150.0), (60.0, -150.0), (-60.0, -150.0))],
    "zero": [[100.0, 50.0, 0.0, 150.0], [100.0, 50.0, 60.0, 0.0], [100.0, 50.0, 0.0, 0.0]],
    "normalised": [[0.3, 0.2, 0.2, 0.6]],
    "outside": [[x, y, 60.0, 150.0] for x, y in ((-61, 50), (321, 50), (100, -151), (100, 241))],
    "far outside": [[9e4, 9e4, 60.0, 150.0], [-9e4, -9e4, 60.0, 150.0]],
}


def test_degenerate_boxes(injector: Injector) -> None:
    """Beside one good box, which alone is answered, and by themselves."""
    for kind, boxes in BOXES.items():
        injector.persons(Reason.DEGENERATE_BOX, 2 * len(boxes))
        answer = injector.good(boxes=[*boxes, PERSON])
        indices = [skeleton.detection_index for skeleton in answer.skeletons]
        assert indices == [len(boxes)], kind
        assert answer.omitted == len(boxes), kind
        alone = injector.good(boxes=boxes)
        assert alone.skeletons == [] and alone.omitted == len(boxes), kind
    assert len(injector.good().skeletons) == 1
    injector.reckon()


def test_degenerate_angles(injector: Injector) -> None:
    stamp = injector.image()
    message = detection_array(header(stamp), [PERSON] * 4, [0.9] * 4, list("abcd"))
    for detection, theta in zip(message.detections, (NAN, INF, -INF), strict=False):
        detection.bbox.center.theta = theta
    injector.robot.detections.publish(message)
    injector.sent["detections"] += 1
    injector.persons(Reason.DEGENERATE_BOX, 3)
    assert [skeleton.id for skeleton in injector.answer_to(stamp).skeletons] == ["d"]
    injector.reckon()


def test_500_detections(injector: Injector) -> None:
    """The largest are answered, in the detector's order; the rest is counted."""
    count = 500
    boxes = [[100.0, 50.0, 10.0 + n / 10, 30.0 + n / 5] for n in range(count)]
    answer = injector.good(boxes=boxes)
    injector.persons(Reason.OVER_MAX_PERSONS, count - MAX_PERSONS)
    indices = [skeleton.detection_index for skeleton in answer.skeletons]
    assert indices == list(range(count - MAX_PERSONS, count))
    assert answer.omitted == count - MAX_PERSONS
    assert len(injector.good().skeletons) == 1
    injector.reckon()


def test_who_is_left_out_is_counted(injector: Injector) -> None:
    """Every reason in one message; the limit of the score is set while the node runs."""
    assert injector.robot.set_parameters(min_detection_score=0.5)[0].successful
    stamp = injector.image()
    boxes = [PERSON] * 8
    scores = [0.9, 0.4, NAN, -INF, 0.9, 0.9, 0.9, 0.9]
    message = detection_array(header(stamp), boxes, scores, list("abcdefgh"))
    message.detections[4].results[0].hypothesis.class_id = "car"
    message.detections[5].results[0].hypothesis.class_id = ""
    message.detections[6].results = []
    message.detections[7].bbox.size_x = 0.0
    injector.robot.detections.publish(message)
    injector.sent["detections"] += 1
    injector.persons(Reason.SCORE_TOO_LOW, 3)
    injector.persons(Reason.CLASS_NOT_WANTED, 3)
    injector.persons(Reason.DEGENERATE_BOX)
    answer = injector.answer_to(stamp)
    assert [skeleton.id for skeleton in answer.skeletons] == ["a"]
    assert answer.omitted == 1  # the others are no accepted persons
    injector.reckon()
    assert injector.robot.set_parameters(min_detection_score=0.0)[0].successful


def test_strange_texts_are_carried_through(injector: Injector) -> None:
    strange = "7\n\t\"'\\ ü人\U0001f6b6" * 50
    stamp = injector.image()
    injector.detections(stamp, id=strange)
    assert injector.answer_to(stamp).skeletons[0].id == strange
    injector.reckon()


def test_an_empty_frame_id_is_a_warning(injector: Injector) -> None:
    """The skeletons are published: only TF cannot place them. Nobody asks for the detections'."""

    def warned() -> bool:
        status = injector.robot.statuses()["input"]
        return status.level == DiagnosticStatus.WARN and "empty frame_id" in status.message

    stamp = injector.robot.now()
    injector.image(stamp, header=header(stamp, frame_id=""))
    injector.detections(stamp)
    answer = injector.answer_to(stamp)
    assert answer.header.frame_id == "" and len(answer.skeletons) == 1
    injector.robot.wait(warned, what="a warning")
    assert injector.good().header.frame_id == FRAME_ID
    injector.reckon()
