# SPDX-License-Identifier: Apache-2.0
"""The factor: in its range, never larger for more uncertainty, speed or delay."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from guard_scenes import decide, person, unknown_velocity
from hypothesis import given
from hypothesis import strategies as st

from hrnet_pose_ros.guard.commanded_path import DIRECTIONS
from hrnet_pose_ros.guard.footprint import Footprint
from hrnet_pose_ros.guard.inputs import PersonReport, VelocityCommand
from hrnet_pose_ros.guard.reasons import GuardAction, GuardReason
from hrnet_pose_ros.guard.settings import GuardSettings

ALL_AROUND = GuardSettings(view=2 * math.pi)
NO_ZONE = replace(ALL_AROUND, slowdown_ratio=1.0)

places = st.tuples(st.floats(-6.0, 6.0), st.floats(-6.0, 6.0))
speeds = st.tuples(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0))
commands = st.builds(
    VelocityCommand.planar, st.floats(-2.0, 2.0), st.floats(-1.5, 1.5), st.floats(-1.0, 1.0)
)


@st.composite
def people(draw: st.DrawFn) -> PersonReport:
    """Anybody anywhere, also on the vehicle, with any ellipse, known or not."""
    (x, y), (vx, vy) = draw(places), draw(speeds)
    one = person(x, y, vx, vy)
    root = np.array(draw(st.lists(st.floats(-0.5, 0.5), min_size=16, max_size=16))).reshape(4, 4)
    return replace(
        one if draw(st.booleans()) else unknown_velocity(x, y),
        covariance=root @ root.T,
        coasting=draw(st.booleans()),
        child_probability=draw(st.sampled_from([math.nan, 0.0, 0.6])),
        existence=draw(st.sampled_from([0.2, 1.0])),
    )


@given(st.lists(people(), max_size=4), commands)
def test_the_factor_is_in_its_range_and_the_path_is_kept(
    found: list[PersonReport], command: VelocityCommand
) -> None:
    named = tuple(replace(one, id=str(n)) for n, one in enumerate(found))
    decision = decide(named, command, GuardSettings(), age_ms=50)
    assert 0 <= decision.factor <= 1
    out = decision.twist
    assert out == command.scaled(decision.factor)
    for told, wanted in zip(
        (*out.linear, *out.angular), (*command.linear, *command.angular), strict=True
    ):
        assert abs(told) <= abs(wanted)
        assert told * wanted >= 0
    # Of the same curvature: cross products of the two twists are 0 up to the last digit.
    assert out.linear[0] * command.angular[2] == pytest.approx(
        command.linear[0] * out.angular[2], rel=1e-15, abs=1e-300
    )
    assert (decision.action is GuardAction.NONE) == (decision.reason is GuardReason.NONE)
    assert (decision.action is GuardAction.NONE) == (decision.factor == 1 and not decision.reasons)


@given(people(), commands, st.floats(1.0, 3.0), st.booleans())
def test_more_uncertainty_never_gives_a_larger_factor(
    one: PersonReport, command: VelocityCommand, growth: float, everything: bool
) -> None:
    scale = np.diag([growth, growth, growth if everything else 1.0, growth if everything else 1.0])
    doubtful = replace(one, covariance=scale @ one.covariance @ scale)
    factors = [decide((who,), command, ALL_AROUND).factor for who in (one, doubtful)]
    assert factors[1] <= factors[0] + 1e-9


@given(people(), commands, st.integers(0, 300), st.integers(0, 300))
def test_more_delay_never_gives_a_larger_factor(
    one: PersonReport, command: VelocityCommand, age: int, reaction: int
) -> None:
    slow = replace(NO_ZONE, reaction_time=NO_ZONE.reaction_time + reaction / 1000)
    fast = decide((one,), command, NO_ZONE).factor
    assert decide((one,), command, NO_ZONE, age_ms=age).factor <= fast + 1e-9
    assert decide((one,), command, slow).factor <= fast + 1e-9


@given(places, commands, st.floats(0.0, 1.6), st.floats(0.0, 3.0))
def test_a_faster_person_never_gives_a_larger_factor(
    place: tuple[float, float], command: VelocityCommand, slow: float, more: float
) -> None:
    """Straight towards the middle of a round vehicle, from any side."""
    settings = replace(NO_ZONE, footprint=Footprint.circle(0.4))
    towards = -np.array(place) / max(math.hypot(*place), 1e-9)
    factors = [
        decide((person(*place, *(speed * towards)),), command, settings).factor
        for speed in (slow, slow + more)
    ]
    assert factors[1] <= factors[0] + 1e-9


@given(people(), st.floats(0.1, 2.0), st.floats(-1.0, 1.0), st.floats(1.0, 2.0))
def test_a_faster_command_never_gives_a_larger_factor(
    one: PersonReport, forward: float, curvature: float, more: float
) -> None:
    factors = [
        decide((one,), VelocityCommand.planar(forward * f, curvature * forward * f), NO_ZONE).factor
        for f in (1.0, more)
    ]
    assert factors[1] <= factors[0] + 1e-9


@pytest.mark.parametrize("x", [1.5, 3.0, 10.0])
@pytest.mark.parametrize("command", [50.0, 100.0, 1e4])
def test_somebody_ahead_is_not_between_two_places_of_a_long_way(x: float, command: float) -> None:
    """What may be driven towards a person depends on them, however fast the command is."""
    usual = decide((person(x, 0.0),), VelocityCommand.planar(5.0), NO_ZONE).twist.linear[0]
    fast = decide((person(x, 0.0),), VelocityCommand.planar(command), NO_ZONE).twist.linear[0]
    assert 0 < fast <= usual + 1e-9


@given(people(), people(), commands)
def test_another_person_never_gives_a_larger_factor(
    one: PersonReport, other: PersonReport, command: VelocityCommand
) -> None:
    both = decide((one, replace(other, id="8")), command, ALL_AROUND).factor
    assert both <= decide((one,), command, ALL_AROUND).factor + 1e-9


def test_the_vehicle_can_stand_before_a_person_ahead() -> None:
    """Closed form: v T + v²/2a = the free way, to the step of the places."""
    settings = replace(NO_ZONE, least_human_speed=0.0, reaction_time=0.5, braking_deceleration=1.0)
    for x in (2.0, 3.0, 4.5):
        decision = decide((person(x, 0.0),), VelocityCommand.planar(3.0), settings)
        free = x - 0.3 - 0.65 - settings.intrusion
        speed = 3.0 * decision.factor
        assert speed * 0.5 + speed**2 / 2 == pytest.approx(free, abs=0.1 + 0.01)
        assert speed * 0.5 + speed**2 / 2 <= free
        assert decision.action is GuardAction.APPROACH
        assert decision.reason is GuardReason.SEPARATION


@pytest.mark.parametrize(
    ("place", "velocity", "command", "action"),
    [
        # ahead, within C: not a centimetre nearer
        ((1.05, 0.0), (0.0, 0.0), VelocityCommand.planar(1.0), GuardAction.STOP),
        # the same person, and the vehicle reverses: away from the person
        ((1.05, 0.0), (0.0, 0.0), VelocityCommand.planar(-1.0), GuardAction.NONE),
        # behind while driving forwards, standing and following
        ((-0.75, 0.0), (0.0, 0.0), VelocityCommand.planar(1.0), GuardAction.NONE),
        ((-1.00, 0.0), (1.5, 0.0), VelocityCommand.planar(1.0), GuardAction.NONE),
        # behind while reversing
        ((-0.75, 0.0), (0.0, 0.0), VelocityCommand.planar(-1.0), GuardAction.STOP),
        # inside the footprint: no way leads away, also where the front would come free
        ((0.5, 0.0), (0.0, 0.0), VelocityCommand.planar(-1.0), GuardAction.STOP),
        # beside, within C
        ((0.2, 0.65), (0.0, 0.0), VelocityCommand.planar(1.0), GuardAction.STOP),
        # beside the front: a turn on the spot would reach them
        ((0.5, 0.75), (0.0, 0.0), VelocityCommand.planar(0.0, 1.0), GuardAction.STOP),
        # far beside: it would not
        ((0.0, 2.0), (0.0, 0.0), VelocityCommand.planar(0.0, 1.0), GuardAction.NONE),
        # far ahead of an arc that leads elsewhere
        ((4.0, 0.0), (0.0, 0.0), VelocityCommand.planar(0.8, 1.0), GuardAction.NONE),
        # a vehicle that moves sideways
        ((0.2, 0.7), (0.0, 0.0), VelocityCommand.planar(0.0, 0.0, 0.5), GuardAction.STOP),
        ((0.2, -0.7), (0.0, 0.0), VelocityCommand.planar(0.0, 0.0, 0.5), GuardAction.NONE),
    ],
)
def test_where_people_are_and_where_the_way_leads(
    place: tuple[float, float],
    velocity: tuple[float, float],
    command: VelocityCommand,
    action: GuardAction,
) -> None:
    decision = decide((person(*place, *velocity),), command, NO_ZONE)
    assert decision.action is action, decision


def test_a_person_in_the_slowdown_zone_gives_the_ratio() -> None:
    decision = decide((person(2.5, 0.7),), VelocityCommand.planar(0.8, 0.0), ALL_AROUND)
    assert (decision.factor, decision.action) == (0.5, GuardAction.SLOWDOWN)
    assert decision.reason is GuardReason.PERSON_IN_SLOWDOWN_ZONE
    beyond = decide((person(2.5, 1.3),), VelocityCommand.planar(0.8, 0.0), ALL_AROUND)
    assert beyond.action is GuardAction.NONE


def test_who_is_coasting_stops_the_vehicle_only_where_they_probably_are() -> None:
    command = VelocityCommand.planar(1.0)
    uncertain = dict(deviation=1.0, speed_deviation=1.0)
    beside = decide((person(1.5, 1.6, coasting=True, **uncertain),), command, NO_ZONE)
    assert beside.limit == pytest.approx(NO_ZONE.blind_speed)
    assert beside.action is GuardAction.APPROACH
    seen = decide((person(1.5, 1.6, **uncertain),), command, NO_ZONE)
    assert seen.action is GuardAction.STOP
    ahead = decide((person(1.2, 0.0, coasting=True, **uncertain),), command, NO_ZONE)
    assert ahead.action is GuardAction.STOP


def test_where_a_prediction_leads_stops_the_vehicle_and_what_it_may_do_beside_does_not() -> None:
    """0.75 m beside the vehicle, as somebody who has left the view and walks past."""
    command = VelocityCommand.planar(1.0)
    beside = person(0.2, 1.35, -1.3, -0.2, coasting=True, deviation=1.0, speed_deviation=1.0)
    passing = decide((beside,), command, NO_ZONE)
    assert passing.limit == pytest.approx(NO_ZONE.blind_speed)
    towards = replace(beside, velocity=np.array([0.0, -1.3]))
    assert decide((towards,), command, NO_ZONE).action is GuardAction.STOP
    # Whose velocity is not known may walk towards the vehicle.
    slow = replace(NO_ZONE, least_human_speed=1.6)
    unknown = replace(beside, velocity=np.full(2, math.nan))
    assert decide((unknown,), command, slow).action is GuardAction.STOP


def test_who_is_hardly_placed_stops_the_vehicle_only_where_they_probably_are() -> None:
    """A part of a body at the border of the view: the bearing is known, the range is not."""
    command = VelocityCommand.planar(1.0)
    sight = np.array([2.3, 1.5])
    ellipse = np.zeros((4, 4))
    ellipse[:2, :2] = np.outer(sight, sight)
    border = replace(person(2.6, 1.5, speed_deviation=0.3), covariance=ellipse)
    seen = decide((border,), command, NO_ZONE)
    assert seen.limit == pytest.approx(NO_ZONE.blind_speed)
    assert seen.action is GuardAction.APPROACH
    all_of_it = replace(NO_ZONE, stop_uncertainty=50.0)
    assert decide((border,), command, all_of_it).action is GuardAction.STOP
    ahead = decide((person(1.9, 0.0, deviation=2.0),), command, NO_ZONE)
    assert ahead.action is GuardAction.STOP


def test_who_hardly_exists_is_not_counted() -> None:
    one = person(1.2, 0.0, existence=0.09)
    assert decide((one,), VelocityCommand.planar(1.0)).action is GuardAction.NONE
    unsure = replace(one, existence=math.nan)
    assert decide((unsure,), VelocityCommand.planar(1.0)).action is GuardAction.STOP


def test_the_one_who_decides_is_named() -> None:
    crowd = (person(4.0, 0.0, id="far"), person(2.0, 0.1, id="near"), person(1.5, 3.0, id="side"))
    decision = decide(crowd, VelocityCommand.planar(1.5), NO_ZONE)
    assert decision.person_id == "near"
    assert decision.terms is not None


def test_enough_directions() -> None:
    """A distance between convex sets is at most 0.3 % too small."""
    assert math.cos(math.pi / DIRECTIONS) > 0.997
