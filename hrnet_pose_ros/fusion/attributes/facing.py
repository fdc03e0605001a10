# SPDX-License-Identifier: Apache-2.0
"""Facing: towards the camera, away, or to one side of the image."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from hrnet_pose_ros.fusion.person import Facing
from hrnet_pose_ros.fusion.tracking.track import Track

# Less probable than this is UNKNOWN.
LEAST = 0.5
# The middle of each quarter turn, rad, as the chest's angle against the direction to the camera.
# A chest turned counterclockwise from the camera points to the image's right side.
_FACINGS = (Facing.TOWARDS, Facing.RIGHT, Facing.AWAY, Facing.LEFT)
_MIDDLES = np.array([0.0, np.pi / 2, np.pi, -np.pi / 2])
# A wide distribution goes around more than once.
_TURNS = 2 * np.pi * np.arange(-3, 4)


def facing_of(track: Track, azimuth: float) -> tuple[Facing, float]:
    """Return how a person at an azimuth (levelled base frame, rad) faces, and the probability."""
    if not np.isfinite(track.heading_var):
        return Facing.UNKNOWN, float("nan")
    angle = track.heading - azimuth - np.pi
    std = max(float(np.sqrt(track.heading_var)), 1e-6)
    away = (_MIDDLES - angle + np.pi) % (2 * np.pi) - np.pi
    edges = away[:, None] + _TURNS + np.array([[[np.pi / 4]], [[-np.pi / 4]]])
    chances = np.subtract(*ndtr(edges / std)).sum(axis=1)
    best = int(chances.argmax())
    if chances[best] < LEAST:
        return Facing.UNKNOWN, float("nan")
    return _FACINGS[best], min(float(chances[best]), 1.0)
