# SPDX-License-Identifier: Apache-2.0
"""Facing: towards the camera, away, or to one side of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from hrnet_pose_ros.fusion.person import Facing
from hrnet_pose_ros.fusion.tracking.track import Track
from hrnet_pose_ros.fusion.transforms import wrap

# Less probable than this is UNKNOWN.
LEAST = 0.5
# The middle of each quarter turn, rad, as the chest's angle against the direction to the camera.
# A chest turned counterclockwise from the camera points to the image's right side.
_FACINGS = (Facing.TOWARDS, Facing.RIGHT, Facing.AWAY, Facing.LEFT)
_MIDDLES = np.array([0.0, np.pi / 2, np.pi, -np.pi / 2])
# A wide distribution goes around more than once: the edges of the quarters, ``[4, 7, 2]``.
_TURNS = 2 * np.pi * np.arange(-3, 4)
_EDGES = np.array([np.pi / 4, -np.pi / 4])
_UNKNOWN = (Facing.UNKNOWN, float("nan"))


def facings_of(
    tracks: Sequence[Track], azimuth: np.ndarray, *, visible: np.ndarray
) -> list[tuple[Facing, float]]:
    """Return how persons face, and the probabilities.

    Parameters
    ----------
    tracks
        Of the N persons.
    azimuth
        float64 ``[N]``: where they are seen, in the levelled base frame, rad.
    visible
        bool ``[N]``: whose chests are seen in this image; the others' facing is UNKNOWN.
    """
    heading = np.array([track.heading for track in tracks])
    variance = np.array([track.heading_var for track in tracks])
    angle = heading - azimuth - np.pi
    std = np.maximum(np.sqrt(variance), 1e-6)
    away = wrap(_MIDDLES - angle[:, None])
    edges = away[..., None, None] + _TURNS[:, None] + _EDGES
    below = ndtr(edges / std[:, None, None, None])
    chances = (below[..., 0] - below[..., 1]).sum(axis=2)
    best = chances.argmax(axis=1)
    most = np.minimum(chances[np.arange(len(best)), best], 1.0)
    known = visible & np.isfinite(variance) & (most >= LEAST)
    rows = zip(known.tolist(), best.tolist(), most.tolist(), strict=True)
    return [(_FACINGS[one], chance) if sure else _UNKNOWN for sure, one, chance in rows]
