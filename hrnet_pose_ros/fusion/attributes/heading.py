# SPDX-License-Identifier: Apache-2.0
"""Heading: where the chest points, from the breadth and order of shoulders and ears, and the nose.

Seen from the camera, left minus right shoulder is -B cos(psi) wide, where psi is the angle of the
chest against the direction to the camera and B the breadth; the nose is F sin(psi) to the right of
the middle of the shoulders. So are ears and nose, for a head that looks where the chest points,
give or take. All lengths are fractions of the torso's, so no range is needed. Where left and right
shoulder are exchanged, which turns a person round, the ears seldom are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.body import (
    EAR_BREADTH,
    NOSE_BEFORE_EARS,
    NOSE_FORWARD,
    SHOULDER_BREADTH,
    TORSO,
)
from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.person_view import PersonViews, mean_variance
from hrnet_pose_ros.fusion.tracking.track import VELOCITY, States, Track
from hrnet_pose_ros.fusion.transforms import wrap

# Below this size in pixels, shoulders are a few pixels apart.
SMALLEST_PX = 40.0
# How well the model holds: breadth and nose differ between people and as they turn the head.
COSINE_STD, SINE_STD = 0.15, 0.45
# The head against the chest, rad. What it changes of the cosine by the ears depends on the
# direction: on average, half of its variance. `SINE_STD` contains it.
HEAD_STD = 0.45
# Never more certain than this, rad.
LEAST_STD = float(np.deg2rad(15))
# Exchanged shoulders and noses give the errors heavy tails, which no covariance of a key point
# contains: on simulated scenes with errors of a real model, squared errors were 3 to 5 times as
# large as variances without this factor.
TAILS = 2.0
# Who walks faster than this, m/s, goes where the chest points, give or take, rad; if the direction
# of the velocity is known within this, rad.
WALKS, COURSE_STD, MOST_COURSE_STD = 0.6, float(np.deg2rad(15)), float(np.deg2rad(30))
# A new heading further than this many standard deviations from the old one is believed only if it
# is the more certain one: front and back are exchanged now and then.
GATE = 3.0


@dataclass(frozen=True)
class ChestAngles:
    """Angles of N chests against the direction to the camera, rad, and variances; NaN: unknown.

    0 faces the camera; positive is counterclockwise seen from above.
    """

    angle: np.ndarray
    variance: np.ndarray


def chest_angles(scene: Scene) -> ChestAngles:
    """Return the chest's angle of each person of a scene."""
    views, roles, stance = scene.views, scene.roles, scene.stance
    count = len(views)
    unknown = np.full(count, np.nan)
    if not (roles.shoulders and roles.hips):
        return ChestAngles(unknown, unknown.copy())
    left, right = roles.shoulders
    usable = views.seen[:, [left, right]].all(axis=1) & (stance.hips.count > 0)
    usable &= (views.size_px >= SMALLEST_PX) & ~stance.lying & (stance.torso > 0)
    length = np.where(usable, stance.torso, np.nan) / TORSO  # of the whole person
    alike = scene.settings.joint_correlation
    cosines = [(*_side_by_side(views, roles.shoulders, SHOULDER_BREADTH * length, alike), 0.0)]
    sines = []
    if roles.ears:
        ears = _side_by_side(views, roles.ears, EAR_BREADTH * length, alike)
        cosines.append((*ears, HEAD_STD**2 / 2))
    for pair, forward in ((roles.shoulders, NOSE_FORWARD), (roles.ears, NOSE_BEFORE_EARS)):
        if roles.nose and pair:
            sines.append(_before(views, roles.nose[0], pair, forward * length, alike))
    cosine, cosine_var = _together(
        [(c, v + COSINE_STD**2 * np.minimum(c**2, 1) + 0.01 + more) for c, v, more in cosines]
    )
    sine, sine_var = _together(sines) if sines else (unknown, unknown)
    sine_var = sine_var + SINE_STD**2  # of the head's turn, which both have in common
    # Without a nose, the sine is unknown: 0, with the spread of what the cosine leaves.
    rest = np.sqrt(np.clip(1 - cosine**2, 0.0, 1.0))
    known = np.isfinite(sine)
    sine = np.where(known, np.clip(sine, -1.5, 1.5), 0.0)
    sine_var = np.where(known, sine_var, rest**2 + 0.1)
    squared = np.maximum(cosine**2 + sine**2, 0.1)
    variance = (cosine**2 * sine_var + sine**2 * cosine_var) / squared**2 + LEAST_STD**2
    variance = np.minimum(variance, np.pi**2 / 3)  # that of a direction nobody knows
    return ChestAngles(np.where(usable, np.arctan2(sine, cosine), np.nan), variance)


