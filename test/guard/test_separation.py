# SPDX-License-Identifier: Apache-2.0
"""Each term of the separation distance against its closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from guard_scenes import decide, person, unknown_velocity

from hrnet_pose_ros.guard.decision import Decision
from hrnet_pose_ros.guard.inputs import VelocityCommand
from hrnet_pose_ros.guard.separation import Separation
from hrnet_pose_ros.guard.settings import GuardSettings

# From the footprint's front (0.65 m) to the cylinder of a person 20 m ahead.
FAR = 20.0
SETTINGS = GuardSettings(
    reaction_time=0.4, braking_deceleration=1.0, least_human_speed=0.0, view=2 * math.pi
)


def terms(decision: Decision) -> Separation:
    assert decision.terms is not None
    return decision.terms


def test_reaction_and_braking_are_those_of_the_speed() -> None:
    found = terms(decide((person(FAR, 0),), VelocityCommand.planar(2.0), SETTINGS))
    assert found.reaction == pytest.approx(2.0 * 0.4)
    assert found.braking == pytest.approx(2.0**2 / (2 * 1.0))
    assert found.human == pytest.approx(0.0, abs=1e-6)
    assert (found.intrusion, found.uncertainty, found.child) == (0.15, 0.0, 0.0)
    assert found.total == pytest.approx(0.8 + 2.0 + 0.15)


@pytest.mark.parametrize(
    ("velocity", "approach"),
    [
        ((-1.3, 0.0), 1.3),  # towards the vehicle
        ((1.3, 0.0), 0.0),  # away
    ],
)
def test_human_is_the_speed_towards_the_vehicle(
    velocity: tuple[float, float], approach: float
) -> None:
    command = VelocityCommand.planar(1.0)
    found = terms(decide((person(FAR, 0, *velocity),), command, SETTINGS, age_ms=100))
    assert found.human == pytest.approx(approach * (0.1 + 0.4 + 1.0), abs=1e-6)


def test_an_unknown_velocity_takes_k_from_everywhere() -> None:
    for place in ((FAR, 0.0), (5.0, 9.0), (-9.0, 0.0)):
        found = terms(decide((unknown_velocity(*place),), VelocityCommand.planar(1.0), SETTINGS))
        assert found.human == pytest.approx(1.6 * 1.4)


def test_an_uncertain_velocity_is_at_most_k() -> None:
    for deviation, speed in ((0.2, 0.4), (5.0, 1.6)):
        people = (person(FAR, 0, speed_deviation=deviation),)
        found = terms(decide(people, VelocityCommand.planar(1.0), SETTINGS))
        assert found.human == pytest.approx(speed * 1.4)


def test_uncertainty_is_two_sigma_towards_the_way() -> None:
    """An ellipse that is long across the way and short along it, and the other way round."""
    for along, beside in ((0.1, 0.5), (0.5, 0.1)):
        one = person(FAR, 0.0)
        covariance = np.diag([along**2, beside**2, 0.0, 0.0])
        ahead = type(one)(**{**vars(one), "covariance": covariance})
        found = terms(decide((ahead,), VelocityCommand.planar(1.0), SETTINGS))
        # The nearest direction is one of a finite number, and not exactly that of the x axis.
        assert found.uncertainty == pytest.approx(2 * along, rel=0.03)


@pytest.mark.parametrize(
    ("probability", "margin"), [(0.0, 0.0), (0.5, 0.2), (1.0, 0.4), (math.nan, 0.0)]
)
def test_a_probable_child_has_a_margin(probability: float, margin: float) -> None:
    people = (person(FAR, 0, child_probability=probability),)
    assert terms(decide(people, VelocityCommand.planar(1.0), SETTINGS)).child == margin


def test_the_vehicle_approaches_to_where_the_terms_are_the_distance() -> None:
    """Head-on, S is the distance: up to the step of the places along the way."""
    one = person(3.0, 0.0, -0.5, 0.0, deviation=0.1)
    decision = decide((one,), VelocityCommand.planar(3.0), SETTINGS)
    assert 0 < decision.factor < 1
    assert decision.distance == pytest.approx(3.0 - 0.65 - 0.3)
    assert terms(decision).total == pytest.approx(decision.distance, abs=0.12)
    assert terms(decision).total <= decision.distance


@pytest.mark.parametrize(
    "wrong",
    [
        {"human_speed": 0.0},
        {"braking_deceleration": math.nan},
        {"reaction_time": -0.1},
        {"slowdown_ratio": 1.5},
        {"clock_jump": 0.2},
        {"crawl_speed": 0.5},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    [name] = wrong
    with pytest.raises(ValueError, match=name):
        GuardSettings(**wrong)
