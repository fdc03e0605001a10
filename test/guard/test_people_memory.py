# SPDX-License-Identifier: Apache-2.0
"""People who have vanished where nobody could see it: kept for a while, and forgotten in time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from guard_scenes import MS, person, unknown_velocity
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.person import PeopleStatus
from hrnet_pose_ros.guard.believed_motion import BelievedMotion
from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.guard.guard import Guard
from hrnet_pose_ros.guard.inputs import PeopleReport, PersonReport, VelocityCommand
from hrnet_pose_ros.guard.people_memory import MOST, PeopleMemory, in_clear_view
from hrnet_pose_ros.guard.reasons import GuardAction, GuardReason
from hrnet_pose_ros.guard.settings import GuardSettings

START = 1_700_000_000_000 * MS
PERIOD = 50  # ms
AHEAD = VelocityCommand.planar(1.0)
LEFT = VelocityCommand.planar(0.8, 0.8)
# Beside the way, outside of the view of 70 degrees.
BESIDE = (1.2, 1.6)


class Drive:
    """A guard with people of now at 10 Hz and commands at 20 Hz."""

    def __init__(self, guard_settings: GuardSettings | None = None) -> None:
        self.guard = Guard(guard_settings or GuardSettings())
        self.now, self.step = START, 0
        self.who: tuple[PersonReport, ...] = ()
        self.status: int = PeopleStatus.OK
        self.command = VelocityCommand()

    def run(self, milliseconds: int) -> list[Decision]:
        found = []
        for _ in range(milliseconds // PERIOD):
            if self.step % 2 == 0:
                self.guard.people(PeopleReport(self.now, self.who, self.status), self.now)
            found.append(self.guard.command(self.command, self.now))
            self.now += PERIOD * MS
            self.step += 1
        return found

    def lose(self, *people: PersonReport, command: VelocityCommand | None = None) -> Drive:
        """People are coasting for a second, while the vehicle stands, and are reported no more."""
        self.who = tuple(replace(one, coasting=True, existence=0.8) for one in people)
        self.run(1000)
        self.who = ()
        self.command = command or self.command
        return self


def slowed(decisions: list[Decision]) -> list[Decision]:
    return [one for one in decisions if GuardReason.PERSON_REMEMBERED in one.reasons]


def test_a_turn_towards_somebody_who_left_the_view_is_slow() -> None:
    """Without the memory, the guard accelerates towards them."""
    decisions = Drive().lose(person(*BESIDE), command=LEFT).run(1500)
    assert decisions[-1].reason is GuardReason.PERSON_REMEMBERED
    assert decisions[-1].action is GuardAction.APPROACH
    assert (decisions[-1].person_id, decisions[-1].remembered) == ("7", 1)
    assert GuardSettings().blind_speed <= decisions[-1].limit < 0.4
    nobody = Drive(GuardSettings(memory=0.0)).lose(person(*BESIDE), command=LEFT).run(1500)
    assert not slowed(nobody)
    assert nobody[-1].limit > 0.5


def test_a_way_that_does_not_lead_there_is_free() -> None:
    decisions = Drive().lose(person(*BESIDE), command=AHEAD).run(1500)
    assert decisions[-1].action is GuardAction.NONE


def test_the_probable_place_stops_for_a_while_and_then_slows_for_a_while() -> None:
    """Never for ever: also where the vehicle stands, and nobody can see the place."""
    guard_settings = GuardSettings(view=math.radians(20.0), memory=4.0, memory_stop=1.5)
    decisions = Drive(guard_settings).lose(person(1.1, 0.3), command=AHEAD).run(5000)
    actions = [one.action for one in decisions]
    stood = actions.count(GuardAction.STOP) * PERIOD / 1000
    assert stood == pytest.approx(1.5 + guard_settings.release_delay, abs=0.2)
    assert set(actions[: round(stood * 1000 / PERIOD)]) == {GuardAction.STOP}
    assert {one.reason for one in decisions if one.action is GuardAction.STOP} == {
        GuardReason.PERSON_REMEMBERED
    }
    assert decisions[-1].remembered == 0
    assert decisions[-1].action is GuardAction.NONE
    slow = [one.limit for one in decisions if one.limit < math.inf and one.limit > 0]
    assert max(slow) <= guard_settings.blind_speed + 1e-9


def test_a_place_that_has_been_in_view_for_half_a_second_is_empty() -> None:
    """The vehicle turns on the spot until it sees the place."""
    drive = Drive().lose(person(0.6, 3.0))
    assert drive.run(1000)[-1].remembered == 1
    drive.command = VelocityCommand.planar(0.0, 0.6)
    decisions = drive.run(6000)
    turned = np.cumsum([one.twist.angular[2] * PERIOD / 1000 for one in decisions])
    forgotten = next(n for n, one in enumerate(decisions) if not one.remembered)
    bearing = math.atan2(3.0, 0.6)
    assert math.radians(35.0) > bearing - turned[forgotten] > 0
    # It was forgotten when the bearing had been within the view for half a second, and a little.
    inside = next(
        n for n, turn in enumerate(turned) if bearing - turn < math.radians(35.0) - 0.6 / 3.0
    )
    assert 0.4 <= (forgotten - inside) * PERIOD / 1000 <= 1.5


def test_who_vanishes_in_view_while_coasting_is_forgotten_within_half_a_second() -> None:
    """Somebody invented by the detector, in an empty way."""
    drive = Drive()
    drive.who = (person(3.0, 0.0),)
    drive.command = AHEAD
    drive.run(500)
    drive.who = (person(3.0, 0.0, coasting=True, existence=0.5),)
    drive.run(200)
    drive.who = ()
    assert drive.run(200)[-1].remembered == 1
    assert drive.run(300)[-1].remembered == 0


def test_who_was_seen_in_view_and_is_reported_no_more_is_gone() -> None:
    """Also close to the vehicle, where the whole body is not in the view."""
    for place, count in (((1.0, 0.0), 0), ((3.0, 1.8), 1)):
        drive = Drive()
        drive.who = (person(*place),)
        drive.run(500)
        drive.who = ()
        assert drive.run(100)[-1].remembered == count


def test_who_is_hidden_by_somebody_is_not_taken_for_gone() -> None:
    drive = Drive()
    near, far = person(2.5, 0.0, id="near"), person(4.0, 0.1, id="far")
    drive.who = (near, far)
    drive.run(300)
    drive.who = (near, replace(far, coasting=True, existence=0.3))
    drive.run(200)
    drive.who = (near,)
    assert {one.remembered for one in drive.run(2000)} == {1}
    drive.who = ()
    assert drive.run(800)[-1].remembered == 0


def test_who_is_seen_again_is_no_longer_remembered() -> None:
    for name in ("7", "8"):  # also with another id, at about the same place
        drive = Drive().lose(person(*BESIDE))
        assert drive.run(500)[-1].remembered == 1
        drive.who = (person(BESIDE[0] + 0.3, BESIDE[1] - 0.3, id=name),)
        assert drive.run(100)[-1].remembered == 0
    drive = Drive().lose(person(*BESIDE))
    drive.who = (person(3.0, -1.0, id="8"),)
    assert drive.run(500)[-1].remembered == 1, "somebody else"


def test_another_person_with_the_same_id_is_somebody_else() -> None:
    """The fusion was started again, and its ids begin anew."""
    drive = Drive().lose(person(*BESIDE))
    drive.who = (person(9.0, 0.0),)
    assert drive.run(500)[-1].remembered == 1
    # Also if nothing was reported in between.
    drive = Drive().lose(person(*BESIDE))
    drive.who = (person(9.0, 0.0),)
    drive.command = LEFT
    assert slowed(drive.run(1000))[-1].person_id == "7 (before)"


def test_who_is_far_away_is_forgotten() -> None:
    """The zone grows with the commanded speed."""
    for far, count in ((4.0, 1), (12.0, 0)):
        drive = Drive().lose(person(far * 0.5, far))
        assert drive.run(200)[-1].remembered == count
    fast = Drive()
    fast.command = VelocityCommand.planar(3.0)
    assert fast.lose(person(6.0, 12.0)).run(200)[-1].remembered == 1


def test_an_error_says_nothing_about_anybody() -> None:
    drive = Drive()
    drive.who = (person(*BESIDE, coasting=True),)
    drive.run(500)
    drive.who, drive.status = (), PeopleStatus.ERROR
    assert drive.run(500)[-1].remembered == 0, "nobody is reported, nobody has vanished"
    drive.status = PeopleStatus.OK
    assert drive.run(200)[-1].remembered == 1


def test_a_report_from_the_future_shows_nothing() -> None:
    drive = Drive()
    drive.who = (person(*BESIDE, coasting=True),)
    drive.run(500)
    drive.guard.people(PeopleReport(drive.now + 3_600_000 * MS), drive.now)
    drive.who = ()
    assert drive.run(500)[-1].remembered == 1
    assert drive.run(10_500)[-1].remembered == 0


def test_who_hardly_exists_is_not_remembered() -> None:
    drive = Drive()
    drive.who = (person(*BESIDE, coasting=True, existence=0.3),)
    drive.run(300)
    drive.who = (person(*BESIDE, coasting=True, existence=0.05),)
    drive.run(200)
    drive.who = ()
    assert drive.run(200)[-1].remembered == 0


@pytest.mark.parametrize("jump", [-5000, 3000])
def test_a_jump_of_the_clock_clears_the_memory(jump: int) -> None:
    """Nobody knows how far the vehicle has moved: the faults' crawl is what remains."""
    drive = Drive().lose(person(*BESIDE), command=LEFT)
    assert drive.run(500)[-1].remembered == 1
    drive.now += jump * MS
    decision = drive.run(PERIOD)[0]
    assert decision.remembered == 0
    assert decision.limit <= GuardSettings().crawl_speed
    assert slowed(drive.run(2000)) == []