def _side_by_side(
    views: PersonViews, pair: tuple[int, ...], breadth: np.ndarray, correlation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosine by two joints of a breadth ``[N]`` and its variance by their key points."""
    left, right = pair
    cosine = -(views.azimuth[:, left] - views.azimuth[:, right]) / breadth
    a, b = views.azimuth_var[:, left], views.azimuth_var[:, right]
    return cosine, (a + b - 2 * correlation * np.sqrt(a * b)) / breadth**2


def _before(
    views: PersonViews,
    nose: int,
    pair: tuple[int, ...],
    forward: np.ndarray,
    correlation: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sine by a nose so far in front ``[N]`` of two joints, and its variance.

    What all three errors have in common by their ``correlation`` moves nothing against each other.
    """
    both = list(pair)
    middle = views.azimuth[:, both].mean(axis=1)
    front, sides = views.azimuth_var[:, nose], views.azimuth_var[:, both]
    own = mean_variance(sides, correlation)
    common = 2 * correlation * np.sqrt(front) * np.sqrt(sides).mean(axis=1)
    return -(views.azimuth[:, nose] - middle) / forward, (front + own - common) / forward**2


def _together(measured: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean of what is known of values, and its variance; NaN for nothing."""
    values, variances = np.array(measured).swapaxes(0, 1)  # [K, N] each
    known = np.isfinite(values) & np.isfinite(variances)
    weights = np.where(known, 1 / np.where(known, variances, 1.0), 0.0)
    total = weights.sum(axis=0)
    total = np.where(total > 0, total, np.nan)
    return (weights * np.where(known, values, 0.0)).sum(axis=0) / total, 1 / total


def update_headings(
    tracks: Sequence[Track],
    azimuth: np.ndarray,
    chests: ChestAngles,
    courses: np.ndarray | None = None,
) -> None:
    """Update tracks with the chests of their persons, and with where they walk.

    Parameters
    ----------
    tracks
        Of the N persons.
    azimuth
        float64 ``[N]``: where they are seen, in the levelled base frame, rad.
    courses
        None, or those of `courses_of`, if velocities are over ground: who walks walks forwards.
    """
    heading = np.array([track.heading for track in tracks], np.float64)
    variance = np.array([track.heading_var for track in tracks], np.float64)
    measured = azimuth + np.pi + chests.angle
    heading, variance = _updated(heading, variance, measured, TAILS * chests.variance)
    if courses is not None:
        heading, variance = _updated(heading, variance, *courses.T)
    for track, at, spread in zip(tracks, heading.tolist(), variance.tolist(), strict=True):
        track.heading, track.heading_var = at, spread


def courses_of(states: States) -> np.ndarray:
    """Return where tracks walk, rad, and variances as headings, ``[N, 2]``; NaN: not known."""
    x, y = states.means[:, VELOCITY].T
    speed2 = x * x + y * y
    own = states.covariances[:, VELOCITY, VELOCITY]
    across = y * y * own[:, 0, 0] - 2 * x * y * own[:, 0, 1] + x * x * own[:, 1, 1]
    spread = across / np.maximum(speed2, 1e-9)
    known = (speed2 >= WALKS**2) & (spread <= MOST_COURSE_STD**2 * speed2)
    course = np.where(known, np.arctan2(y, x), np.nan)
    variance = spread / np.maximum(speed2, 1e-9) + COURSE_STD**2
    return np.stack([course, variance], axis=1)


def _updated(
    heading: np.ndarray, variance: np.ndarray, measured: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return headings and variances ``[N]`` after measurements with variances; NaN is none."""
    given = np.isfinite(measured) & np.isfinite(noise)
    measured, noise = np.where(given, measured, 0.0), np.where(given, noise, 1.0)
    known = np.isfinite(variance)
    before = np.where(known, variance, 1.0)
    residual = wrap(measured - heading)
    total = before + noise
    beyond = residual**2 > GATE**2 * total
    anew = given & (~known | (beyond & (noise < before)))
    mixed = given & known & ~beyond
    gain = before / total
    # The model's errors last, so the variance does not fall below that of one good image.
    less = np.maximum(np.maximum((1 - gain) * before, 0.5 * noise), LEAST_STD**2)
    after = np.where(mixed, wrap(heading + gain * residual), heading)
    return (
        np.where(anew, wrap(measured), after),
        np.where(anew, noise, np.where(mixed, less, variance)),
    )
