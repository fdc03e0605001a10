# SPDX-License-Identifier: Apache-2.0
"""Fit a model's uncertainty calibration (pose/uncertainty.py) to its errors on labelled persons.

1. The evidence for a key point other than its peak is weighted by a logistic regression of `found`,
   with an intercept for each pair of joints. Absent joints are included as not found, which lowers
   their effective peaks.
2. Scores: a monotonic map of the effective peak, fitted by counting, and a log-odds shift for each
   pair of joints. It is fitted to the labelled joints, of which hidden ones count twice: COCO's
   images show fewer of them than a street does, and the engine can distinguish them from visible
   ones only in part. Absent joints are included with a small weight, because a score is the
   probability that a joint *that is present* is found.
3. Covariances. Errors of key points are not Gaussian: most are small, some are at another joint
   or another person, and how well one covariance can meet two coverages, that of its 50 % and that
   of its 90 % ellipse, depends on the distribution of the errors. The shape, how much of a joint's
   spread comes from its heatmap and how much from the person's size, is found by the likelihood of
   a Student t distribution, which is robust to outliers. The size is found by counting at each
   level of the effective peak. If it cannot meet both coverages, the 90 % ellipse has priority:
   gates and safe distances are derived from it, and an inner ellipse that is too large does no
   harm.

Left and right fraction their factors: a person's sides are alike, and twice the joints count.
"""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.coco.uncertainty_samples import Samples, quadratic, squared_distances
from hrnet_pose_ros.pose.evidence import EVIDENCE
from hrnet_pose_ros.pose.uncertainty import UncertaintyCalibration, shift_log_odds
from hrnet_pose_ros.skeleton import SkeletonDefinition

# Squared Mahalanobis distance that contains this fraction of a 2D Gaussian: -2·ln(1 - coverage).
COVERAGES = (0.5, 0.9)
LIMITS: np.ndarray = -2 * np.log1p(-np.array(COVERAGES))
# The size is chosen to minimise the larger deviation from the two coverages, in these units.
_SIZE_UNITS = (0.05, 0.02)

# Fewer labelled joints than this are not enough for the spreads of the joints.
MIN_SAMPLES = 200
# A pair of joints with fewer samples uses the factors fitted to all joints together.
MIN_PAIR_SAMPLES = 40

# Weights of visible, hidden and absent joints: for the evidence regression, and for everything
# else. Chosen by cross-validation on 'coco_dev' (docs/evaluation.md).
_EVIDENCE_WEIGHTING = (1.0, 2.0, 1.0)
_FIT_WEIGHTING = (1.0, 2.0, 0.02)

SPREAD_KNOTS = 8
PROBABILITY_KNOTS = 16
MIN_KNOT_SAMPLES = 25  # samples
ROUNDS = 4
STUDENT_FREEDOM = 5.0
MAX_LOG_ODDS = 6.0  # logarithm; 6 is a probability of 0.9975

NEWTON_STEPS = 30
RIDGE = 3.0  # on the coefficients of inputs with mean 0 and variance 1, in samples
# If the peak itself is less informative than this (log odds per standard deviation), evidence
# cannot be expressed relative to it.
MIN_PEAK_LOG_ODDS = 0.1

# Candidate box_factors for a heatmap factor of 1; the box alone is tried as well. They cover the
# spread of a key point in px² per px² of the box: 1e-4 (1 % of the box side) to 1.
RATIOS: np.ndarray = np.geomspace(1e-5, 1.0, 26)
SIZES: np.ndarray = np.geomspace(0.02, 20.0, 61)  # in multiples of the median squared distance


def _pairs(skeleton: SkeletonDefinition) -> list[list[int]]:
    """Each joint with its mirror joint; one in the middle, as the nose, with itself."""
    mirrored = skeleton.mirrored.tolist()
    return [[joint, other] for joint, other in enumerate(mirrored) if joint <= other]


