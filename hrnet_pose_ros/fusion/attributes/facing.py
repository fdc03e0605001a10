# SPDX-License-Identifier: Apache-2.0
"""Facing: towards the camera, away, or to one side of the image."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from hrnet_pose_ros.fusion.attributes.heading import wrap
from hrnet_pose_ros.fusion.person import Facing
from hrnet_pose_ros.fusion.tracking.track import Track

# Less probable than this is UNKNOWN.
LEAST = 0.5
# The middle of each quarter turn, rad, as the chest's angle against the direction to the camera.
# A chest turned counterclockwise from the camera points to the image's right side.
_MIDDLES = {
    Facing.TOWARDS: 0.0,
    Facing.RIGHT: np.pi / 2,
    Facing.AWAY: np.pi,
    Facing.LEFT: -np.pi / 2,
}


def facing_of(track: Track, azimuth: float) -> tuple[Facing, float]:
    """Return how a person at an azimuth (levelled base frame, rad) faces, and the probability."""
    if not np.isfinite(track.heading_var):
        return Facing.UNKNOWN, float("nan")
    angle = track.heading - azimuth - np.pi
    std = max(float(np.sqrt(track.heading_var)), 1e-6)
    turns = 2 * np.pi * np.arange(-3, 4)
    chances = {
        facing: float(
            (
                ndtr((wrap(middle - angle) + np.pi / 4 + turns) / std)
                - ndtr((wrap(middle - angle) - np.pi / 4 + turns) / std)
            ).sum()
        )
        for facing, middle in _MIDDLES.items()
    }
    best = max(chances, key=lambda one: chances[one])
    if chances[best] < LEAST:
        return Facing.UNKNOWN, float("nan")
    return best, min(chances[best], 1.0)
