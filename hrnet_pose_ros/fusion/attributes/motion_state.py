# SPDX-License-Identifier: Apache-2.0
"""Motion: stationary, walking or running, from the velocity over ground and its covariance."""

from __future__ import annotations

import numpy as np
from scipy.special import chndtr

from hrnet_pose_ros.fusion.person import MotionState
from hrnet_pose_ros.fusion.tracking.track import VELOCITY, Track

# Speeds between the states, m/s: people walk at 1.4 (Bohannon 1997: 1.2 to 1.5 comfortably), and
# change from walking to running at about 2.1 (Hreljac 1993).
WALKS, RUNS = 0.4, 2.1
# Less probable than this is UNKNOWN.
LEAST = 0.6


def motion_of(track: Track, *, over_ground: bool) -> tuple[MotionState, float]:
    """Return a track's motion and its probability.

    UNKNOWN if the velocity is relative to a vehicle whose motion is not known. The squared speed
    over the mean variance of both axes has a noncentral chi-square distribution.
    """
    variance = float(np.trace(track.covariance[VELOCITY, VELOCITY])) / 2
    if not over_ground or not variance > 0:
        return MotionState.UNKNOWN, float("nan")
    shift = float(track.mean[VELOCITY] @ track.mean[VELOCITY]) / variance
    slow = float(chndtr(WALKS**2 / variance, 2, shift))
    walking = float(chndtr(RUNS**2 / variance, 2, shift))
    chances = [slow, walking - slow, 1 - walking]
    best = chances.index(max(chances))
    if chances[best] < LEAST:
        return MotionState.UNKNOWN, float("nan")
    states = (MotionState.STATIONARY, MotionState.WALKING, MotionState.RUNNING)
    return states[best], chances[best]
