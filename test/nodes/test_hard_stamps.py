# SPDX-License-Identifier: Apache-2.0
"""Stamps that no camera should send, and partners that never come, through the real node."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from injector import Injector
from ros_robot import SimulatedClock, nanoseconds

from hrnet_pose_ros.pipeline.drop_reasons import Reason

S = 10**9
HOUR = 3600 * S
MINUTE = 60 * S


@pytest.fixture(scope="module")
def injector(inject: Callable[..., Injector]) -> Injector:
    return inject()


def said(injector: Injector, words: str) -> DiagnosticStatus:
    """Wait until the status `input` has said so."""
    return injector.robot.wait(
        lambda: next(
            (r["input"] for r in injector.robot.reports() if words in r["input"].message), None
        ),
        what=words,
    )


def test_stamps_that_repeat_or_go_back_a_little_are_late(injector: Injector) -> None:
    for back in (0, 1, S // 2, S - 1):
        stamp = nanoseconds(injector.good())
        for _ in range(3):
            injector.image(stamp - back, reason=Reason.LATE)
            injector.detections(stamp - back, reason=Reason.LATE)
    injector.good()
    injector.reckon()


def test_one_stamp_that_goes_back_far_loses_nothing_else(injector: Injector) -> None:
    for back in (S, 3 * S, 9 * S):
        injector.good()
        stamp = injector.image()  # waits for detections
        injector.wait_until_received()
        injector.image(stamp - back, reason=Reason.LATE)
        injector.detections(stamp - back, reason=Reason.LATE)
        injector.wait_until_received()
        injector.detections(stamp)
        injector.answer_to(stamp)
    injector.reckon()


def test_stamps_that_stay_back_begin_a_new_time(injector: Injector) -> None:
    """By less than a second: a short bag that is played again, without its clock."""
    for back in (S // 2, 3 * S):
        injector.good()
        stamp = injector.image(reason=Reason.TIME_JUMP)  # waits for detections
        injector.wait_until_received()
        for number in range(2):
            injector.image(stamp - back + number, reason=Reason.LATE)
        injector.image(stamp - back + 2)
        injector.wait_until_received()
        injector.detections(stamp - back + 2)
        injector.answer_to(stamp - back + 2)
    injector.good()
    injector.reckon()


def test_stamps_of_another_clock(injector: Injector) -> None:
    injector.good()
    now = injector.robot.now()
    of_an_hour = [now - HOUR, now + HOUR]  # as in winter and in summer
    of_an_epoch = [0, 1, 5 * S, 315_964_800 * S]  # since the camera's start; GPS began in 1980
    of_the_ends = [-1 * S, -(2**31) * S, (2**31 - 1) * S]
    for stamp in (*of_an_hour, *of_an_epoch, *of_the_ends, now + MINUTE):
        injector.image(stamp, reason=Reason.CLOCK_DIFFERS)
        injector.detections(stamp, reason=Reason.CLOCK_DIFFERS)
    assert injector.good().times.age >= 0  # none of them counts as the time that has been
    injector.reckon()
    assert said(injector, "camera clock differs").level == DiagnosticStatus.ERROR


def test_detections_before_their_images(injector: Injector) -> None:
    now = injector.robot.now()
    stamps = [now + n for n in range(5)]
    for stamp in stamps:
        injector.detections(stamp)
    injector.wait_until_received()
    for stamp in stamps:
        injector.image(stamp)
        assert len(injector.answer_to(stamp).skeletons) == 1
    injector.reckon()


def test_images_whose_detections_never_come(injector: Injector) -> None:
    injector.good()
    for _ in range(5):  # the detector serves a newer one
        injector.image(reason=Reason.UNMATCHED)
    injector.good()
    for _ in range(5):  # nothing newer comes
        injector.image(reason=Reason.NO_DETECTIONS_YET)
    injector.max_wait(1.0)
    injector.reckon()
    injector.max_wait(10000.0)
    injector.good()


def test_detections_whose_images_never_come(injector: Injector) -> None:
    injector.good()
    for _ in range(5):
        injector.detections(injector.robot.now(), reason=Reason.UNMATCHED)
    injector.good()
    injector.reckon()


def test_simulated_time(inject: Callable[..., Injector]) -> None:
    """A bag without its clock, then with it, then time goes back by an hour."""
    injector = inject("-p", "use_sim_time:=true")
    for _ in range(3):
        injector.image(reason=Reason.CLOCK_DIFFERS)  # the node's clock stands at 0
    assert said(injector, "use_sim_time and play the bag with --clock")
    injector.reckon()
    clock = SimulatedClock(injector.robot)
    begin = 1_700_000_000 * S

    def pair(stamp: int) -> None:
        clock.set(stamp)
        injector.image(stamp)
        injector.detections(stamp)
        assert injector.answer_to(stamp).times.age == 0

    pair(begin)
    pair(begin + HOUR)
    injector.image(begin + HOUR + 1, reason=Reason.TIME_JUMP)  # waits when the bag begins again
    injector.wait_until_received()
    pair(begin + 1)
    injector.reckon()


def test_a_short_bag_in_a_loop_with_its_clock(inject: Callable[..., Injector]) -> None:
    injector = inject("-p", "use_sim_time:=true")
    clock = SimulatedClock(injector.robot)
    begin = 1_700_000_000 * S
    for _ in range(2):
        for number in range(3):
            stamp = begin + number * S // 10
            clock.set(stamp)
            injector.robot.heard["skeletons"].clear()
            injector.image(stamp)
            injector.detections(stamp)
            assert injector.answer_to(stamp).times.age == 0
    injector.reckon()
