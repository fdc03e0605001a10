# SPDX-License-Identifier: Apache-2.0
"""The guard over time: faults of its inputs, with a driven clock, and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from guard_scenes import MS, person, unknown_velocity

from hrnet_pose_ros.fusion.person import PeopleStatus
from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.guard.guard import Guard
from hrnet_pose_ros.guard.inputs import PeopleReport, PersonReport, VelocityCommand
from hrnet_pose_ros.guard.reasons import INPUT_FAULTS, GuardAction, GuardReason
from hrnet_pose_ros.guard.settings import GuardSettings

COMMAND = VelocityCommand.planar(1.0, 0.2)
START = 1_700_000_000_000 * MS
PERIOD = 50  # ms


class Drive:
    """A guard with people at 10 Hz, 80 ms old, and commands at 20 Hz."""

    def __init__(self, settings: GuardSettings | None = None) -> None:
        self.settings = settings or GuardSettings()
        self.guard = Guard(self.settings)
        self.now = START
        self.who: tuple[PersonReport, ...] = ()
        self.status: int = PeopleStatus.OK
        self.age = 80
        self.people = self.commands = True
        self.command = COMMAND
        self.step = 0

    def run(self, milliseconds: int, each: Callable[[], None] | None = None) -> list[Decision]:
        """The decisions of a time."""
        found = []
        for _ in range(milliseconds // PERIOD):
            if each is not None:
                each()
            if self.people and self.step % 2 == 0:
                stamp = self.now - self.age * MS
                self.guard.people(PeopleReport(stamp, self.who, self.status), self.now)
            if self.commands:
                found.append(self.guard.command(self.command, self.now))
            else:
                found.append(self.guard.tick(self.now))
            self.now += PERIOD * MS
            self.step += 1
        return found

    def settled(self) -> Drive:
        """After some normal driving."""
        assert self.run(1500)[-1].action is GuardAction.NONE
        return self


def limits(decisions: list[Decision]) -> list[float]:
    return [one.limit for one in decisions]


def assert_crawls_then_stands(drive: Drive, decisions: list[Decision], reason: GuardReason) -> None:
    """From the first decision with the reason on."""
    first = next(n for n, one in enumerate(decisions) if reason in one.reasons)
    faulty = decisions[first:]
    crawl = drive.settings.crawl_speed
    # The time of a jump counts as one of overload.
    count = round(drive.settings.crawl_time * 1000 / PERIOD)
    assert {one.limit for one in faulty[: count - 6]} == {crawl}
    assert {one.action for one in faulty[: count - 6]} == {GuardAction.LIMIT}
    assert {one.limit for one in faulty[count:]} == {0.0}
    assert {one.action for one in faulty[count:]} == {GuardAction.STOP}
    assert all(reason in one.reasons for one in faulty[: count - 6])
    assert faulty[-1].twist.scaled(1.0) == VelocityCommand()
    assert drive.guard.counts[reason] >= count - 6


def test_people_stop() -> None:
    drive = Drive().settled()
    drive.people = False
    decisions = drive.run(2500)
    assert decisions[0].action is GuardAction.NONE
    assert_crawls_then_stands(drive, decisions, GuardReason.PEOPLE_TOO_OLD)
    old = next(n for n, one in enumerate(decisions) if one.reasons)
    assert old * PERIOD <= drive.settings.people_timeout * 1000
    assert decisions[-1].people_age == pytest.approx(2.5, abs=0.2)


def test_people_come_late() -> None:
    drive = Drive().settled()
    drive.age = 400
    assert_crawls_then_stands(drive, drive.run(2500), GuardReason.PEOPLE_TOO_OLD)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": PeopleStatus.ERROR}, GuardReason.PEOPLE_ERROR),
        ({"status": 77}, GuardReason.PEOPLE_INVALID),
        ({"age": -200}, GuardReason.PEOPLE_IN_FUTURE),
        ({"who": (person(math.nan, 0.0),)}, GuardReason.PERSON_INVALID),
        ({"who": (person(9.0, 0.0, deviation=math.inf),)}, GuardReason.PERSON_INVALID),
        ({"command": VelocityCommand.planar(math.nan)}, GuardReason.COMMAND_INVALID),
        ({"command": VelocityCommand.planar(1.0, math.inf)}, GuardReason.COMMAND_INVALID),
        ({"commands": False}, GuardReason.COMMAND_TOO_OLD),
    ],
)
def test_inputs_that_fail(change: dict[str, object], reason: GuardReason) -> None:
    drive = Drive().settled()
    vars(drive).update(change)
    decisions = drive.run(2500)
    assert_crawls_then_stands(drive, decisions, reason)
    assert all(np.isfinite([*one.twist.linear, *one.twist.angular]).all() for one in decisions)
    # On the last arc that was commanded, and on no other.
    crawls = [one.twist for one in decisions if 0 < one.limit < 1]
    assert crawls
    for twist in crawls:
        assert twist.angular[2] == pytest.approx(0.2 * twist.linear[0])


def test_no_people_since_the_start() -> None:
    drive = Drive()
    drive.people = False
    assert_crawls_then_stands(drive, drive.run(2500), GuardReason.NO_PEOPLE)


def test_no_command_since_the_start() -> None:
    drive = Drive()
    drive.commands = False
    decisions = drive.run(2000)
    assert {one.twist for one in decisions} == {VelocityCommand()}
    assert all(GuardReason.NO_COMMAND in one.reasons for one in decisions)
    assert decisions[-1].action is GuardAction.STOP


def test_an_invalid_command_alone_moves_nothing() -> None:
    drive = Drive()
    drive.command = VelocityCommand.planar(math.nan)
    assert {one.twist for one in drive.run(500)} == {VelocityCommand()}


@pytest.mark.parametrize("jump", [-5000, -100, 2000, 3_600_000])
def test_the_clock_jumps(jump: int) -> None:
    drive = Drive().settled()
    drive.now += jump * MS
    back, forwards = GuardReason.CLOCK_JUMPED_BACK, GuardReason.CLOCK_JUMPED_FORWARDS
    decisions = drive.run(3000)
    reason = back if jump < 0 else forwards
    assert reason in decisions[0].reasons
    assert decisions[0].limit == drive.settings.crawl_speed
    # People go on after the jump: so does the vehicle, after the delay.
    assert decisions[-1].action is GuardAction.NONE
    assert drive.guard.counts[reason] > 0


def test_the_clock_jumps_and_people_do_not_come_back() -> None:
    drive = Drive().settled()
    drive.now -= 5000 * MS
    drive.people = False
    assert_crawls_then_stands(drive, drive.run(2500), GuardReason.NO_PEOPLE)


@pytest.mark.parametrize("jump", [-100_000, 100_000])
def test_a_jump_of_the_clock_revives_no_command(jump: int) -> None:
    """Nobody has commanded for seconds: nothing moves by itself, whatever the clock shows."""
    drive = Drive(replace(GuardSettings(), command_timeout=1.0)).settled()
    drive.commands = False
    assert drive.run(5000)[-1].factor == 0
    drive.now += jump * MS
    assert {one.factor for one in drive.run(3000)} == {0.0}
    drive.commands = True
    assert drive.run(1500)[-1].factor == 1


def test_a_longer_timeout_revives_no_command() -> None:
    drive = Drive().settled()
    drive.commands = False
    assert drive.run(3000)[-1].factor == 0
    drive.guard.apply(replace(drive.settings, command_timeout=10.0))
    assert {one.factor for one in drive.run(3000)} == {0.0}


def test_a_huge_command_is_answered() -> None:
    """Its square is beyond what floating point numbers can be."""
    drive = Drive().settled()
    drive.command = VelocityCommand.planar(1e200)
    assert_crawls_then_stands(drive, drive.run(2500), GuardReason.COMMAND_INVALID)


def test_a_fault_never_raises_the_speed() -> None:
    """Who stands for somebody does not begin to crawl when that person is forgotten."""
    drive = Drive().settled()
    drive.who = (person(1.1, 0.0),)
    assert drive.run(500)[-1].action is GuardAction.STOP
    drive.now += 5000 * MS
    drive.people = False
    assert {one.factor for one in drive.run(2000)} == {0.0}
    drive.people, drive.who = True, ()
    assert drive.run(1000)[-1].action is GuardAction.NONE


def test_other_settings_need_no_pause() -> None:
    drive = Drive().settled()
    drive.guard.apply(replace(drive.settings, blind_speed=0.2, crawl_speed=0.1))
    assert drive.run(PERIOD)[0].action is GuardAction.NONE
    drive.people = False
    assert {one.limit for one in drive.run(1000) if one.reasons} == {0.1}


def test_what_a_planner_may_command() -> None:
    drive = Drive(GuardSettings(view=2 * math.pi)).settled()
    assert drive.guard.allowed_of(1.5, drive.now) == 1.5
    drive.who = (person(2.5, 0.0),)
    drive.command = VelocityCommand.planar(0.1)
    assert drive.run(1000)[-1].factor == 1, "slow enough"
    assert 0.1 < drive.guard.allowed_of(1.5, drive.now) < 1.5
    drive.who, drive.commands = (), False
    drive.run(1000)
    assert drive.guard.allowed_of(1.5, drive.now) == 1.5, "a planner may begin"
    drive.people = False
    assert drive.run(2000)[-1].action is GuardAction.STOP
    assert drive.guard.allowed_of(1.5, drive.now) == 0.0


def test_overload() -> None:
    drive = Drive().settled()
    drive.now += 400 * MS
    decisions = drive.run(2000)
    assert GuardReason.OVERLOAD in decisions[0].reasons
    assert decisions[0].limit <= drive.settings.crawl_speed
    assert decisions[-1].action is GuardAction.NONE


def test_overload_that_comes_back_ends_in_standing() -> None:
    drive = Drive().settled()
    decisions = [
        decision
        for _ in range(8)
        for decision in (drive.run(200), setattr(drive, "now", drive.now + 400 * MS))[0]
    ]
    assert decisions[-1].action is GuardAction.STOP
    assert drive.guard.counts[GuardReason.OVERLOAD] > 5


def test_a_command_that_has_waited_is_as_old_as_it_is() -> None:
    drive = Drive().settled()
    old = drive.guard.command(COMMAND, drive.now, stamp=drive.now - 400 * MS)
    assert GuardReason.COMMAND_TOO_OLD in old.reasons
    early = drive.guard.command(COMMAND, drive.now, stamp=drive.now + 400 * MS)
    assert GuardReason.COMMAND_IN_FUTURE in early.reasons


def test_a_fault_that_flickers_is_one_fault() -> None:
    """Every second report is an error: the vehicle does not crawl on for ever."""
    drive = Drive().settled()

    def flicker() -> None:
        drive.status = PeopleStatus.ERROR if drive.step % 4 < 2 else PeopleStatus.OK

    assert drive.run(2500, flicker)[-1].action is GuardAction.STOP


def test_degraded_people_limit_the_speed() -> None:
    drive = Drive().settled()
    drive.status = PeopleStatus.DEGRADED
    decisions = drive.run(2500)
    assert {one.action for one in decisions} == {GuardAction.LIMIT}
    assert {one.limit for one in decisions} == {0.5}
    assert decisions[-1].reason is GuardReason.PEOPLE_DEGRADED
    free = Drive(GuardSettings(degraded_speed=math.inf)).settled()
    free.status = PeopleStatus.DEGRADED
    assert free.run(500)[-1].action is GuardAction.NONE


def test_people_out_of_order_are_not_used() -> None:
    drive = Drive().settled()
    drive.guard.people(PeopleReport(drive.now - 300 * MS, (person(1.2, 0.0),)), drive.now)
    assert drive.run(PERIOD)[0].action is GuardAction.NONE


def test_back_after_the_delay_and_not_before() -> None:
    drive = Drive().settled()
    drive.who = (person(1.1, 0.0),)
    assert drive.run(200)[-1].action is GuardAction.STOP
    drive.who = ()
    decisions = drive.run(1000)
    released = next(n for n, one in enumerate(decisions) if one.factor > 0)
    delay = drive.settings.release_delay * 1000
    assert delay < (released + 1) * PERIOD <= delay + 3 * PERIOD
    assert decisions[released].action is GuardAction.NONE
    assert decisions[released - 1].reason is GuardReason.RELEASING
    assert drive.guard.counts[GuardReason.RELEASING] > 0


def test_delay_and_margin_of_a_release_run_together() -> None:
    """Somebody walks away: the margin is there before the delay has ended, and adds nothing."""

    def starts(settings: GuardSettings) -> int:
        drive = Drive(settings)
        far = 1.1

        def walk_away() -> None:
            nonlocal far
            far += 0.5 * PERIOD / 1000
            drive.who = (person(far, 0.0, 0.5, 0.0),)

        drive.who = (person(far, 0.0),)
        assert drive.run(500)[-1].action is GuardAction.STOP
        decisions = drive.run(3000, walk_away)
        return next(n for n, one in enumerate(decisions) if one.factor > 0)

    settings = GuardSettings(slowdown_ratio=1.0)
    at_once = starts(replace(settings, release_delay=0.0, release_margin=0.0))
    both = starts(settings)
    assert both - at_once <= settings.release_delay * 1000 / PERIOD + 1
    assert both == max(
        starts(replace(settings, release_margin=0.0)),
        starts(replace(settings, release_delay=0.0)),
    )


@pytest.mark.parametrize("stop_speed", [0.05, 0.0])
def test_a_place_that_flickers_does_not_make_the_vehicle_start(stop_speed: float) -> None:
    """The border of the zone of standing, give or take 4 cm in each image."""
    drive = Drive(GuardSettings(slowdown_ratio=1.0, stop_speed=stop_speed))
    drive.run(500)
    far = 2.0
    while True:  # towards the place at which the vehicle just stands
        drive.who = (person(far, 0.0),)
        if drive.run(200)[-1].action is GuardAction.STOP:
            break
        far -= 0.02
    random = np.random.default_rng(1)

    def flicker() -> None:
        drive.who = (person(far + random.uniform(-0.04, 0.04), 0.0),)

    assert {one.action for one in drive.run(3000, flicker)} == {GuardAction.STOP}
    drive.who = (person(far + 0.3, 0.0),)
    assert drive.run(1000)[-1].factor > 0


def test_out_of_view_the_vehicle_is_slow() -> None:
    for command in (
        VelocityCommand.planar(-1.0),
        VelocityCommand.planar(0.0, 2.0),
        VelocityCommand.planar(0.0, 0.0, 1.0),
    ):
        drive = Drive()
        drive.command = command
        decision = drive.run(1500)[-1]
        assert decision.limit == pytest.approx(0.3)
        assert (decision.action, decision.reason) == (GuardAction.LIMIT, GuardReason.OUT_OF_VIEW)
    tight = Drive()
    tight.command = VelocityCommand.planar(1.0, 2.0)
    assert 0.3 < tight.run(1500)[-1].limit < 2.0
    around = Drive(GuardSettings(view=2 * math.pi))
    around.command = VelocityCommand.planar(-1.0)
    assert around.run(1500)[-1].action is GuardAction.NONE
    blind = Drive(GuardSettings(view=0.0))
    blind.command = VelocityCommand.planar(1.0)
    assert blind.run(1500)[-1].limit == pytest.approx(0.3)


def test_people_are_where_they_are_after_the_vehicle_has_turned() -> None:
    """A turn of 90° within the age of people: the one ahead is beside now, and the other way."""
    settings = GuardSettings(
        view=2 * math.pi, people_timeout=2.0, slowdown_ratio=1.0, least_human_speed=0.0
    )
    guard = Guard(settings)
    guard.people(PeopleReport(START, (person(0.0, 2.5, id="left"),)), START)
    turn = VelocityCommand.planar(0.0, math.pi / 2)
    for step in range(20):
        assert guard.command(turn, START + step * 50 * MS).factor == 1
    ahead = guard.command(VelocityCommand.planar(3.0), START + 1000 * MS)
    assert ahead.factor < 1
    assert ahead.person_id == "left"
    assert ahead.distance == pytest.approx(2.5 - 0.3 - 0.65, abs=0.02)


def test_nothing_is_named_without_being_counted() -> None:
    drive = Drive()
    events: list[dict[str, object]] = [
        {},
        {"who": (unknown_velocity(2.0, 0.0),)},
        {"who": (person(1.0, 0.0),)},
        {"who": (), "status": PeopleStatus.ERROR},
        {"status": PeopleStatus.DEGRADED},
        {"status": 0, "commands": False},
        {"commands": True, "command": VelocityCommand.planar(-1.0)},
    ]
    seen = []
    for event in events:
        vars(drive).update(event)
        seen += drive.run(1000)
    named = [reason for one in seen for reason in one.reasons]
    assert {one.reason for one in seen} - set(named) == {GuardReason.NONE}
    assert {reason: named.count(reason) for reason in set(named)} == dict(drive.guard.counts)
    assert GuardReason.NONE not in drive.guard.counts


def test_reasons_have_their_order() -> None:
    assert GuardReason.PERSON_INVALID in INPUT_FAULTS
    assert GuardReason.PERSON_IN_STOP_ZONE not in INPUT_FAULTS
    assert len({one.value for one in GuardReason}) == len(GuardReason)


def test_the_first_decision_needs_no_tick() -> None:
    guard = Guard(replace(GuardSettings(), view=2 * math.pi))
    guard.people(PeopleReport(START), START)
    assert guard.command(COMMAND, START).twist == COMMAND