def test_the_memory_moves_with_the_vehicle() -> None:
    """2 m ahead at 0.3 m/s, as the guard itself limits it: then somebody ahead-left is beside."""
    drive = Drive(GuardSettings(memory=20.0)).lose(person(3.0, 3.0), command=AHEAD)
    way = 0.0
    while way < 2.0:
        way += drive.run(PERIOD)[0].twist.linear[0] * PERIOD / 1000
    drive.command = VelocityCommand.planar(0.0)
    [*_, last] = drive.guard._memory.people(drive.now)
    most, *_ = drive.guard._memory.people(drive.now)
    assert most.position == pytest.approx([1.0, 3.0], abs=0.1)
    assert most.position[0] <= last.position[0] <= 1.0 + 1.0


def walked(speed: float, speed_deviation: float, milliseconds: int) -> PersonReport:
    """Seen once with a velocity to the left, then lost; after a time."""
    drive = Drive(GuardSettings(memory=30.0))
    drive.who = (person(*BESIDE, 0.0, speed, speed_deviation=speed_deviation),)
    drive.run(100)
    drive.lose(*drive.who).run(milliseconds)
    [one] = drive.guard._memory.people(drive.now)
    return one


def test_who_walks_out_of_view_walks_on_for_a_while() -> None:
    """And is nowhere probable: it does not stop the vehicle."""
    assert walked(0.8, 0.2, 1000).position[1] == pytest.approx(BESIDE[1] + 0.75, abs=0.15)
    late = walked(0.3, 0.1, 20000)
    assert late.position == pytest.approx([BESIDE[0], BESIDE[1] + 0.9], abs=0.1)
    assert np.hypot(*late.velocity) < 0.01
    assert late.possible_only


