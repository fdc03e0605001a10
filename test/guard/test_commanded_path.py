# SPDX-License-Identifier: Apache-2.0
"""The arc of a command, and the footprint along it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrnet_pose_ros.guard.commanded_path import NORMALS, STEP, CommandedPath, pose_after
from hrnet_pose_ros.guard.footprint import Footprint

SPEEDS = st.floats(-3.0, 3.0)
RECTANGLE = Footprint.rectangle(-0.4, 0.6, 0.6)


@given(vx=SPEEDS, vy=SPEEDS, rate=SPEEDS, time=st.floats(0.0, 3.0))
def test_an_arc_is_what_small_steps_make(vx: float, vy: float, rate: float, time: float) -> None:
    twist = np.array([vx, vy, rate])
    turn, place = pose_after(twist, time)
    steps = 4000
    headings = rate * time * (np.arange(steps) + 0.5) / steps
    x = (np.cos(headings) * vx - np.sin(headings) * vy).sum() * time / steps
    y = (np.sin(headings) * vx + np.cos(headings) * vy).sum() * time / steps
    assert float(turn) == pytest.approx(rate * time)
    assert place == pytest.approx([x, y], abs=1e-5)


@given(vx=SPEEDS, vy=SPEEDS, rate=SPEEDS, factor=st.floats(0.05, 1.0))
def test_a_factor_does_not_change_the_way(vx: float, vy: float, rate: float, factor: float) -> None:
    twist = np.array([vx, vy, rate])
    if RECTANGLE.largest_speed(twist) < 0.01:
        return
    full, scaled = (CommandedPath(twist * f, RECTANGLE, 1.0) for f in (1.0, factor))
    assert scaled.speed == pytest.approx(factor * full.speed)
    assert scaled.supports == pytest.approx(full.supports, abs=1e-9)


def test_places_are_counted_on_the_fastest_point() -> None:
    on_the_spot = CommandedPath(np.array([0.0, 0.0, 1.0]), Footprint.circle(0.5), math.pi * 0.5)
    assert on_the_spot.speed == pytest.approx(0.5)
    path = CommandedPath(np.array([-2.0, 0.0, 0.0]), RECTANGLE, 1.0)
    assert path.places[-1] >= 1.0
    assert path.steps == pytest.approx(STEP)
    ahead, behind = path.supports[:, 0], path.supports[:, len(NORMALS) // 2]
    assert ahead == pytest.approx(0.6 - path.places)
    assert behind == pytest.approx(0.4 + path.places)


def test_a_long_way_has_larger_steps_and_few_places() -> None:
    path = CommandedPath(np.array([10.0, 0.0, 0.0]), RECTANGLE, 60.0)
    assert path.places[-1] >= 60.0
    assert len(path.places) <= 300
    assert np.diff(path.places)[:96] == pytest.approx(STEP)
    # Wherever somebody is: the step there is short against the way to them.
    assert (np.diff(path.places) <= np.maximum(path.places[:-1] / 48, STEP) + 1e-9).all()


def test_outlines_are_the_footprint_along_the_way() -> None:
    path = CommandedPath(np.array([1.0, 0.0, 0.0]), RECTANGLE, 1.0)
    outlines = path.outlines(0.5, margin=0.1)
    assert outlines[0].max(axis=0) == pytest.approx([0.7, 0.4])
    assert outlines[-1].max() == pytest.approx(0.5 + STEP + 0.7)
    assert outlines.min() == pytest.approx(-0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        ((), 0.5),
        (((0.0, 0.0),), 0.0),
        (((0.0, 0.0), (1.0, 1.0), (2.0, 2.0)), 0.0),
        (((math.nan, 0.0), (1.0, 0.0), (0.0, 1.0)), 0.0),
        (((0.0, 0.0),), -1.0),
    ],
)
def test_footprints_without_area_are_refused(wrong: tuple) -> None:
    with pytest.raises(ValueError, match="footprint"):
        Footprint(*wrong)
