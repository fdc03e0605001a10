# SPDX-License-Identifier: Apache-2.0
"""Motion: stationary, walking or running, from the velocity over ground and its covariance."""

from __future__ import annotations

import numpy as np
from scipy.special import chndtr

from hrnet_pose_ros.fusion.person import MotionState
from hrnet_pose_ros.fusion.tracking.track import VELOCITY

# Speeds between the states, m/s: people walk at 1.4 (Bohannon 1997: 1.2 to 1.5 comfortably), and
# change from walking to running at about 2.1 (Hreljac 1993).
WALKS, RUNS = 0.4, 2.1
# Less probable than this is UNKNOWN.
LEAST = 0.6

_STATES = (MotionState.STATIONARY, MotionState.WALKING, MotionState.RUNNING)
_UNKNOWN = (MotionState.UNKNOWN, float("nan"))


def motions_of(
    means: np.ndarray, covariances: np.ndarray, *, over_ground: bool
) -> list[tuple[MotionState, float]]:
    """Return the motion of each of N tracks and its probability.

    UNKNOWN if the velocity is relative to a vehicle whose motion is not known. The squared speed
    over the mean variance of both axes has a noncentral chi-square distribution. The states are
    those of `Track`, ``[N, 8]`` and ``[N, 8, 8]``.
    """
    if not over_ground:
        return [_UNKNOWN] * len(means)
    variance = np.trace(covariances[:, VELOCITY, VELOCITY], axis1=1, axis2=2) / 2
    shift = (means[:, VELOCITY] ** 2).sum(axis=1) / variance
    slow, walking = (chndtr(speed**2 / variance, 2, shift) for speed in (WALKS, RUNS))
    chances = np.stack([slow, walking - slow, 1 - walking], axis=1)
    best = chances.argmax(axis=1).tolist()
    return [
        (_STATES[state], row[state]) if row[state] >= LEAST else _UNKNOWN
        for state, row in zip(best, chances.tolist(), strict=True)
    ]