def fit_uncertainty(samples: Samples, origin: str) -> UncertaintyCalibration:
    """Fit weights, scores and covariances.

    Raises ValueError if there are fewer than `MIN_SAMPLES` labelled samples.
    """
    count = int(samples.labelled.sum())
    if count < MIN_SAMPLES:
        raise ValueError(
            f"an uncertainty calibration needs at least {MIN_SAMPLES} labelled joints, there "
            f"are {count}: use more images"
        )
    evidence_weights = _evidence_weights(samples)
    effective = samples.peaks + samples.evidence @ evidence_weights
    peaks, probabilities, shifts = _probabilities(samples, effective)

    labelled = samples.select(samples.labelled)
    effective, weights = effective[samples.labelled], labelled.weights(*_FIT_WEIGHTING)
    bins = _bins(effective, SPREAD_KNOTS)
    knots = np.array([np.average(effective[one], weights=weights[one]) for one in bins])
    log_spread = np.zeros(len(bins))
    for _ in range(ROUNDS):
        spread = np.exp(np.interp(effective, knots, log_spread))
        heatmap, box = _factors(labelled, spread, weights)
        squared = squared_distances(labelled, heatmap, box, np.ones(len(labelled)))
        sizes = np.array([_size(squared[one], weights[one]) for one in bins])
        log_spread = -_isotonic(-np.log(sizes), np.array([weights[one].sum() for one in bins]))
        log_spread -= log_spread[-1]
    spread = np.exp(np.interp(effective, knots, log_spread))
    heatmap, box = _factors(labelled, spread, weights)

    return UncertaintyCalibration(
        heatmap_factors=tuple(heatmap.tolist()),
        box_factors=tuple(box.tolist()),
        spread_peaks=tuple(knots.tolist()),
        spread=tuple(np.exp(log_spread).tolist()),
        peaks=tuple(peaks.tolist()),
        probabilities=tuple(probabilities.tolist()),
        probability_shifts=tuple(shifts.tolist()),
        evidence_weights=tuple(evidence_weights.tolist()),
        origin=origin,
    )


def _evidence_weights(samples: Samples) -> np.ndarray:
    """``evidence_weights``: coefficients ``[6]`` of the evidence divided by that of the peak.

    All are 0 if the peak itself is not informative.
    """
    weights = samples.weights(*_EVIDENCE_WEIGHTING)
    counted = weights > 0
    weights, found = weights[counted], samples.found[counted].astype(float)
    inputs = np.column_stack([samples.peaks, samples.evidence])[counted]
    scales = np.sqrt(np.average((inputs - inputs.mean(axis=0)) ** 2, axis=0))
    varies = scales > 1e-9
    scales = np.where(varies, scales, 1)
    inputs = np.where(varies, (inputs - inputs.mean(axis=0)) / scales, 0)
    mirrored = samples.skeleton.mirrored
    pair_of = np.minimum(np.arange(len(mirrored)), mirrored)
    intercepts = (pair_of[samples.joints[counted], None] == np.unique(pair_of)).astype(float)
    coefficients = _logistic(np.column_stack([inputs, intercepts]), found, weights)
    peak, evidence = coefficients[0], coefficients[1 : 1 + len(EVIDENCE)]
    if peak < MIN_PEAK_LOG_ODDS:
        return np.zeros(len(EVIDENCE))
    return evidence / scales[1:] * scales[0] / peak


