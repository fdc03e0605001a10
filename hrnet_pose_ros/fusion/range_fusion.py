# SPDX-License-Identifier: Apache-2.0
"""Fuses the ranges of each person jointly, and refuses those that the others contradict.

Each cue gives an inverse range and how it depends on what cues share: the slopes of joints, the
stature, the tilt and height of the camera, the distance from the surface to the axis. So the cues
have a full covariance C, and the fused inverse range is the best linear unbiased estimate
``1'C⁻¹z / 1'C⁻¹1`` (Bar-Shalom, Li and Kirubarajan 2001, section 3.4). It has the smallest
variance although the cues are correlated.

If a cue lies beyond the gate of what the others say, some are wrong: an occluder in front, a wall
behind, a child taken for an adult, a jump of the pitch. Every subset is a hypothesis: its
cues are right, the others are anywhere. The consistent subset with the highest posterior is used;
the rest is refused. A range is never averaged with one that contradicts it; but where another
subset is nearly as probable, the variance grows by the squared distance to it. So it does where a
cue doubts that what it ranged is the person at all: with the probability of that doubt, the person
is where the other cues say.

What is seen of a person is no higher than a person is. The box in the image therefore bounds the
range, and a range far beyond this bound is refused like one that others contradict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.special import chdtri, log_ndtr

from hrnet_pose_ros.fusion.range_table import RangeTable, outer_products

# A wrong range is anywhere between these inverse ranges, 1/m (uniform density).
_WIDTH = 2.0
# The bound by the height of a person is known to this part of it, 1 sigma.
BOUND_STD = 0.1
# A range is known if its inverse is this many standard deviations from 0.
SURE = 4.0
# Without another range, a person whose range is doubted is within this part of it, 1 sigma.
ELSEWHERE = 0.25
# Where the distance between a track and an inverse range is computed, 0: at the track, 1: at the
# range; and the least inverse range of which one is computed, 1/m.
_BETWEEN, _LEAST = np.linspace(0, 1, 24), 1e-3


@dataclass(frozen=True)
class FusedRanges:
    """The fused inverse ranges of N persons.

    Attributes
    ----------
    value, variance
        float64 ``[N]``, 1/m and 1/m²; NaN where no cue gave a range.
    used
        bool ``[N, K]``: the cues that were used.
    track_refused
        bool ``[N]``: the ranges agree that the person is not where the track expects.
    spread
        float64 ``[N]``: the part of the variance that other answers, which are possible, add, 1/m².
    """

    value: np.ndarray
    variance: np.ndarray
    used: np.ndarray
    track_refused: np.ndarray
    spread: np.ndarray

    @property
    def sure(self) -> np.ndarray:
        """Whose inverse range is far enough from 0 to be a range, bool ``[N]``."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.value > SURE * np.sqrt(self.variance))

    def against(self, expected: np.ndarray, gate: float) -> FusedRanges:
        """Return this with the tracks refused that it contradicts, also those without a vote.

        ``expected`` are inverse ranges and variances of tracks, ``[N, 2]``; NaN for none.
        """
        apart = distance_from_tracks(self.value, self.variance, *expected.T)
        with np.errstate(invalid="ignore"):
            refused = apart > _quantile(gate)
        return replace(self, track_refused=self.track_refused | refused)


def fuse(
    table: RangeTable,
    outlier: Mapping[str, float],
    gate: float,
    expected: np.ndarray | None = None,
    least: np.ndarray | None = None,
) -> FusedRanges:
    """Fuse the ranges of N persons.

    Parameters
    ----------
    table
        The ranges.
    outlier
        Prior probability that a range is wrong, by name of the cue, and of ``track``.
    gate
        Each range stays within this quantile of what the others say, if they are consistent.
    expected
        None, or float64 ``[N, 2]``: the inverse range that a track predicts and its variance; NaN
        for persons without a track. It helps to decide which cues are right, but is not averaged
        with them: the filter does that.
    least
        None, or float64 ``[N]``: the inverse ranges that the heights of the boxes allow, 1/m.
    """
    n, k = table.given.shape
    covariance = np.zeros((n, k + 1, k + 1))
    covariance[:, :k, :k] = table.covariance
    values, kept = np.zeros((n, k + 1)), np.zeros((n, k + 1), bool)
    values[:, :k], kept[:, :k] = table.values, table.given
    if expected is not None:
        known = np.isfinite(expected).all(axis=1)
        values[:, k], covariance[:, k, k] = np.where(known[:, None], expected, 0.0).T
        kept[:, k] = known & table.given.any(axis=1)
    limit = _quantile(gate)
    whole = estimate(values, covariance, kept)
    spread = np.zeros(n)
    before = kept.copy()
    bound = np.zeros(n) if least is None else least
    with np.errstate(invalid="ignore"):
        beyond = _beyond(whole.mean, whole.variance, bound, limit)
    for person in np.flatnonzero((whole.worst > limit) | beyond):
        use = np.flatnonzero(kept[person])
        names = [table.names[c] if c < k else "track" for c in use]
        prior = np.array([outlier.get(name, 0.05) for name in names])
        part = covariance[person][np.ix_(use, use)]
        best, spread[person] = _consistent(
            values[person, use], part, prior, limit, use < k, float(bound[person])
        )
        kept[person, use] = best
    used = kept[:, :k]
    refused = before[:, k] & ~kept[:, k] & used.any(axis=1)
    result = whole
    if expected is not None or (kept != before).any():
        result = estimate(table.values, table.covariance, used)
    spread += _doubted(table, used, result)
    return FusedRanges(result.mean, result.variance + spread, used, refused, spread)


