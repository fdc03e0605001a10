# SPDX-License-Identifier: Apache-2.0
"""What the guard takes of messages, when it answers, and what it counts, with a driven clock."""

from __future__ import annotations

import math
from typing import Any

import pytest
from geometry_msgs.msg import Point, Twist, TwistStamped

from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.guard.inputs import VelocityCommand
from hrnet_pose_ros.guard.reasons import GuardAction, GuardReason
from hrnet_pose_ros.msg import Person, PersonArray
from hrnet_pose_ros.pipeline.guard.guard_markers import ZONE_COLOURS, guard_markers
from hrnet_pose_ros.pipeline.guard.guard_run import TICK, GuardInput, GuardRun
from hrnet_pose_ros.pipeline.guard.settings import PedestrianGuardSettings
from hrnet_pose_ros.pipeline.guard.speed_limits import SLOWEST, speed_limit
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.pipeline.stamps import stamp_of, time_fields

START = 1_700_000_000_000_000_000


def twist(forward: float = 1.0, yaw_rate: float = 0.2) -> Twist:
    message = Twist()
    message.linear.x, message.angular.z = forward, yaw_rate
    return message


class Driver:
    """A run with its clocks; `at` are seconds since the start."""

    def __init__(self, **parameters: Any) -> None:
        self.settings = PedestrianGuardSettings.of(parameters)
        self.run = GuardRun(self.settings)
        self.at = 0.0

    @property
    def now(self) -> int:
        return START + round(self.at * 1e9)

    def open(self) -> Driver:
        self.run.open()
        return self

    def stamp(self, message: Any, age: float = 0.0, frame: str = "base_link") -> Any:
        fields = time_fields(self.now - round(age * 1e9))
        message.header.stamp.sec, message.header.stamp.nanosec = fields["sec"], fields["nanosec"]
        message.header.frame_id = frame
        return message

    def people(self, *places: tuple[float, float], **fields: Any) -> Decision | None:
        found = [
            Person(id=str(number), position=Point(x=x, y=y), existence=0.9, radius=0.3, sources=128)
            for number, (x, y) in enumerate(places)
        ]
        message = PersonArray(people=found, status=fields.pop("status", 0))
        return self.run.people(self.stamp(message, 0.08, **fields), self.now, self.at)

    def command(self, message: Any = None) -> Decision | None:
        return self.run.command(message or twist(), self.now, self.now, self.at)

    def drive(self, seconds: float, *, commands: bool = True) -> list[Decision | None]:
        """People, commands and ticks at 20 Hz; returns what the ticks publish."""
        found = []
        for _ in range(round(seconds / TICK)):
            self.people()
            if commands:
                self.command()
            found.append(self.run.tick(self.now, self.at))
            self.at += TICK
        return found


def test_a_command_is_answered_and_a_tick_says_nothing_new() -> None:
    driver = Driver().open()
    driver.drive(1.0)
    answer = driver.command()
    assert answer is not None
    assert answer.twist == VelocityCommand.planar(1.0, 0.2)
    assert driver.drive(0.5) == [None] * 10


def test_nobody_is_moved_without_a_command() -> None:
    driver = Driver().open()
    assert driver.drive(3.0, commands=False) == [None] * 60
    assert driver.run.counts[GuardReason.NO_COMMAND] == 60 + 60  # ticks, and people's arrivals


def test_people_who_come_near_stop_the_vehicle_before_the_next_command() -> None:
    driver = Driver().open()
    driver.drive(1.0)
    stop = driver.people((1.1, 0.0))
    assert stop is not None and stop.action is GuardAction.STOP
    assert stop.reason is GuardReason.SEPARATION or stop.reason is GuardReason.PERSON_IN_STOP_ZONE
    assert driver.people((1.1, 0.0)) is None, "it has been said"


