# SPDX-License-Identifier: Apache-2.0
"""Stature, from the length of the body in the image and a range that does not depend on it; and
the probability that the person is a child.
"""

from __future__ import annotations

import math

import numpy as np

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
        noise = table.own[:, column, column] + table.joints[:, column, column]
        relative = noise / value**2 + apart.variance / apart.mean**2
    return np.stack([stature, stature**2 * relative], axis=1)


def update_stature(track: Track, stature: float, variance: float) -> None:
    """Update a track with a stature (m) measured in one image and its variance.

    The errors of images in a row are alike: the estimate is the mean weighted by certainty, and its
    variance the smallest so far, not that of independent measurements.
    """
    if not LIMITS[0] < stature < LIMITS[1] or not 0 < variance < math.inf:
        return
    variance = variance + LEAST_STD**2
    mean, spread, weight = track.beliefs.get("stature", UNMEASURED).tolist()
    share = 1 / variance
    # Old images fade, so that a wrong start is forgotten within about 20 images.
    weight = 0.95 * weight + share
    mean = mean + share / weight * (stature - mean)
    track.beliefs["stature"] = np.array([mean, min(spread, variance), weight])


def stature_of(track: Track) -> tuple[float, float]:
    """Return a track's stature and its variance, m and m²; NaN if it was never measured."""
    found = track.beliefs.get("stature")
    return (float("nan"), float("nan")) if found is None else (float(found[0]), float(found[1]))


def child_probability(stature: float, variance: float) -> float:
    """Return the probability that a person with a measured stature is a child; NaN if unknown."""
    if not math.isfinite(stature):
        return math.nan
    # Taller than the average adult counts as that: in its far tail, the wider normal distribution,
    # the children's, would win again.
    stature = min(stature, ADULT_STATURE)
    logs = [
        -0.5 * ((stature - mean) ** 2 / (std**2 + variance) + math.log(std**2 + variance))
        for mean, std in ((CHILD_STATURE, CHILD_STATURE_STD), (ADULT_STATURE, ADULT_STATURE_STD))
    ]
    odds = CHILD_PRIOR / (1 - CHILD_PRIOR) * math.exp(logs[0] - logs[1])
    return 1 - 1 / (1 + odds)
