# SPDX-License-Identifier: Apache-2.0
"""Updates tracks with a bearing and inverse ranges: an iterated extended Kalman filter.

The measurements stay what they are, an angle and inverse ranges, whose errors are normal; it is the
state that is mapped to them. A place computed from them first would have a skewed error, and a
nearer measurement a smaller variance than an equally good one further away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.range_fusion import FusedRanges
from hrnet_pose_ros.fusion.range_table import RangeTable
from hrnet_pose_ros.fusion.tracking.track import LASTING, STATES, YAW, bearing_ranges
from hrnet_pose_ros.fusion.transforms import wrap

# Iterations of the update: each linearizes at the result of the one before.
ITERATIONS = 3


@dataclass(frozen=True)
class Sightings:
    """What one image says about N persons.

    Attributes
    ----------
    azimuth, azimuth_var
        float64 ``[N]``, in the levelled base frame, rad and rad².
    ranges
        The inverse ranges of the K cues.
    fused
        Which of them count, and what they say together. The iteration begins there: from a place
        that is hardly known, it would not find it.
    growth
        float64 ``[N]``: factor on the variances of key points, whose errors are alike in
        consecutive images.
    spread_growth
        float64 ``[N]``: the same of the spread by other answers, and of the person's proportions
        and posture, which last longer.
    """

    azimuth: np.ndarray
    azimuth_var: np.ndarray
    ranges: RangeTable
    fused: FusedRanges
    growth: np.ndarray
    spread_growth: np.ndarray


def update(
    mean: np.ndarray, covariance: np.ndarray, sightings: Sightings, camera: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means ``[N, 8]`` and covariances ``[N, 8, 8]`` after an update, in Joseph form.

    ``camera`` is the place of the camera in the levelled base frame.
    """
    fused, table = sightings.fused, sightings.ranges
    used = fused.used & table.given  # a confirmation alone measures nothing
    n, k = used.shape
    both = used[:, :, None] & used[:, None, :]
    axes = np.arange(1, k + 1)
    noise = np.zeros((n, k + 1, k + 1))
    noise[:, 0, 0] = sightings.growth * sightings.azimuth_var
    spread = sightings.spread_growth * fused.spread
    ranges = table.noise(sightings.growth, sightings.spread_growth) + spread[:, None, None]
    noise[:, 1:, 1:] = np.where(both, ranges, 0.0)
    # A range that is not used measures nothing: derivative 0, residual 0, variance 1.
    noise[:, axes, axes] += ~used
    lasting = np.where(used[..., None], table.lasting, 0.0)
    values = table.measured
    at, h = mean.copy(), np.zeros((n, k + 1, STATES))
    known = np.flatnonzero(_begins_at_range(mean, covariance, fused, camera))
    towards = sightings.azimuth[known]
    ahead = np.stack([np.cos(towards), np.sin(towards)], axis=1) / fused.value[known, None]
    at[known, :2] = camera[:2] + ahead
    h[:, 1:, LASTING], h[:, 0, YAW] = lasting, 1.0
    residual = np.empty((n, k + 1))
    ranged = np.flatnonzero(used.any(axis=1))
    for _ in range(ITERATIONS):
        seen, slopes = bearing_ranges(at, camera)
        h[:, 0, :2] = slopes[:, 0]
        h[:, 1:, :2] = np.where(used[..., None], slopes[:, 1:], 0.0)
        residual[:, 0] = wrap(sightings.azimuth - seen[:, 0] - at[:, YAW])
        expected = seen[:, 1:] + (lasting @ at[:, LASTING, None])[..., 0]
        residual[:, 1:] = np.where(used, values - expected, 0.0)
        crossed = covariance @ h.swapaxes(1, 2)
        gain = np.linalg.solve(h @ crossed + noise, crossed.swapaxes(1, 2)).swapaxes(1, 2)
        linear = residual - (h @ (mean - at)[..., None])[..., 0]
        after = mean + (gain @ linear[..., None])[..., 0]
        # A bearing alone turns the person about the camera, at the range that the state has. The
        # line along which the range is hardly known and the new ray meet at the camera: further
        # iterations would lead there, or far away.
        at[ranged] = after[ranged]
    rest = np.eye(STATES) - gain @ h
    spread_after = rest @ covariance @ rest.swapaxes(1, 2) + gain @ noise @ gain.swapaxes(1, 2)
    return after, (spread_after + spread_after.swapaxes(1, 2)) / 2


def _begins_at_range(
    mean: np.ndarray, covariance: np.ndarray, fused: FusedRanges, camera: np.ndarray
) -> np.ndarray:
    """Return for whom the iteration begins at the fused range, not at the state, bool ``[N]``.

    At a range that is sure. And at one that is not, if it is more probable by what the state says
    than the state is by the range: from a place that is only known to be nearer than 60 m, the
    slope of the inverse range leads the first step behind the camera.
    """
    away = mean[:, :2] - camera[:2]
    r = np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-6)
    along = away / r[:, None]
    spread = (along[:, None] @ covariance[:, :2, :2] @ along[..., None])[:, 0, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        of_state = (fused.value - 1 / r) ** 2 / fused.variance
        of_range = (1 / fused.value - r) ** 2 / spread
        return np.asarray(fused.sure | ((fused.value > 0) & (of_range < of_state)))
