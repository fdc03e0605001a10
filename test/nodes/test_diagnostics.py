# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
import socket
from dataclasses import replace
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from hrnet_pose_ros.nodes.pose.diagnostics import EngineState, Health, NodeStatus
from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject
from hrnet_pose_ros.pipeline.skeleton_messages import Times
from hrnet_pose_ros.ros.diagnostic_status import HOLD, StatusLog, status_line

FINE = NodeStatus(active=True, incompatible_qos=[], transition_problem="", warn_age=0.3)
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Clock:
    """A steady clock that the test moves: ``clock.now += 1``."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def healthy(clock: Clock, seconds: int = 1) -> Health:
    health = Health("vehicle7", clock)
    health.engine(EngineState.READY, "a model")
    for _ in range(10 * seconds):
        clock.now += 0.1
        health.received("images", clock.now)
        health.received("detections", clock.now)
        health.published(3, Times(0.01, 0.02, 0.0, 0.001, 0.05, 0.1), empty_frame_id=False)
    return health


def report(health: Health, situation: NodeStatus = FINE) -> dict[str, DiagnosticStatus]:
    return {s.name.split(": ")[1]: s for s in health.statuses("/node", situation)}


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {value.key: value.value for value in status.values}


def test_all_is_well(clock: Clock) -> None:
    statuses = report(healthy(clock))
    assert [s.level for s in statuses.values()] == [OK] * 3
    assert [s.hardware_id for s in statuses.values()] == ["vehicle7"] * 3
    assert values(statuses["output"])["persons_per_image"] == "3.00"
    assert values(statuses["output"])["age_ms.p95"] == "100.0"
    assert float(values(statuses["output"])["rate_hz"]) == pytest.approx(10, rel=0.2)
    assert values(statuses["input"])["received.images"] == "10"


def test_images_that_stop_warn_only_while_active(clock: Clock) -> None:
    health = healthy(clock)
    clock.now += 1.1
    assert report(health)["input"].level == WARN
    assert "images have stopped" in report(health)["input"].message
    health = healthy(clock)
    clock.now += 5
    assert report(health, replace(FINE, active=False))["input"].level == OK


def test_nothing_has_come(clock: Clock) -> None:
    assert "no images have arrived" in report(Health("vehicle7", clock))["input"].message
    health = Health("vehicle7", clock)
    health.received("images", clock.now)
    assert "no detections have arrived" in report(health)["input"].message


def test_a_warning_holds_for_a_while_after_the_cause_is_gone(clock: Clock) -> None:
    health = healthy(clock)
    clock.now += 1.1
    assert report(health)["input"].level == WARN
    health.received("images", clock.now)
    assert report(health)["input"].level == WARN
    clock.now += HOLD + 0.1
    health.received("images", clock.now)
    assert report(health)["input"].level == OK


def test_a_clock_that_differs_is_an_error_until_it_is_mended(clock: Clock) -> None:
    health = healthy(clock)
    report(health)
    health.drops.add(Subject.IMAGE, Reason.CLOCK_DIFFERS)
    clock.now += 0.5
    assert report(health)["input"].level == ERROR
    assert "camera clock differs" in report(health)["input"].message
    clock.now += HOLD + 0.1
    health.received("images", clock.now)
    assert report(health)["input"].level == OK
    assert values(report(health)["input"])["dropped.images.clock_differs"] == "1"


def test_many_detections_without_image_warn_but_a_slow_detector_does_not(clock: Clock) -> None:
    health = healthy(clock)
    report(health)
    for _ in range(20):
        health.drops.add(Subject.IMAGE, Reason.UNMATCHED)
    assert report(health)["input"].level == OK
    for _ in range(10):
        health.received("detections", clock.now)
    health.drops.add(Subject.DETECTIONS, Reason.UNMATCHED, 5)
    assert report(health)["input"].level == WARN
    assert "50% of the detections find no image" in report(health)["input"].message


def test_ages_over_the_parameter_warn(clock: Clock) -> None:
    status = report(healthy(clock), replace(FINE, warn_age=0.09))["output"]
    assert status.level == WARN and "100 ms" in status.message


def test_peers_with_other_qos_and_empty_frame_ids_warn(clock: Clock) -> None:
    peers = replace(FINE, incompatible_qos=["/camera publishes /image with QoS ..."])
    status = report(healthy(clock), peers)["input"]
    assert status.level == WARN and "/camera" in status.message
    health = healthy(clock)
    health.published(0, Times(), empty_frame_id=True)
    assert "empty frame_id" in report(health)["input"].message


def test_engine_and_transitions_that_fail_are_errors(clock: Clock) -> None:
    health = healthy(clock)
    health.engine(EngineState.FAILED, "out of memory")
    assert report(health)["engine"].level == ERROR
    assert "out of memory" in report(health)["engine"].message
    failed = replace(FINE, transition_problem="cannot configure: no model")
    assert report(healthy(clock), failed)["engine"].level == ERROR


def test_unknown_times_leave_no_percentiles(clock: Clock) -> None:
    health = Health("vehicle7", clock)
    health.published(1, Times(), empty_frame_id=False)
    keys = values(report(health)["output"])
    assert not [key for key in keys if "_ms" in key]
    assert math.isnan(Times().age)


def test_the_status_line(clock: Clock) -> None:
    health = healthy(clock)
    line = status_line("active", health.statuses("/node", FINE))
    assert "\n" not in line
    status = json.loads(line)
    assert (status["state"], status["level"]) == ("active", "OK")
    assert status["input"]["values"]["received.images"] == 10
    assert status["output"]["values"]["rate_hz"] > 0
    assert status["engine"]["values"]["state"] == "ready"
    health.engine(EngineState.FAILED, "x")
    assert json.loads(status_line("active", health.statuses("/node", FINE)))["level"] == "ERROR"


def test_the_hardware_id_is_the_name_of_the_computer() -> None:
    statuses = report(Health())
    assert {s.hardware_id for s in statuses.values()} == {socket.gethostname()}


def test_a_build_shows_its_progress(clock: Clock) -> None:
    health = healthy(clock)
    health.building("waiting for another build", None)
    assert "build_progress" not in values(report(health)["engine"])
    clock.now += 7
    health.building("building a plan", 0.42)
    status = report(health, replace(FINE, active=False))["engine"]
    assert status.message == "preparing: building a plan, 42 %, 7 s"
    assert values(status)["build_progress"] == "0.42" and values(status)["build_seconds"] == "7"
    health.engine(EngineState.READY, "a model")
    assert "build_progress" not in values(report(health)["engine"])


def minutes_of(
    health: Health, clock: Clock, reason: Reason, detail: str = "", seconds: int = 6
) -> dict[str, DiagnosticStatus]:
    """Images and detections at 10 Hz, every image dropped for a reason; a report each second."""
    statuses = report(health)
    for number in range(10 * seconds):
        clock.now += 0.1
        health.received("images", clock.now)
        health.received("detections", clock.now)
        health.drops.add(Subject.IMAGE, reason)
        if reason in (Reason.UNREADABLE, Reason.LATE, Reason.CLOCK_DIFFERS):
            health.drops.add(Subject.DETECTIONS, Reason.UNMATCHED)
        if detail:
            health.refused(reason, detail)
        if number % 10 == 9:
            statuses = report(health)
    return statuses


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("reason", [r for r in Reason if r.name[:5] not in ("CLASS", "SCORE")][:9])
def test_no_answers_are_an_error_with_the_reason(clock: Clock, reason: Reason, before: int) -> None:
    health = healthy(clock, before)
    statuses = minutes_of(health, clock, reason, "it is so")
    assert statuses["output"].level == ERROR
    assert "no answers for 6 s: 60 of 60 images were dropped as " + reason.value in (
        statuses["output"].message
    )
    assert "(it is so); " in statuses["output"].message
    if reason is not Reason.UNMATCHED:
        assert "compare the stamps" not in statuses["input"].message
    clock.now += HOLD + 0.1
    health.received("images", clock.now)
    health.received("detections", clock.now)
    health.published(1, Times(), empty_frame_id=False)
    assert report(health)["output"].level == OK


def test_images_that_wait_or_an_inactive_node_are_no_missing_answers(clock: Clock) -> None:
    health = healthy(clock)
    for _ in range(6):
        clock.now += 1
        health.received("images", clock.now)
        assert report(health)["output"].level == OK
    for _ in range(6):
        clock.now += 1
        health.received("images", clock.now)
        health.drops.add(Subject.IMAGE, Reason.ENGINE_NOT_READY)
        assert report(health, replace(FINE, active=False))["output"].level == OK


def test_a_detector_that_stops_is_said(clock: Clock) -> None:
    health = healthy(clock)
    for _ in range(6):
        clock.now += 1
        health.received("images", clock.now)
    assert report(health)["input"].message == "detections have stopped"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.CLASS_NOT_WANTED, "their classes are 'human'; add that of a person to class_ids"),
        (Reason.SCORE_TOO_LOW, "below min_detection_score"),
        (Reason.DEGENERATE_BOX, "set detector_size"),
    ],
)
def test_detections_that_are_never_persons_warn(clock: Clock, reason: Reason, words: str) -> None:
    health = Health("vehicle7", clock)
    health.engine(EngineState.READY, "a model")
    for _ in range(12):
        clock.now += 0.1
        for topic in ("images", "detections"):
            health.received(topic, clock.now)
        health.drops.add(Subject.PERSON, reason)
        health.left_out({"human"} if reason is Reason.CLASS_NOT_WANTED else ())
        health.published(0, Times(), empty_frame_id=False)
    status = report(health)["output"]
    assert status.level == WARN and words in status.message
    assert "none of 12 detections is used as a person" in status.message


def test_cars_beside_persons_are_no_fault_until_the_choice_of_persons_changes(
    clock: Clock,
) -> None:
    health = healthy(clock)
    for _ in range(30):
        clock.now += 1
        for topic in ("images", "detections"):
            health.received(topic, clock.now)
        health.drops.add(Subject.PERSON, Reason.CLASS_NOT_WANTED, 5)
        health.published(0, Times(), empty_frame_id=False)
        assert report(health)["output"].level == OK
    health.judge_persons_anew()
    health.drops.add(Subject.PERSON, Reason.CLASS_NOT_WANTED, 50)
    assert report(health)["output"].level == WARN


def test_boxes_that_become_degenerate_warn(clock: Clock) -> None:
    health = healthy(clock)
    for _ in range(12):
        clock.now += 1
        for topic in ("images", "detections"):
            health.received(topic, clock.now)
        health.drops.add(Subject.PERSON, Reason.DEGENERATE_BOX, 2)
        health.published(0, Times(), empty_frame_id=False)
        status = report(health)["output"]
    assert status.level == WARN and "their boxes are degenerate" in status.message


def test_lost_images_are_not_blamed_on_the_stamps(clock: Clock) -> None:
    health = healthy(clock)
    report(health)
    for _ in range(10):
        for topic in ("images", "detections"):
            health.received(topic, clock.now)
    health.drops.add(Subject.DETECTIONS, Reason.UNMATCHED, 8)
    health.lost("images", 8)
    message = report(health)["input"].message
    assert "80% of the detections find no image: the middleware has lost 8 images" in message


def test_levels_that_change_are_logged() -> None:
    lines: list[tuple[str, str]] = []

    class Logger:
        def __getattr__(self, level: str) -> Any:
            return lambda text: lines.append((level, text))

    log = StatusLog(Logger())
    for level, message in ((OK, "a"), (WARN, "b"), (WARN, "c"), (ERROR, "d"), (OK, "e")):
        log.report([DiagnosticStatus(name="/node: input", level=level, message=message)])
    assert lines == [
        ("warning", "input: b"),
        ("error", "input: d"),
        ("info", "input is OK again: e"),
    ]