def test_without_commands_it_crawls_stops_and_then_is_silent() -> None:
    driver = Driver(stop_pub_timeout_ms=500.0).open()
    driver.drive(1.0)
    said = driver.drive(3.0, commands=False)
    speeds = [None if one is None else one.twist.linear[0] for one in said]
    first = next(n for n, one in enumerate(speeds) if one is not None)
    assert first * TICK <= driver.settings.command_timeout_ms / 1e3 + TICK
    moving = [one for one in speeds if one]
    assert 0.1 < max(moving) <= driver.settings.crawl_speed
    assert len(moving) == pytest.approx(driver.settings.crawl_time_ms / 1e3 / TICK, abs=2)
    zeros = [one for one in speeds if one == 0]
    assert len(zeros) == pytest.approx(0.5 / TICK, abs=2)
    assert speeds[-1] is None and driver.run.decision is not None
    assert driver.run.decision.reason is GuardReason.COMMAND_TOO_OLD
    driver.command()
    assert driver.drive(1.0)[-1] is None
    assert driver.run.decision.action is GuardAction.NONE, "it is back"


def test_an_inactive_run_counts_and_says_nothing() -> None:
    driver = Driver()
    assert driver.people() is None and driver.command() is None
    assert driver.run.tick(driver.now, driver.at) is None
    assert driver.run.close() is None
    for one in GuardInput:
        assert driver.run.account[one].reasons == {Refusal.NOT_ACTIVE: 1}
    driver.open().drive(0.2)
    zero = driver.run.close()
    assert zero is not None and zero.twist == VelocityCommand()
    assert driver.command() is None and driver.run.close() is None


def test_what_was_before_is_forgotten_but_not_the_counts() -> None:
    driver = Driver().open()
    driver.drive(1.0)
    driver.people((1.1, 0.0))
    driver.run.close()
    counts = driver.run.counts
    driver.open()
    assert driver.run.counts == counts and driver.run.decision is None
    answer = driver.command()
    assert answer is not None and answer.reason is GuardReason.NO_PEOPLE


def test_what_cannot_be_used_is_counted_and_explained() -> None:
    driver = Driver().open()
    driver.drive(1.0)
    answer = driver.command(twist(math.nan))
    assert answer is not None and answer.reason is GuardReason.COMMAND_INVALID
    # The last arc, slower.
    assert answer.twist.angular[2] == pytest.approx(0.2 * answer.twist.linear[0])
    driver.people(frame="map")
    assert driver.run.decision is not None
    assert GuardReason.PEOPLE_INVALID in driver.run.decision.reasons
    assert "frame 'map'" in driver.run.new_problem(GuardInput.PEOPLE)
    assert not driver.run.new_problem(GuardInput.PEOPLE), "once"
    driver.at -= 0.02
    driver.people()
    driver.at += 0.02
    people, commands = (driver.run.account[one] for one in GuardInput)
    assert people.reasons == {Refusal.MALFORMED: 1, Refusal.LATE: 1}
    assert commands.reasons == {Refusal.MALFORMED: 1}
    for tally in (people, commands):
        assert tally.received == tally.used + tally.refused


@pytest.mark.parametrize(
    ("age", "frame", "reason"),
    [
        (0.0, "base_link", GuardReason.NONE),
        (0.0, "", GuardReason.NONE),
        (0.5, "base_link", GuardReason.COMMAND_TOO_OLD),
        (-0.5, "base_link", GuardReason.COMMAND_IN_FUTURE),
        (0.0, "odom", GuardReason.COMMAND_INVALID),
    ],
)
def test_stamped_commands(age: float, frame: str, reason: GuardReason) -> None:
    driver = Driver(enable_stamped_cmd_vel=True).open()
    driver.drive(1.0)
    answer = driver.command(driver.stamp(TwistStamped(twist=twist()), age, frame))
    assert answer is not None and answer.reason is reason


def test_commands_that_come_too_old_are_told_from_none() -> None:
    driver = Driver(enable_stamped_cmd_vel=True).open()
    assert math.isnan(driver.run.situation(driver.now).late)
    for age, late in ((3600.0, 3600.0), (0.1, math.nan)):
        driver.people()
        driver.command(driver.stamp(TwistStamped(twist=twist()), age))
        assert driver.run.situation(driver.now).late == pytest.approx(late, nan_ok=True)
    driver.command(driver.stamp(TwistStamped(twist=twist()), 5.0))
    driver.at += 3.0
    assert math.isnan(driver.run.situation(driver.now).late), "none has come for a while"


