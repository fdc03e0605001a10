# SPDX-License-Identifier: Apache-2.0
"""Rays against shapes, by closed forms and by points on the surfaces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hrnet_pose_ros.simulation.rays import (
    Bodies,
    Boxes,
    body_distances,
    box_distances,
    capsule_distances,
    ground_distances,
)

VECTORS = arrays(np.float64, 3, elements=st.floats(-3, 3))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def capsule(origin: tuple, direction: tuple, start: tuple, end: tuple, radius: float) -> float:
    return float(
        capsule_distances(
            np.array([origin], float),
            unit(np.array(direction, float))[None],
            np.array([start], float),
            np.array([end], float),
            np.array([radius]),
        )[0, 0]
    )


@pytest.mark.parametrize(
    ("origin", "direction", "expected"),
    [
        ((5, 0, 0.5), (-1, 0, 0), 4.8),  # the side
        ((5, 0.2 - 1e-9, 0.5), (-1, 0, 0), 5.0),  # along the side
        ((5, 0.21, 0.5), (-1, 0, 0), np.inf),  # past it
        ((0, 0, 5), (0, 0, -1), 3.8),  # the end above
        ((0, 0, -5), (0, 0, 1), 4.8),  # the end below
        ((5, 0, 1.1), (-1, 0, 0), 5 - np.sqrt(0.03)),  # the round end
        ((5, 0, 0.5), (1, 0, 0), np.inf),  # behind the ray
        ((0, 0, 0.5), (1, 0, 0), np.inf),  # inside
    ],
)
def test_capsule_closed_forms(origin: tuple, direction: tuple, expected: float) -> None:
    found = capsule(origin, direction, (0, 0, 0), (0, 0, 1), 0.2)
    assert found == pytest.approx(expected, abs=1e-3 if expected == 5.0 else 1e-9)


def segment_distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distances ``[M]`` of points ``[M, 3]`` to a segment."""
    axis = end - start
    part = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
    return np.linalg.norm(points - start - part[:, None] * axis, axis=1)


@settings(max_examples=150, deadline=None)
@given(VECTORS, VECTORS, VECTORS, VECTORS, st.floats(0.05, 0.5))
def test_hits_lie_on_the_capsule(
    origin: np.ndarray, towards: np.ndarray, start: np.ndarray, end: np.ndarray, radius: float
) -> None:
    direction = towards - origin
    if np.linalg.norm(direction) < 0.1 or np.linalg.norm(end - start) < 0.05:
        return
    direction = unit(direction)
    found = capsule_distances(
        origin[None], direction[None], start[None], end[None], np.array([radius])
    )[0, 0]
    along = np.linspace(0, 12, 1201)
    gaps = segment_distances(origin + along[:, None] * direction, start, end)
    if abs(gaps[0] - radius) < 1e-6:
        return  # it starts on the surface: either answer is right
    inside = gaps[0] <= radius
    if np.isfinite(found):
        assert not inside
        point = origin + found * direction
        assert segment_distances(point[None], start, end)[0] == pytest.approx(radius, abs=1e-5)
        assert (gaps[along < found - 0.01] > radius - 1e-6).all()  # nothing was hit before
    else:
        assert inside or gaps.min() > radius - 0.02


def test_a_turned_box() -> None:
    boxes = Boxes(np.array([[4.0, 0, 1]]), np.array([[1.0, 1, 1]]), np.array([np.pi / 4]))
    origins = np.array([[0.0, 0, 1], [0, 3, 1], [4, 0, 5], [0, 0, 1]])
    rays = np.array([[1.0, 0, 0], [1, 0, 0], [0, 0, -1], [-1, 0, 0]])
    distances = box_distances(origins, rays, boxes)
    assert distances == pytest.approx([4 - np.sqrt(2), np.inf, 3.0, np.inf])


def test_the_ground_is_only_below() -> None:
    origins = np.array([[0.0, 0, 1.5]] * 3)
    rays = np.array([unit(np.array(r)) for r in ([1.0, 0, -0.5], [1.0, 0, 0], [1.0, 0, 0.5])])
    distances = ground_distances(origins, rays)
    assert distances == pytest.approx([1.5 * np.sqrt(1 + 4), np.inf, np.inf])


def test_each_ray_meets_the_bodies_of_its_instant() -> None:
    """One body that moves aside between two instants, in front of one that stands."""
    starts = np.zeros((2, 2, 1, 3))
    starts[0, 0, 0], starts[1, 0, 0] = (2, 0, 0), (2, 5, 0)
    starts[:, 1, 0] = (6, 0, 0)
    bodies = Bodies(starts, starts + [0, 0, 2], np.full((2, 1), 0.5))
    origins, rays = np.array([[0.0, 0, 1]] * 2), np.array([[1.0, 0, 0]] * 2)
    distances, which = body_distances(origins, rays, bodies, np.array([0, 1]))
    assert distances == pytest.approx([1.5, 5.5])
    assert which.tolist() == [0, 1]