def test_a_velocity_that_is_noise_moves_nobody() -> None:
    one = walked(-0.3, 0.4, 2000)
    assert one.position == pytest.approx(BESIDE, abs=0.05)
    assert one.velocity.tolist() == [0.0, 0.0]
    assert not one.possible_only
    assert walked(-0.3, 0.4, 4000).possible_only, "after memory_stop"


@pytest.mark.parametrize("variance", [1e9, 1e200])
def test_a_velocity_that_is_known_in_one_direction_only(variance: float) -> None:
    one = person(3.0, 0.0)
    one.covariance[2:, 2:] = variance  # of rank 1
    guard = Guard(GuardSettings())
    guard.people(PeopleReport(0, (one,)), 0)
    assert guard.command(VelocityCommand.planar(1.0), 0).person_id == one.id


def test_an_unknown_velocity_stays_unknown() -> None:
    drive = Drive().lose(unknown_velocity(*BESIDE), command=LEFT)
    decisions = drive.run(500)
    assert decisions[-1].remembered == 1
    [one, *_] = drive.guard._memory.people(drive.now)
    assert not one.velocity_known
    assert one.placed


def test_what_is_possible_is_no_wider_than_for_somebody_seen() -> None:
    drive = Drive().lose(person(*BESIDE, deviation=2.0, speed_deviation=1.0))
    drive.run(500)
    [one] = drive.guard._memory.people(drive.now)
    guard_settings = GuardSettings()
    deviations = np.sqrt(np.linalg.eigvalsh(one.covariance[:2, :2]))
    assert guard_settings.uncertainty_sigmas * deviations.max() == pytest.approx(
        guard_settings.stop_uncertainty
    )


