# SPDX-License-Identifier: Apache-2.0
"""Outlines of the zones, for drawings."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard.zones import CELL, swept_outline, zones_of

SETTINGS = GuardSettings()
TOLERANCE = 2 * CELL  # m: rounding to a cell, and the approximation of the outline


def inside(outline: np.ndarray, x: float, y: float) -> bool:
    return cv2.pointPolygonTest(outline.astype(np.float32), (x, y), False) >= 0


def test_straight_ahead() -> None:
    zones = zones_of(np.array([1.0, 0.0, 0.0]), SETTINGS)
    stopping = 1.0 * 0.3 + 1.0 / (2 * 1.2)
    assert zones.footprint[:, 0].max() == pytest.approx(0.65)
    assert zones.stop.min(axis=0) == pytest.approx([-0.5, -0.45], abs=1e-9)
    assert zones.way_to_stand[:, 0].max() == pytest.approx(0.8 + stopping, abs=0.05 + TOLERANCE)
    assert zones.slowdown[:, 0].max() == pytest.approx(0.65 + 2.0 + 0.3, abs=0.05 + TOLERANCE)
    assert np.abs(zones.slowdown[:, 1]).max() == pytest.approx(0.6, abs=TOLERANCE)


def test_a_turn_bends_the_way() -> None:
    zones = zones_of(np.array([1.0, 0.0, 1.0]), SETTINGS)
    assert inside(zones.slowdown, 0.8, 1.2)  # a radius of 1 m to the left
    assert not inside(zones.slowdown, 2.2, 0.0)
    x, y = zones.slowdown.T
    assert x @ np.roll(y, -1) > y @ np.roll(x, -1), "anticlockwise"


def test_at_rest_there_is_no_way() -> None:
    zones = zones_of(np.zeros(3), SETTINGS)
    assert len(zones.stop) and not len(zones.way_to_stand) and not len(zones.slowdown)
    off = zones_of(np.array([1.0, 0.0, 0.0]), GuardSettings(slowdown_ratio=1.0))
    assert not len(off.slowdown) and len(off.way_to_stand)


def test_one_outline_is_itself() -> None:
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    found = swept_outline(square[None])
    assert found.min(axis=0) == pytest.approx([0, 0], abs=TOLERANCE)
    assert found.max(axis=0) == pytest.approx([1, 1], abs=TOLERANCE)
