# SPDX-License-Identifier: Apache-2.0
"""Posture: upright, sitting, crouching or lying, from ratios of heights, filtered over time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.person import Posture
from hrnet_pose_ros.fusion.tracking.track import Track

# Below this size in pixels, the covariances of key points are as large as the legs.
SMALLEST_PX = 40.0
# A posture less probable than this is UNKNOWN.
LEAST = 0.6
# More probable than this, below the prior, a body is as long as its stature says.
SURELY_UPRIGHT = 0.8
POSTURES = (Posture.UPRIGHT, Posture.SITTING, Posture.CROUCHING, Posture.LYING)
PRIOR = np.array([0.87, 0.07, 0.03, 0.03])
# Means and standard deviations of each feature by posture. Legs and thighs are heights of the hips
# above ankles and knees in torso lengths (0.53 - 0.039 and 0.53 - 0.285 over 0.288 when standing;
# sitting, the hips are at the height of the knees, 0.246 over 0.288 above the ankles); lean is the
# torso's angle, rad.
LEGS = np.array([[1.70, 0.20], [0.85, 0.25], [0.40, 0.30], [0.15, 0.35]])
THIGHS = np.array([[0.85, 0.18], [0.10, 0.25], [-0.15, 0.35], [0.05, 0.30]])
LEAN = np.array([[0.0, 0.20], [0.0, 0.30], [0.2, 0.40], [1.45, 0.25]])
# A likelihood never falls below this fraction of the best one: key points may be wrong.
FLOOR = 0.02
# The rate at which people change their posture, 1/s.
CHANGE = 0.3
# A mark among a track's beliefs: its posture was visible once.
SEEN = np.ones(1)


def likelihoods(scene: Scene) -> np.ndarray:
    """Return the likelihood of each of `POSTURES` for N persons, ``[N, 4]``; NaN: not visible."""
    stance = scene.stance
    logs = np.zeros((len(scene.views), len(POSTURES)))
    for values, std, table in (
        (stance.legs, stance.legs_std, LEGS),
        (stance.thighs, stance.thighs_std, THIGHS),
        (stance.lean, np.arctan2(stance.torso_std, np.abs(stance.torso)), LEAN),
    ):
        variance = table[:, 1] ** 2 + std[:, None] ** 2
        log = -0.5 * ((values[:, None] - table[:, 0]) ** 2 / variance + np.log(variance))
        logs += np.where(np.isfinite(log), log, 0.0)
    result = np.maximum(np.exp(logs - logs.max(axis=1, keepdims=True)), FLOOR)
    # The legs tell: without them, only lying can be seen.
    visible = np.isfinite(stance.lean) & (np.isfinite(stance.legs) | stance.lying)
    visible &= scene.views.size_px >= SMALLEST_PX
    wide = np.abs(scene.views.box[:, 0] - scene.views.box[:, 1])
    visible |= stance.lying & (wide > np.abs(scene.views.box[:, 2] - scene.views.box[:, 3]))
    return np.where(visible[:, None], result, np.nan)


def update_postures(
    tracks: Sequence[Track], likelihood: np.ndarray, since: Sequence[float]
) -> None:
    """Update the beliefs of N tracks with an image.

    ``likelihood`` ``[N, 4]`` is NaN for who is not visible; ``since`` are the seconds since the
    last image of each.
    """
    if not tracks:
        return
    beliefs = np.array([track.beliefs.get("posture", PRIOR) for track in tracks])
    stay = np.exp(-CHANGE * np.maximum(since, 0.0))[:, None]
    beliefs = stay * beliefs + (1 - stay) * PRIOR
    visible = np.isfinite(likelihood).all(axis=1)
    # Images in a row repeat their errors: each counts half.
    beliefs *= np.where(visible[:, None], np.sqrt(likelihood), 1.0)
    beliefs /= beliefs.sum(axis=1, keepdims=True)
    for track, belief, seen in zip(tracks, beliefs, visible.tolist(), strict=True):
        track.beliefs["posture"] = belief
        if seen:
            track.beliefs["posture seen"] = SEEN


def standing(tracks: Sequence[Track]) -> np.ndarray:
    """Return which tracks are upright for all that is known, bool ``[N]``.

    Bodies whose legs are unseen may be.
    """
    return _upright_chances(tracks) > SURELY_UPRIGHT


def not_upright(tracks: Sequence[Track]) -> np.ndarray:
    """Return which tracks are probably not upright, bool ``[N]``."""
    return _upright_chances(tracks) < 0.5


def _upright_chances(tracks: Sequence[Track]) -> np.ndarray:
    upright = POSTURES.index(Posture.UPRIGHT)
    beliefs = [track.beliefs.get("posture", PRIOR)[upright] for track in tracks]
    return np.array(beliefs, np.float64)


def postures_of(tracks: Sequence[Track]) -> list[tuple[Posture, float]]:
    """Return the tracks' postures, and probabilities; UNKNOWN and NaN if never visible."""
    if not tracks:
        return []
    beliefs = np.array([track.beliefs.get("posture", PRIOR) for track in tracks])
    best, most = beliefs.argmax(axis=1).tolist(), beliefs.max(axis=1).tolist()
    return [
        (POSTURES[which], chance)
        if chance >= LEAST and "posture seen" in track.beliefs
        else (Posture.UNKNOWN, math.nan)
        for track, which, chance in zip(tracks, best, most, strict=True)
    ]