def test_the_number_is_bounded_and_the_nearest_stay() -> None:
    angles = np.linspace(1.0, 2 * math.pi - 1.0, 3 * MOST)
    crowd = [
        person((1.5 + n / 50) * math.cos(a), (1.5 + n / 50) * math.sin(a), id=str(n))
        for n, a in enumerate(angles)
    ]
    drive = Drive(GuardSettings(view=0.1)).lose(*crowd)
    assert drive.run(200)[-1].remembered == MOST
    assert {one.id for one in drive.guard._memory.people(drive.now)} == set(map(str, range(MOST)))


def test_other_settings_count_at_once() -> None:
    drive = Drive().lose(person(*BESIDE))
    assert drive.run(500)[-1].remembered == 1
    drive.guard.apply(GuardSettings(memory=0.2))
    assert drive.run(PERIOD)[-1].remembered == 0


def test_a_camera_may_be_anywhere_on_the_vehicle() -> None:
    ahead = GuardSettings()
    assert in_clear_view(person(3.0, 0.0), ahead)
    assert not in_clear_view(person(1.0, 0.0), ahead), "only a part of the body is in the view"
    assert not in_clear_view(person(3.0, 1.6), ahead), "beside the view of a camera at the front"
    assert in_clear_view(person(3.0, 1.0), ahead)
    assert not in_clear_view(person(3.0, 1.0, deviation=1.0), ahead), "may be beside it"
    back = replace(ahead, view_direction=math.pi)
    assert in_clear_view(person(-3.0, 0.0), back)
    assert not in_clear_view(person(3.0, 0.0), back)
    wide = replace(ahead, view=math.radians(270.0))
    assert in_clear_view(person(0.0, 3.0), wide)
    assert not in_clear_view(person(-3.0, 0.0), wide)
    assert in_clear_view(person(-0.1, 0.0), replace(ahead, view=2 * math.pi))
    assert not in_clear_view(person(3.0, 0.0), replace(ahead, view=0.0))


def test_the_least_motion_lags_and_the_most_motion_leads() -> None:
    guard_settings = GuardSettings()
    most, least = (BelievedMotion(guard_settings, least=one) for one in (False, True))
    stop = VelocityCommand().on_ground
    for step in range(41):
        for motion in (most, least):
            motion.add(AHEAD.on_ground if step < 20 else stop, START + step * 50 * MS)
    ways = [motion.since(START, START + 2000 * MS)[1][0] for motion in (most, least)]
    # A second at 1 m/s and its braking; half of the deceleration for a second, and at once 0.
    assert ways[0] == pytest.approx(1.0 + 1.0 / 2.4, abs=0.06)
    assert ways[1] == pytest.approx(0.3, abs=0.06)


