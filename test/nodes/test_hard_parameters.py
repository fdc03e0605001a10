# SPDX-License-Identifier: Apache-2.0
"""Parameters that are not allowed, and changes while frames arrive, on the real node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from injector import Injector
from lifecycle_msgs.msg import Transition
from ros_robot import TIMEOUT

from hrnet_pose_ros.pipeline.settings import PARAMETERS

RATE = 30.0


@pytest.fixture(scope="module")
def injector(inject: Callable[..., Injector]) -> Injector:
    return inject()


# Ranges are checked by rclpy first, from the parameters' descriptions: these words are its own.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_age_ms": -1.0}, "max_age_ms out of range Min: 1.0, Max: 10000.0, value: -1.0"),
    ({"max_age_ms": 0.0}, "max_age_ms"),
    ({"max_age_ms": float("nan")}, "max_age_ms out of range Min: 1.0, Max: 10000.0, value: nan"),
    ({"max_age_ms": float("inf")}, "max_age_ms out of range"),
    ({"max_age_ms": 2**62}, "max_age_ms"),
    ({"max_age_ms": "500"}, "max_age_ms is '500'; allowed: double"),
    ({"max_wait_ms": 10000.1}, "max_wait_ms"),
    ({"min_detection_score": 1.1}, "min_detection_score"),
    ({"class_ids": 5}, "class_ids is 5; allowed: a list of string"),
    ({"precision": "float8"}, "precision is 'float8'; allowed: one of auto,"),
    ({"detector_size": [640, 0]}, "detector_size"),  # half a size
    ({"detector_size": [640]}, "detector_size"),
    ({"detector_size": [-1, -1]}, "detector_size"),
    ({"model": "other"}, "model can be changed only while the node is unconfigured"),
    ({"max_batch": 4}, "max_batch can be changed only while the node is unconfigured"),
    ({"max_batch": 0}, "max_batch out of range. Min: 1, Max: 128, value: 0"),
    ({"autostart": False}, "autostart can be set at start only"),
]


def test_refused_parameters_say_why_and_stay_as_they_are(injector: Injector) -> None:
    robot = injector.robot
    before = {name: robot.get_parameter(name) for values, _ in REFUSED for name in values}
    for values, words in REFUSED:
        result = robot.set_parameters(**values)[0]
        assert not result.successful and words in result.reason, values
    assert {name: robot.get_parameter(name) for name in before} == before
    assert len(injector.good().skeletons) == 1
    injector.reckon()


def test_parameters_are_set_together_or_not_at_all(injector: Injector) -> None:
    robot = injector.robot
    wait, age = (robot.get_parameter(name) for name in ("max_wait_ms", "max_age_ms"))
    refused = robot.set_parameters(atomically=True, max_wait_ms=9000.0, max_age_ms=-5.0)[0]
    assert not refused.successful
    assert robot.get_parameter("max_wait_ms") == wait
    taken = robot.set_parameters(atomically=True, max_wait_ms=9000, max_age_ms=9000.0)[0]
    assert taken.successful
    assert robot.get_parameter("max_age_ms") == 9000.0
    assert robot.set_parameters(atomically=True, max_wait_ms=wait, max_age_ms=age)[0].successful


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "max_age_ms:=-3.0"], "max_age_ms out of range Min: 1.0, Max: 10000.0, value: -3.0"),
        (["-p", "engine:=abacus"], "engine is 'abacus'"),
        (["-p", "class_ids:=[1, 2]"], "class_ids"),
        (["-p", "class_ids:=[]"], "class_ids is empty or has no value; allowed: a list of string"),
        (["-p", "detector_size:=[640, 0]"], "detector_size is [640, 0]"),
    ],
)
def test_wrong_parameters_at_start_are_one_clear_line(
    start: Callable[..., Any], arguments: list[str], words: str
) -> None:
    node = start(*arguments)
    assert node.process.wait(TIMEOUT) == 1
    assert words in node.log
    assert "Traceback" not in node.log


class Traffic:
    """Pairs of an image and its detections at `RATE`, from a thread of its own."""

    def __init__(self, injector: Injector) -> None:
        self._injector = injector
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(1 / RATE):
            self._injector.detections(self._injector.image())


# Another value of everything that may be changed while the node runs, and that drops nobody.
CHANGES: dict[str, Any] = {
    "class_ids": ["person"],
    "min_detection_score": 0.1,
    "detector_size": [640, 480],
    "detector_letterbox": True,
    "sync_tolerance_ms": 5.0,
    "warn_age_ms": 100.0,
    "clock_tolerance_ms": 50.0,
    "whole_image_as_person": True,
    "assign_ids": "never",
    "image_rectified": True,
    "person_height_m": 1.8,
    "smoothing": True,
    "draw_min_score": 0.5,
    "max_wait_ms": 9000.0,
    "max_age_ms": 9000.0,
}


def test_reconfiguration_while_frames_arrive(injector: Injector) -> None:
    """Every image is answered or counted, whatever changes meanwhile, and nothing else happens."""
    robot = injector.robot
    any_time = {p.name for p in PARAMETERS if p.change.value == "any time"}
    assert set(CHANGES) == any_time
    before = {name: robot.get_parameter(name) for name in CHANGES}
    with Traffic(injector):
        for values in (CHANGES, before):
            for name, value in values.items():
                assert robot.set_parameters(**{name: value})[0].successful, name
        for decoding, max_batch in (("dark", 2), ("quarter", 8)):
            assert robot.transition(Transition.TRANSITION_DEACTIVATE)
            assert robot.transition(Transition.TRANSITION_CLEANUP)
            changes = robot.set_parameters(decoding=decoding, max_batch=max_batch)
            assert all(result.successful for result in changes)
            assert robot.transition(Transition.TRANSITION_CONFIGURE)
            assert robot.transition(Transition.TRANSITION_ACTIVATE)
            robot.wait(lambda d=decoding: robot.heard["skeleton_info"][-1].decoding == d)
            published = len(robot.heard["skeletons"])
            robot.wait(lambda n=published: len(robot.heard["skeletons"]) >= n + 5)
    injector.good()
    counts = robot.wait(injector.all_accounted_for, what="every image accounted for")
    # How many of them met an inactive node, only the node knows.
    reasons = {"images.engine_not_ready", "images.overwritten"}
    # A pair of which one part came before a transition and the other after it.
    torn = {"images.unmatched", "detections.unmatched", "detections.engine_not_ready"}
    assert counts.dropped["images.engine_not_ready"] > 0
    assert set(counts.dropped) - set(injector.expected) <= reasons | torn
    robot.wait(lambda: counts.published == len(robot.heard["skeletons"]))
    # Detections end in an answer, in their own count, or with an image that was dropped later.
    used = sum(message.detections_stamp.sec != 0 for message in robot.heard["skeletons"])
    used += sum(n for key, n in counts.dropped.items() if key.startswith("detections."))
    assert used <= injector.sent["detections"] <= used + counts.dropped_images
    injector.expected = counts.dropped
    injector.reckon()
