# SPDX-License-Identifier: Apache-2.0
"""Heading, facing, posture, motion, gesture, stature: right where visible, UNKNOWN where not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from fusion_scene import EXTRINSICS, START, cloud, figure, skeletons
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.attributes.stature import child_probability
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import Facing, Gesture, MotionState, People, Person, Posture
from hrnet_pose_ros.fusion.settings import FusionSettings

FRAME = 100_000_000


def watched(
    *figures: np.ndarray,
    noise: float = 0.0,
    lidar: Sequence[tuple[float, float]] = (),
    seed: int = 0,
) -> Person:
    """The last answer about one person, whose figures (and places) follow each other at 10 Hz."""
    core = PeopleFusion(FusionSettings(fixed_base=True), EXTRINSICS)
    rng = np.random.default_rng(seed)
    for k, one in enumerate(figures):
        stamp = START + k * FRAME
        if lidar:
            core.receive(cloud(np.array([lidar[k]]), stamp, rng), stamp)
        error = rng.normal(0, noise, (1, 17, 2)) if noise else 0.0
        result = core.fuse(skeletons([one], stamp, noise=error, std=max(noise, 1.0)), stamp)
        assert isinstance(result, People)
    return result.people[0]


@settings(max_examples=60, deadline=None)
@given(st.floats(-np.pi, np.pi), st.floats(-0.6, 0.6))
def test_the_heading_of_an_exact_figure(heading: float, azimuth: float) -> None:
    place = (6 * np.cos(azimuth), 6 * np.sin(azimuth))
    person = watched(figure(place, heading=heading))
    error = (person.heading - heading + np.pi) % (2 * np.pi) - np.pi
    assert abs(error) < np.deg2rad(12)
    assert error**2 < 4 * person.heading_variance


def test_the_heading_of_noisy_figures_is_within_20_degrees_and_its_variance_honest() -> None:
    rng = np.random.default_rng(0)
    errors, ratios = [], []
    for seed in range(40):
        heading = rng.uniform(-np.pi, np.pi)
        person = watched(*[figure((9.0, 0.5), heading=heading)] * 3, noise=3.0, seed=seed)
        error = (person.heading - heading + np.pi) % (2 * np.pi) - np.pi
        errors.append(abs(error))
        ratios.append(error**2 / person.heading_variance)
    assert np.rad2deg(np.mean(errors)) < 20  # at about 190 px
    assert np.mean(np.array(ratios) < 9) >= 0.95


@pytest.mark.parametrize(
    ("heading", "facing"),
    [
        (np.pi, Facing.TOWARDS),
        (0.0, Facing.AWAY),
        (np.pi / 2, Facing.LEFT),  # the vehicle's left is the image's left
        (-np.pi / 2, Facing.RIGHT),
    ],
)
def test_facing_as_seen_from_the_camera(heading: float, facing: Facing) -> None:
    person = watched(figure((7.0, 0.0), heading=heading))
    assert person.facing is facing
    assert person.facing_probability > 0.5


@pytest.mark.parametrize(
    ("posture", "expected"),
    [
        ("upright", Posture.UPRIGHT),
        ("sitting", Posture.SITTING),
        ("lying", Posture.LYING),
    ],
)
def test_posture(posture: str, expected: Posture) -> None:
    figures = [figure((6.0, 0.5), heading=np.pi - 0.2, posture=posture)] * 5
    person = watched(*figures, noise=1.0)
    assert person.posture is expected
    assert person.posture_probability > 0.6


def test_a_lying_person_is_placed_on_the_ground() -> None:
    person = watched(figure((6.0, 0.5), heading=np.pi, posture="lying"))
    assert np.hypot(*(person.position[:2] - [6.0, 0.5])) < 0.4
    assert person.outcomes["ground"] is None


@pytest.mark.parametrize(
    ("speed", "expected"),
    [(0.0, MotionState.STATIONARY), (1.4, MotionState.WALKING), (3.5, MotionState.RUNNING)],
)
def test_motion(speed: float, expected: MotionState) -> None:
    places = [(8.0, -2.0 + speed * 0.1 * k) for k in range(12)]
    person = watched(*[figure(one) for one in places], noise=1.0, lidar=places)
    assert person.motion is expected
    assert person.motion_probability > 0.6


@pytest.mark.parametrize(
    ("raised", "gesture"),
    [
        ((), Gesture.NONE),
        ((9,), Gesture.LEFT_HAND_RAISED),
        ((10,), Gesture.RIGHT_HAND_RAISED),
        ((9, 10), Gesture.LEFT_HAND_RAISED | Gesture.RIGHT_HAND_RAISED),
    ],
)
def test_raised_hands(raised: tuple[int, ...], gesture: Gesture) -> None:
    one = figure((6.0, 0.0))
    one[list(raised), 2] = 1.75
    person = watched(one)
    assert person.gesture == gesture
    assert person.gesture_probability > 0.9


def test_a_small_person_is_unknown_in_everything_but_place() -> None:
    """At 55 m a person has about 30 px."""
    person = watched(figure((55.0, 0.0)))
    assert np.isfinite(person.position).all()
    assert person.posture is Posture.UNKNOWN
    assert person.facing is Facing.UNKNOWN
    assert np.isnan(person.heading)
    assert np.isnan(person.gesture_probability)
    assert np.isnan(person.height)
    assert np.isnan(person.child_probability)


@pytest.mark.parametrize("posture", ["sitting", "lying"])
@pytest.mark.parametrize("before", [0, 5])
def test_who_sits_bent_or_lies_is_no_child(posture: str, before: int) -> None:
    low = figure((6.0, 0.0), posture=posture)
    hips = low[11:13, 2].mean()
    low[:11, 2] = hips + 0.8 * (low[:11, 2] - hips)
    figures = [figure((6.0, 0.0))] * before + [low] * 8
    person = watched(*figures, noise=1.0, lidar=[(6.0, 0.0)] * len(figures))
    assert np.isnan(person.child_probability) if before == 0 else person.child_probability < 0.2


@pytest.mark.parametrize("stature", [1.15, 1.6, 1.85])
def test_stature_by_an_independent_range(stature: float) -> None:
    figures = [figure((6.0, 0.0), stature)] * 5
    person = watched(*figures, noise=1.5, lidar=[(6.0, 0.0)] * 5)
    assert person.height == pytest.approx(stature, abs=3 * np.sqrt(person.height_variance))
    assert (person.child_probability > 0.8) == (stature < 1.3)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.6, 2.3), st.floats(0.0, 0.3), st.floats(0.001, 0.05))
def test_the_taller_the_less_a_child(stature: float, more: float, variance: float) -> None:
    small, tall = child_probability(stature, variance), child_probability(stature + more, variance)
    assert 0 <= tall <= 1
    # Below the average child, the ratio of the two normal distributions turns again.
    if stature > 1.2:
        assert tall <= small + 1e-9
    assert child_probability(1.1, 0.003) > 0.95
    assert child_probability(1.8, 0.003) < 0.05
    assert np.isnan(child_probability(np.nan, np.nan))