def _consistent(
    values: np.ndarray,
    covariance: np.ndarray,
    outlier: np.ndarray,
    limit: float,
    measured: np.ndarray,
    least: float,
) -> tuple[np.ndarray, float]:
    """Return the most probable consistent subset, bool ``[K]``, and the variance by its rivals.

    ``measured`` is false for the track. It alone is the person's range only where a single cue
    contradicts it, and of several, it needs one that agrees. Nothing is consistent, and the subset
    empty, if all ranges lie beyond the bound ``least``.
    """
    subsets = _all_subsets(len(values))
    tiled = np.broadcast_to(covariance, (len(subsets), *covariance.shape))
    found = estimate(np.broadcast_to(values, subsets.shape), tiled, subsets)
    sizes = subsets.sum(axis=1)
    # The true inverse range is uniform over the width, and so is each wrong one.
    score = -0.5 * (found.chi_square + found.log_det + sizes * np.log(2 * np.pi))
    score += 0.5 * np.log(2 * np.pi * found.variance) - np.log(_WIDTH)
    score += np.where(subsets, np.log1p(-outlier), np.log(outlier / _WIDTH)).sum(axis=1)
    score += log_ndtr((found.mean - least) / np.sqrt(found.variance + (BOUND_STD * least) ** 2))
    possible = (found.worst <= limit) & ~_beyond(found.mean, found.variance, least, limit)
    if measured.sum() > 1:
        possible &= (subsets & measured).any(axis=1)
    if not possible.any():
        return np.zeros(len(values), bool), 0.0
    score = np.where(possible, score, -np.inf)
    # Of equally probable answers the nearest one, which is the safe one.
    equal = score > score.max() - 1e-9
    best = int(np.argmax(np.where(equal, found.mean, -np.inf)))
    weight = np.exp(score - score[best])
    apart = (found.mean - found.mean[best]) ** 2
    return subsets[best], float(weight @ apart / weight.sum())


def _beyond(
    mean: np.ndarray, variance: np.ndarray, least: np.ndarray | float, limit: float
) -> np.ndarray:
    """Return which inverse ranges are below the bound, by more than the quantile."""
    spread = variance + (BOUND_STD * np.asarray(least)) ** 2
    below = least - mean
    return np.asarray((below > 0) & (below**2 > limit * spread))


def _doubted(table: RangeTable, used: np.ndarray, result: LinearEstimates) -> np.ndarray:
    """Return the variances ``[N]`` that doubts of cues add.

    With the probability d, a cue has ranged something else, and the person is where the others say,
    with mean m' and variance v'. The second moment of the mixture about m is larger by
    d (v' + (m' - m)²).
    """
    person, column = np.nonzero(used & (table.doubt > 0))
    if not len(person):
        return np.zeros(len(used))
    others = used[person]
    others[np.arange(len(person)), column] = False
    left = estimate(table.values[person], table.covariance[person], others)
    mean, known = result.mean[person], np.isfinite(left.mean)
    apart = np.where(known, left.mean - mean, 0.0)
    variance = np.where(known, left.variance, (ELSEWHERE * mean) ** 2)
    added = table.doubt[person, column] * (variance + apart**2)
    return np.bincount(person, added, len(used))