def _logistic(inputs: np.ndarray, found: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficients ``[K]`` of a ridge regression of the log odds, by Newton's method.

    Every step is halved until the penalised likelihood increases.
    """

    def cost(coefficients: np.ndarray) -> float:
        odds = inputs @ coefficients
        return float(
            weights @ (np.logaddexp(0, odds) - found * odds)
            + RIDGE / 2 * coefficients @ coefficients
        )

    coefficients = np.zeros(inputs.shape[1])
    for _ in range(NEWTON_STEPS):
        likely = 1 / (1 + np.exp(-inputs @ coefficients))
        slope = inputs.T @ (weights * (likely - found)) + RIDGE * coefficients
        curve = (inputs * (weights * likely * (1 - likely))[:, None]).T @ inputs
        step = np.linalg.solve(curve + RIDGE * np.eye(len(curve)), slope)
        before = cost(coefficients)
        while cost(coefficients - step) > before and np.abs(step).max() > 1e-9:
            step /= 2
        coefficients -= step
        if np.abs(step).max() < 1e-8:
            break
    return coefficients


def _probabilities(
    samples: Samples, effective: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Peaks and probabilities of the knots, and the shifts ``[J]`` of the joints.

    Alternates between fitting the knots, so that each bin of effective peaks is correct on average
    given the shifts, and the shifts, so that each pair of joints is correct on average given the
    knots.
    """
    # Absent joints make the bins narrower at low peaks, where scores must discriminate best.
    counted = samples.labelled | samples.absent
    samples, effective = samples.select(counted), effective[counted]
    weights = samples.weights(*_FIT_WEIGHTING)
    bins = _bins(effective, PROBABILITY_KNOTS)
    totals = np.array([weights[one].sum() for one in bins])
    peaks = np.array([np.average(effective[one], weights=weights[one]) for one in bins])
    shifts = np.zeros(samples.skeleton.joints)
    for _ in range(ROUNDS):
        offsets = shifts[samples.joints]
        odds = [
            _odds_shift(np.full(len(one), 0.5), offsets[one], samples.found[one], weights[one])
            for one in bins
        ]
        probabilities = shift_log_odds(np.array(0.5), _isotonic(np.array(odds), totals))
        common = np.interp(effective, peaks, probabilities)
        for pair in _pairs(samples.skeleton):
            chosen = np.isin(samples.joints, pair)
            if (chosen & samples.labelled).sum() >= MIN_PAIR_SAMPLES:
                none = np.zeros(int(chosen.sum()))
                shifts[pair] = _odds_shift(
                    common[chosen], none, samples.found[chosen], weights[chosen]
                )
    return peaks, probabilities, shifts


def _odds_shift(
    common: np.ndarray, offsets: np.ndarray, found: np.ndarray, weights: np.ndarray
) -> float:
    """The shift of log odds ``[M]`` with offsets at which the mean probability fits the samples.

    Limited to ±`MAX_LOG_ODDS`.
    """
    low, high, fraction = -MAX_LOG_ODDS, MAX_LOG_ODDS, float(np.average(found, weights=weights))
    for _ in range(40):  # the mean increases with the shift: bisect
        middle = (low + high) / 2
        below = np.average(shift_log_odds(common, offsets + middle), weights=weights) < fraction
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


def _factors(
    samples: Samples, spread: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """heatmap_factors and box_factors ``[J]`` for a given spread ``[M]``."""
    factors = np.empty((samples.skeleton.joints, 2))
    pooled: tuple[float, float] | None = None
    for pair in _pairs(samples.skeleton):
        chosen = np.isin(samples.joints, pair)
        if chosen.sum() >= MIN_PAIR_SAMPLES:
            factors[pair] = _factors_of(samples.select(chosen), spread[chosen], weights[chosen])
        else:
            pooled = pooled or _factors_of(samples, spread, weights)
            factors[pair] = pooled
    return factors[:, 0], factors[:, 1]


def _factors_of(samples: Samples, spread: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """One heatmap factor and one box factor for all given samples."""
    best, least = (1.0, 0.0), np.inf
    squared_best = np.empty(0)
    for heatmap, box in [(1.0, 0.0), *((1.0, float(r)) for r in RATIOS), (0.0, 1.0)]:
        matrices = heatmap * samples.covariances
        matrices[:, [0, 1], [0, 1]] += (box * samples.box_areas)[:, None]
        squared = quadratic(samples.errors, matrices) / spread
        log_areas = np.linalg.slogdet(matrices)[1] / 2
        # Minus the log likelihood of a bivariate Student t for each common size, up to a constant.
        middle = max(float(np.median(squared)), 1e-12)
        sizes = middle * SIZES
        tails = np.log1p(squared / (STUDENT_FREEDOM * sizes[:, None]))
        costs = np.average(log_areas, weights=weights) + np.log(sizes)
        costs += (STUDENT_FREEDOM + 2) / 2 * np.average(tails, axis=1, weights=weights)
        if costs.min() < least:
            least, best, squared_best = float(costs.min()), (heatmap, box), squared
    size = _size(squared_best, weights)
    return best[0] * size, best[1] * size


def _size(squared: np.ndarray, weights: np.ndarray) -> float:
    """The factor on covariances whose two coverages are closest to `COVERAGES`."""
    order = np.argsort(squared)
    ordered, below = squared[order], np.concatenate([[0], np.cumsum(weights[order])])
    low, high = np.quantile(ordered, [0.2, 0.99]) / [LIMITS[1], LIMITS[0]]
    sizes = np.geomspace(max(low, 1e-12), max(high, 1e-9), 600)
    missed = np.zeros(len(sizes))
    for limit, fraction, unit in zip(LIMITS, COVERAGES, _SIZE_UNITS, strict=True):
        inside = below[np.searchsorted(ordered, sizes * limit, side="right")] / below[-1]
        missed = np.maximum(missed, np.abs(inside - fraction) / unit)
    # Coverages are counts, so several sizes in a row are often equally good: use the middle one.
    best = np.flatnonzero(missed <= missed.min() + 1e-12)
    return float(sizes[best[len(best) // 2]])


def _bins(values: np.ndarray, most: int) -> list[np.ndarray]:
    """Indices of the values in ascending bins of equal count; equal values stay together."""
    count = int(np.clip(len(values) // MIN_KNOT_SAMPLES, 1, most))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1)))
    places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(len(edges) - 2, 0))
    return [np.flatnonzero(places == place) for place in np.unique(places)]


def _isotonic(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Isotonic regression by pooling adjacent violators: the nearest non-decreasing values."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (b, wb, nb), (a, wa, na) = blocks.pop(), blocks.pop()
            blocks.append(((a * wa + b * wb) / (wa + wb), wa + wb, na + nb))
    return np.concatenate([np.full(count, mean) for mean, _, count in blocks])
