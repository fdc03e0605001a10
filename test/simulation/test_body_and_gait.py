# SPDX-License-Identifier: Apache-2.0
"""Bodies keep their bones, stand on the ground, and are as tall as they should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.simulation.body import POINT, BodyShape, bone_lengths
from hrnet_pose_ros.simulation.gait import Gait, resting, stride_length
from hrnet_pose_ros.simulation.statures import draw_stature, stature_distribution

SPEEDS = st.floats(0.2, 4.0)
STATURES = st.floats(1.0, 2.05)
LEGS = st.floats(0.43, 0.52)


@settings(max_examples=30, deadline=None)
@given(SPEEDS, STATURES, LEGS)
def test_bones_keep_their_length_and_feet_stand(speed: float, stature: float, leg: float) -> None:
    shape = BodyShape(stature, leg=leg)
    gait = Gait(shape, speed)
    strides = np.linspace(0, 1, 101)
    points = shape.points(gait.pose(strides))
    for name, lengths in bone_lengths(points).items():
        assert np.ptp(lengths) < 1e-6, name
    # In the world, where the body moves on, the point of a foot on the ground stays there.
    world = points.copy()
    world[..., 0] += (strides * gait.stride * stature)[:, None]
    for side, foot in enumerate(("left", "right")):
        heel, ball = world[:, POINT[f"{foot}_heel"]], world[:, POINT[f"{foot}_ball"]]
        assert min(heel[:, 2].min(), ball[:, 2].min()) > -1e-6
        stance = gait.in_stance(strides)[:, side]
        assert np.minimum(heel[stance, 2], ball[stance, 2]).max() < 1e-3 * stature
        for point in (heel, ball):
            down = stance & (point[:, 2] < 1e-9)
            both = down[1:] & down[:-1]
            assert np.abs(np.diff(point[:, 0])[both]).max(initial=0) < 1e-6


def test_a_step_is_that_of_the_published_relation() -> None:
    """Grieve and Gear (1966): 57 strides a minute for a man of 1.75 m at 1.4 m/s."""
    assert 60 * 1.4 / stride_length(1.75, 1.4) == pytest.approx(57.1, abs=0.1)


def test_arms_swing_against_the_legs() -> None:
    shape = BodyShape(1.75)
    points = shape.points(Gait(shape, 1.4).pose(np.zeros(1)))[0]  # the left heel strikes
    assert points[POINT["left_ankle"], 0] > 0.25 > -0.25 > points[POINT["right_ankle"], 0]
    assert points[POINT["left_wrist"], 0] < points[POINT["right_wrist"], 0] - 0.3


@pytest.mark.parametrize(
    ("posture", "lowest", "highest"),  # of the top of the head, statures
    [("standing", 0.97, 1.01), ("sitting", 0.7, 0.82), ("crouching", 0.5, 0.72), ("lying", 0, 0.2)],
)
def test_postures_have_their_height(posture: str, lowest: float, highest: float) -> None:
    shape = BodyShape(1.8)
    points = shape.points(resting(shape, posture, np.zeros(1)))[0]
    top = points[POINT["head_high"], 2] / 1.8 + 0.048
    assert lowest <= top <= highest
    assert points[:, 2].min() > -0.02
    assert np.abs(points[POINT["pelvis"], :2]).max() < 1e-9  # the person is where the hips are


def test_unknown_posture() -> None:
    with pytest.raises(ValueError, match="standing, sitting, crouching, lying, got 'flying'"):
        resting(BodyShape(1.7), "flying", np.zeros(1))


@pytest.mark.parametrize(
    ("age", "male", "mean", "deviation"),
    [(30.0, True, 1.78, 0.07), (40.0, False, 1.65, 0.07), (10.0, True, 1.378, 0.064)],
)
def test_statures_have_the_published_distribution(
    age: float, male: bool, mean: float, deviation: float
) -> None:
    generator = np.random.default_rng(3)
    drawn = np.array([draw_stature(generator, age, male) for _ in range(4000)])
    # The standard error of the mean is deviation / 63; that of the deviation is 1.1 %, and
    # clipping at 2.5 takes away 2 %.
    assert drawn.mean() == pytest.approx(mean, abs=4 * deviation / 63)
    assert drawn.std() == pytest.approx(deviation, rel=0.06)


def test_children_grow() -> None:
    means = [stature_distribution(age, male=True)[0] for age in (5.0, 8.0, 12.0, 16.0, 18.0)]
    assert means == sorted(means)
    with pytest.raises(ValueError, match="at least 5 years"):
        stature_distribution(2.0, male=True)