def distance_from_tracks(
    value: np.ndarray, variance: np.ndarray, track: np.ndarray, track_var: np.ndarray
) -> np.ndarray:
    """Return the squared distances of inverse ranges from those of tracks, in standard deviations.

    All arguments are inverse ranges and variances, 1/m and 1/m², and are broadcast; NaN gives NaN.
    A measured inverse range has a normal error, but a track's place has one in metres. Taken for
    normal, too, the inverse range of somebody 1.4 m away, give or take 0.5 m, would be 0.7 ± 0.25:
    everything beyond is within three standard deviations. So each error counts in its own unit: the
    distance is that of the most probable range between the two. Where it is smaller, the one in
    inverse range counts.

    >>> numbers = (0.046, 0.006**2, 0.7, 0.25**2)  # 22 m, and the track of somebody 1.4 m away
    >>> bool(distance_from_tracks(*map(np.array, numbers)) > 40)
    True
    """
    apart = (value - track) ** 2 / (variance + track_var)
    at, track = np.maximum(value, _LEAST)[..., None], np.maximum(track, _LEAST)[..., None]
    inverse = track ** (1 - _BETWEEN) * at**_BETWEEN
    # The track's variance in metres is that of the inverse range times the range to the fourth.
    of_track = (1 / inverse - 1 / track) ** 2 * track**4 / np.asarray(track_var)[..., None]
    of_range = (inverse - at) ** 2 / np.asarray(variance)[..., None]
    return np.asarray(np.maximum(apart, (of_track + of_range).min(axis=-1)))


@dataclass(frozen=True)
class LinearEstimates:
    """Best linear unbiased estimates, one for each of S rows of K values.

    Attributes
    ----------
    mean, variance
        float64 ``[S]``; NaN for rows without values.
    values, kept
        ``[S, K]``: what was estimated from.
    blocks, inverse, weights
        float64 ``[S, K, K]``, ``[S, K, K]`` and ``[S, K]``: the covariance of what was kept, 1 on
        the diagonal elsewhere; its inverse, 0 elsewhere; and the sums of the rows of that.
    """

    mean: np.ndarray
    variance: np.ndarray
    values: np.ndarray
    kept: np.ndarray
    blocks: np.ndarray
    inverse: np.ndarray
    weights: np.ndarray

    @property
    def chi_square(self) -> np.ndarray:
        """Of the residuals, ``[S]``, with one degree of freedom less than values."""
        residual = np.where(self.kept, self.values - self.mean[:, None], 0.0)
        squares = (self.inverse @ residual[..., None])[..., 0] * residual
        return np.asarray(squares.sum(axis=1))

    @property
    def worst(self) -> np.ndarray:
        """The largest squared distance of a value from what the others say, over its variance.

        ``[S]``; chi-square with one degree of freedom. 0 for one value alone.
        """
        # Deletion residuals: with P the inverse covariance less what the mean takes, the residual
        # of a value against the others, over its standard deviation, is (P z)_i / sqrt(P_ii).
        with np.errstate(invalid="ignore", divide="ignore"):
            left = self.inverse - outer_products(self.weights) * self.variance[:, None, None]
            residual = (left @ self.values[..., None])[..., 0]
            own = np.diagonal(left, axis1=1, axis2=2)
            known = self.kept & (own > 1e-9 * np.diagonal(self.inverse, axis1=1, axis2=2))
            apart = np.where(known, residual**2 / own, 0.0)
        return np.asarray(apart.max(axis=1, initial=0.0))

    @property
    def log_det(self) -> np.ndarray:
        """The logarithms of the determinants of the covariances, ``[S]``."""
        return np.asarray(np.linalg.slogdet(self.blocks)[1])


def estimate(values: np.ndarray, covariance: np.ndarray, kept: np.ndarray) -> LinearEstimates:
    """Estimate one number from each row of correlated values.

    Parameters
    ----------
    values, covariance
        float64 ``[S, K]`` and ``[S, K, K]``.
    kept
        bool ``[S, K]``: the values that count.
    """
    both = kept[:, :, None] & kept[:, None, :]
    blocks = np.where(both, covariance, 0.0)  # what is left out has variance 1 and no weight
    np.einsum("skk->sk", blocks)[...] += ~kept
    inverse = np.where(both, np.linalg.inv(blocks), 0.0)
    weights = inverse.sum(axis=2)
    information = weights.sum(axis=1)
    with np.errstate(divide="ignore"):
        variance = np.where(information > 0, 1 / information, np.nan)
    mean = (weights * values).sum(axis=1) * variance
    return LinearEstimates(mean, variance, values, kept, blocks, inverse, weights)


@lru_cache
def _all_subsets(count: int) -> np.ndarray:
    """Return all subsets but the empty one, bool ``[2^count - 1, count]``."""
    return np.array(list(product([False, True], repeat=count))[1:])


@lru_cache
def _quantile(gate: float) -> float:
    return float(chdtri(1, 1 - gate))