def test_what_was_wrong_before_it_was_closed_is_not_wrong_afterwards() -> None:
    driver = Driver().open()
    driver.command()
    decision = driver.run.decision
    assert decision is not None and GuardReason.NO_PEOPLE in decision.reasons
    driver.run.close()
    driver.run.tick(driver.now, driver.at)
    assert driver.run.decision is None


def test_a_command_without_a_stamp_is_as_old_as_its_arrival() -> None:
    driver = Driver(enable_stamped_cmd_vel=True).open()
    driver.drive(1.0)
    waited = driver.now - 400_000_000
    answer = driver.run.command(TwistStamped(twist=twist()), driver.now, waited, driver.at)
    assert answer is not None and answer.reason is GuardReason.COMMAND_TOO_OLD


def test_parameters_change_without_a_pause() -> None:
    driver = Driver().open()
    driver.drive(1.0)
    driver.run.apply(PedestrianGuardSettings.of({"degraded_speed": 0.25}))
    driver.people(status=PersonArray.DEGRADED)
    answer = driver.command()
    assert answer is not None
    assert (answer.reason, answer.limit) == (GuardReason.PEOPLE_DEGRADED, 0.25)


def test_the_speed_limit_is_about_the_vehicle_s_largest_speed() -> None:
    driver = Driver(max_speed=1.2, view_deg=360.0).open()
    driver.drive(1.0)
    assert driver.run.speed_limit(driver.now) == 1.2
    driver.command(twist(0.1, 0.0))  # slow enough for the person
    driver.people((3.0, 0.0))
    assert 0.1 < driver.run.speed_limit(driver.now) < 1.2
    driver.people((1.1, 0.0))
    assert driver.run.speed_limit(driver.now) == 0.0
    driver.at += 5.0  # no commands: a planner may begin
    driver.people()
    assert driver.run.decision is not None
    driver.drive(1.0, commands=False)
    assert driver.run.speed_limit(driver.now) == 1.2


@pytest.mark.parametrize(("allowed", "said"), [(1.5, 0.0), (0.4, 0.4), (0.0, SLOWEST)])
def test_a_speed_limit_says_0_where_there_is_none(allowed: float, said: float) -> None:
    pytest.importorskip("nav2_msgs.msg")
    message = speed_limit(RclpyClasses(), START, "base_link", allowed, 1.5)
    assert (message.percentage, message.speed_limit) == (False, said)
    assert message.header.frame_id == "base_link"
    assert stamp_of(message) == START


def test_markers_show_zones_and_who_decides() -> None:
    driver = Driver().open()
    core = driver.settings.core()
    types = RclpyClasses()

    def shown() -> dict[str, Any]:
        situation = driver.run.situation(driver.now)
        array = guard_markers(types, driver.now, "base_link", situation, core)
        assert array.markers[0].action == 3  # what was before is deleted
        return {one.ns: one for one in array.markers[1:]}

    assert shown() == {}
    driver.drive(1.0)
    free = shown()
    assert set(free) == {*ZONE_COLOURS, "label"}
    assert free["label"].text == "none\n1.07 of 1.07 m/s"  # of the fastest corner
    assert free["slowdown_zone"].points[0] == free["slowdown_zone"].points[-1], "closed"
    assert {one.header.frame_id for one in free.values()} == {"base_link"}
    driver.people((1.6, 0.0))
    near = shown()
    assert near["label"].text.startswith(("approach: separation (0)", "stop: separation (0)"))
    # The vehicle has moved for the 80 ms since the image.
    assert near["deciding_person"].points[1].x == pytest.approx(1.6 - 0.08, abs=0.01)
    driver.people((0.9, 0.6))
    driver.at += 0.1
    driver.people()
    gone = shown()
    assert gone["label"].text.startswith("stop: person_remembered (0)")
    assert gone["deciding_person"].points[1].x == pytest.approx(0.9 - 0.1, abs=0.1)
    driver.run.close()
    assert shown() == {}, "an inactive guard shows nothing"
