# SPDX-License-Identifier: Apache-2.0
"""The cloud of people: nobody is left out, and nav2's own conditions hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_people import TYPES, output, over_the_wire, person

from hrnet_pose_ros.fusion.person import PeopleStatus, Person, Posture
from hrnet_pose_ros.pipeline.people.people_cloud import (
    HEIGHTS,
    SIGMAS,
    WIDEST_SPACING,
    grown_ring,
    people_cloud,
    person_columns,
)
from hrnet_pose_ros.pipeline.people.point_clouds import point_cloud_of
from hrnet_pose_ros.pipeline.stamps import stamp_of

# nav2_collision_monitor: default band, and points that a zone needs.
BAND, MIN_POINTS = (0.05, 0.5), 4


@st.composite
def people(draw: st.DrawFn, largest: float = 8.0) -> Person:
    """Somebody anywhere, with any uncertainty of up to so many metres."""
    size = st.floats(0, largest)
    turn = draw(st.floats(0, math.pi))
    axes = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    covariance = np.zeros((6, 6))
    covariance[:2, :2] = axes @ np.diag([draw(size) ** 2, draw(size) ** 2]) @ axes.T
    return person(
        place=(draw(st.floats(-60, 60)), draw(st.floats(-60, 60)), draw(st.floats(-2, 2))),
        covariance=covariance,
        radius=draw(st.sampled_from([0.1, 0.3, 0.6, math.nan])),
        radius_variance=draw(st.sampled_from([0.0, 0.0025, 0.04, math.nan])),
    )


def cloud_points(*shown: Person) -> np.ndarray:
    message = over_the_wire(people_cloud(TYPES, output(*shown)))
    return point_cloud_of(message).points


@settings(max_examples=60, deadline=None)
@given(one=people(), seed=st.integers(0, 1000))
def test_the_ring_holds_the_body_wherever_it_may_be(one: Person, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0, 2 * np.pi, (2, 500))
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    values, axes = np.linalg.eigh(one.covariance[:2, :2])
    middles = SIGMAS * circle[0] * np.sqrt(np.maximum(values, 0)) @ axes.T
    radius = one.radius if math.isfinite(one.radius) else 0.3
    bodies = one.position[:2] + middles + radius * circle[1]
    ring = grown_ring(one)
    sides = np.roll(ring, -1, axis=0) - ring
    away = bodies[:, None] - ring
    side = sides[:, 0] * away[..., 1] - sides[:, 1] * away[..., 0]
    length = np.linalg.norm(sides, axis=1)
    outwards = side / length * np.sign(np.median(side))
    assert outwards.min() > -1e-6


@settings(max_examples=25, deadline=None)
@given(one=people(), seed=st.integers(0, 1000))
def test_no_place_inside_is_far_from_a_column(one: Person, seed: int) -> None:
    """A zone of any robot that reaches into the disc has enough points, also in its middle."""
    rng = np.random.default_rng(seed)
    ring, columns = grown_ring(one), person_columns(one)
    weights = rng.dirichlet(np.full(len(ring), 0.1), 200)
    distance = np.linalg.norm((weights @ ring)[:, None] - columns[None], axis=2).min(axis=1)
    assert distance.max() <= WIDEST_SPACING


def test_the_size_of_an_ordinary_person() -> None:
    """Two sigma of 0.1 and 0.2 m, and of the radius: not more, and the same in every direction."""
    one = person(radius_variance=0.0)
    ring = grown_ring(one) - one.position[:2]
    assert ring.max(axis=0) == pytest.approx([0.3 + 0.2, 0.3 + 0.4], abs=5e-3)
    assert ring.min(axis=0) == pytest.approx([-0.5, -0.7], abs=5e-3)
    assert 100 < len(person_columns(one)) < 250


def test_nav2_takes_the_points() -> None:
    points = cloud_points(person())
    assert BAND[0] < points[:, 2].min() and points[:, 2].max() < BAND[1]
    # A single column is enough for a zone, as far as the person reaches into it.
    assert len(points) % len(HEIGHTS) == 0 and len(HEIGHTS) >= MIN_POINTS
    places, counts = np.unique(points[:, :2], axis=0, return_counts=True)
    assert (counts >= MIN_POINTS).all() and len(places) > 100


def test_the_grounds_height_takes_nobody_out_of_the_band() -> None:
    low, high = cloud_points(person(place=(4, 0, -0.6))), cloud_points(person(place=(4, 0, 0.8)))
    assert low[:, 2].tolist() == high[:, 2].tolist()


def test_everybody_is_in_it() -> None:
    shown = [person(str(n), place=(3.0 * n, 0, 0), skeleton_index=n - 2) for n in range(4)]
    points = cloud_points(*shown)
    for one in shown:  # also those who coast: they have no skeleton
        apart = np.linalg.norm(points[:, :2] - one.position[:2], axis=1)
        assert apart.min() < 0.1


@pytest.mark.parametrize("status", [PeopleStatus.OK, PeopleStatus.DEGRADED])
def test_nobody_is_a_fresh_cloud_with_a_point_far_below(status: PeopleStatus) -> None:
    """nav2 must not iterate over an empty cloud, nor over one without x, y and z."""
    message = over_the_wire(people_cloud(TYPES, output(status=status)))
    assert stamp_of(message) == output().stamp and message.header.frame_id == "base_link"
    assert [field.name for field in message.fields] == ["x", "y", "z"]
    points = point_cloud_of(message).points
    assert len(points) == 1 and points[0, 2] < -10


def test_a_fault_is_no_message() -> None:
    assert people_cloud(TYPES, output(status=PeopleStatus.ERROR)) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_person_without_a_place_is_a_fault(value: float) -> None:
    """A cloud without somebody would say that nobody is there."""
    unknown = np.full((6, 6), value)
    with pytest.raises(ValueError, match="person 9"):
        people_cloud(TYPES, output(person(), person("9", covariance=unknown)))
    with pytest.raises(ValueError, match="person 9"):
        people_cloud(TYPES, output(person("9", place=(value, 0, 0))))
    with pytest.raises(ValueError, match="person 9 may be anywhere"):
        people_cloud(TYPES, output(person("9", std=(50.0, 50.0))))


def test_who_lies_reaches_further() -> None:
    one = person(posture=Posture.LYING, std=(0.0, 0.0), radius_variance=0.0)
    reach = np.linalg.norm(grown_ring(one) - one.position[:2], axis=1)
    assert reach.min() > 0.9  # the feet of somebody of 1.8 m