def test_the_least_motion_reverses_from_standing() -> None:
    least = BelievedMotion(GuardSettings(), least=True)
    for step in range(60):
        twist = AHEAD if step < 40 else VelocityCommand.planar(-1.0)
        least.add(twist.on_ground, START + step * 50 * MS)
    reversed_way = least.since(START + 2000 * MS, START + 3000 * MS)[1][0]
    assert reversed_way == pytest.approx(-0.3, abs=0.06)


walkers = st.builds(
    lambda x, y, vx, vy, name, coasting, deviation: person(
        x, y, vx, vy, id=name, coasting=coasting, deviation=deviation, existence=0.7
    ),
    st.floats(-3.0, 5.0),
    st.floats(-3.0, 3.0),
    st.floats(-1.5, 1.5),
    st.floats(-1.5, 1.5),
    st.sampled_from(["1", "2", "3"]),
    st.booleans(),
    st.floats(0.0, 1.0),
)
scenes = st.lists(
    st.tuples(
        st.lists(walkers, max_size=3, unique_by=lambda one: one.id),
        st.sampled_from([PeopleStatus.OK, PeopleStatus.OK, PeopleStatus.ERROR]),
        st.builds(VelocityCommand.planar, st.floats(-1.0, 1.5), st.floats(-1.0, 1.0)),
    ),
    min_size=1,
    max_size=8,
)


@given(scenes)
@settings(max_examples=40, deadline=None)
def test_the_memory_never_makes_the_vehicle_faster(
    scene: list[tuple[list[PersonReport], int, VelocityCommand]],
) -> None:
    """Beside the same guard without it, whatever is reported; and it ends in its time."""
    brief = replace(GuardSettings(), memory=2.0)  # the default takes 10 s of driving to end
    with_memory, without = Drive(brief), Drive(replace(brief, memory=0.0))
    for who, status, command in scene:
        for drive in (with_memory, without):
            drive.who, drive.status, drive.command = tuple(who), status, command
        for _ in range(8):
            # The same motion for both: what they believe of the vehicle must not differ.
            without.guard._motion._parts = with_memory.guard._motion._parts.copy()
            [one], [other] = with_memory.run(PERIOD), without.run(PERIOD)
            assert one.factor <= other.factor + 1e-9
            assert one.remembered <= 6  # an id may be that of two persons, one after the other
            assert other.remembered == 0
    for drive in (with_memory, without):
        drive.who, drive.status = (), PeopleStatus.OK
    seconds = brief.memory + brief.release_delay
    last = with_memory.run(round(seconds * 1000) + 500)[-1]
    assert last.remembered == 0
    assert not slowed([last])
    assert last.factor == pytest.approx(without.run(round(seconds * 1000) + 500)[-1].factor)


@given(st.lists(walkers, max_size=3, unique_by=lambda one: one.id), st.floats(0.0, 30.0))
@settings(deadline=None)
def test_nobody_is_remembered_for_longer_than_the_parameter(
    who: list[PersonReport], memory: float
) -> None:
    guard_settings = GuardSettings(memory=memory)
    motions = [BelievedMotion(guard_settings, least=one) for one in (False, True)]
    kept = PeopleMemory(guard_settings, motions[0], motions[1])
    kept.observe(PeopleReport(START, tuple(who)), 1.0)
    kept.observe(PeopleReport(START + 100 * MS), 1.0)
    for seconds in (0.1, memory, memory + 0.01):
        now = START + round(seconds * 1e9)
        assert kept.count(now) <= len(who)
        assert len(kept.people(now)) <= 2 * len(who)
    assert kept.count(now) == 0
    assert kept.people(now) == []
