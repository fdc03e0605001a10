# SPDX-License-Identifier: Apache-2.0
"""Stature, from the length of the body in the image and a range that does not depend on it; and
the probability that the person is a child.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hrnet_pose_ros.fusion.body import (
    ADULT_STATURE,
    ADULT_STATURE_STD,
    CHILD_PRIOR,
    CHILD_STATURE,
    CHILD_STATURE_STD,
)
from hrnet_pose_ros.fusion.range_fusion import estimate
from hrnet_pose_ros.fusion.range_table import RangeTable
from hrnet_pose_ros.fusion.tracking.track import Track

# Proportions differ between people, so no number of images makes a stature more certain, m.
LEAST_STD = 0.05
# Below this size in pixels, the stature of a single image is no evidence of a child.
SMALLEST_PX = 60.0
# A stature outside of these limits, m, comes from a wrong range.
LIMITS = (0.5, 2.4)
# Mean, variance and weight of a track's stature before any.
UNMEASURED = np.array([0.0, np.inf, 0.0])
# The same as what is told of it.
UNKNOWN = np.array([np.nan, np.nan, 0.0])


def measured_statures(table: RangeTable, used: np.ndarray) -> np.ndarray:
    """Return the statures of N persons in one image, m, and their variances, ``[N, 2]``.

    They compare the body's length with the range of the other cues that were ``used``; NaN without
    one of the two.
    """
    column = table.names.index("body_length")
    others = used & table.given
    others[:, column] = False
    apart = estimate(table.values, table.covariance, others)
    value, given = table.values[:, column], table.given[:, column]
    with np.errstate(divide="ignore", invalid="ignore"):
        stature = np.where(given & (apart.mean > 0), table.stature * value / apart.mean, np.nan)
        noise = (table.own + table.joints + table.posture)[:, column, column]
        relative = noise / value**2 + apart.variance / apart.mean**2
    return np.stack([stature, stature**2 * relative], axis=1)


def update_statures(tracks: Sequence[Track], measured: np.ndarray) -> None:
    """Update N tracks with statures measured in one image, m, and their variances, ``[N, 2]``.

    The errors of images in a row are alike: the estimate is the mean weighted by certainty, and its
    variance the smallest so far, not that of independent measurements. NaN is no measurement.
    """
    stature, variance = measured.T
    with np.errstate(invalid="ignore"):
        usable = (stature > LIMITS[0]) & (stature < LIMITS[1])
        usable &= (variance > 0) & (variance < np.inf)
    places = np.flatnonzero(usable)
    if not len(places):
        return
    own = [tracks[place] for place in places.tolist()]
    stature, variance = stature[places], variance[places] + LEAST_STD**2
    before = np.array([track.beliefs.get("stature", UNMEASURED) for track in own])
    share = 1 / variance
    # Old images fade, so that a wrong start is forgotten within about 20 images.
    weight = 0.95 * before[:, 2] + share
    after = np.empty_like(before)
    after[:, 0] = before[:, 0] + share / weight * (stature - before[:, 0])
    after[:, 1] = np.minimum(before[:, 1], variance)
    after[:, 2] = weight
    for track, belief in zip(own, after, strict=True):
        track.beliefs["stature"] = belief


def statures_of(tracks: Sequence[Track]) -> tuple[np.ndarray, np.ndarray]:
    """Return the tracks' statures and variances, ``[N]`` m and m²; NaN if never measured."""
    found = np.array([track.beliefs.get("stature", UNKNOWN) for track in tracks]).reshape(-1, 3)
    return found[:, 0], found[:, 1]


def child_probability(stature: ArrayLike, variance: ArrayLike) -> np.ndarray:
    """Return the probabilities ``[...]`` that persons with measured statures are children.

    Statures are in m, variances in m²; NaN is unknown.
    """
    # Taller than the average adult counts as that: in its far tail, the wider normal distribution,
    # the children's, would win again.
    at = np.minimum(np.asarray(stature, np.float64), ADULT_STATURE)
    child, adult = (
        -0.5 * ((at - mean) ** 2 / total + np.log(total))
        for mean, total in (
            (CHILD_STATURE, CHILD_STATURE_STD**2 + np.asarray(variance, np.float64)),
            (ADULT_STATURE, ADULT_STATURE_STD**2 + np.asarray(variance, np.float64)),
        )
    )
    odds = CHILD_PRIOR / (1 - CHILD_PRIOR) * np.exp(child - adult)
    return np.asarray(1 - 1 / (1 + odds))
