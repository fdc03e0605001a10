# SPDX-License-Identifier: Apache-2.0
"""Fit a model's calibration (pose/calibration.py) to the errors it makes on labelled persons.

Errors of key points are not Gaussian: most are small, some are at another joint or another person.
A covariance can hold two shares, of its 50 % and its 90 % ellipse, only as far as the errors'
distribution lets it. So

1. the shape, how much of a joint's spread comes from its heatmap and how much from the person's
   size, is found by the likelihood of a Student t distribution, which far errors do not upset;
2. the size is found by counting: so that of the two shares the one that misses its target by more,
   measured in what is tolerated of it, misses as little as possible.

Left and right share their factors: a person's sides are alike, and twice the joints count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.coco.annotations import PersonAnnotations
from hrnet_pose_ros.coco.estimate_dataset import DatasetPoses
from hrnet_pose_ros.pose.calibration import FOUND_DISTANCES, Calibration, shifted
from hrnet_pose_ros.skeleton import JOINTS, MIRRORED

# Squared Mahalanobis distance that a share of a 2D Gaussian stays within: -2·ln(1 - share).
SHARES = (0.5, 0.9)
TOLERATED = (0.05, 0.04)
LIMITS: np.ndarray = -2 * np.log1p(-np.array(SHARES))

# Fewer labelled joints than this say nothing about 17 joints' spreads.
LEAST_SAMPLES = 200
# A pair of joints with fewer takes the factors of all joints together.
LEAST_OF_A_PAIR = 40

SPREAD_KNOTS = 8
PROBABILITY_KNOTS = 12
LEAST_OF_A_KNOT = 25  # samples
ROUNDS = 4
STUDENT_FREEDOM = 5.0
MOST_ODDS = 6.0  # logarithm; 6 is a probability of 0.9975

# box_factors for a heatmap factor of 1; then the box alone. Around what a key point's spread in
# px² is for each px² of the box: 1e-4 (1 % of the box's side) to 1.
RATIOS: np.ndarray = np.geomspace(1e-5, 1.0, 26)
SIZES: np.ndarray = np.geomspace(0.02, 20.0, 61)  # in medians of the squared distances

# A joint and its mirror; the nose with itself.
_PAIRS = [[joint, int(MIRRORED[joint])] for joint in range(JOINTS) if joint <= MIRRORED[joint]]


@dataclass(frozen=True)
class Samples:
    """Labelled joints of M: what the model said, and how wrong it was.

    errors: float64 ``[M, 2]`` px; covariances: ``[M, 2, 2]`` px², of the heatmaps; peaks, joints,
    box_areas (px²), image_ids: ``[M]``; found: bool ``[M]``, within the joint's `FOUND_DISTANCES`.
    """

    errors: np.ndarray
    covariances: np.ndarray
    peaks: np.ndarray
    joints: np.ndarray
    box_areas: np.ndarray
    image_ids: np.ndarray
    found: np.ndarray

    def __len__(self) -> int:
        return len(self.errors)

    def select(self, chosen: np.ndarray) -> Samples:
        """These of the samples: indices or a mask."""
        return Samples(**{name: values[chosen] for name, values in vars(self).items()})


def samples_of(annotations: PersonAnnotations, data: DatasetPoses) -> Samples:
    """The labelled, valid joints of poses that were estimated on the annotated boxes.

    Joints labelled as hidden (visibility 1) count like the others.
    """
    persons = data.boxes.persons
    if (persons < 0).any():
        raise ValueError("calibration needs the annotated boxes, not a detector's")
    rows, joints = np.nonzero(annotations.labelled[persons] & data.poses.valid)
    truth = annotations.keypoints[persons]
    errors = (data.poses.keypoints - truth)[rows, joints].astype(np.float64)
    reach = np.sqrt(annotations.areas[persons])[rows] * FOUND_DISTANCES[joints]
    return Samples(
        errors=errors,
        covariances=data.poses.covariances[rows, joints].astype(np.float64),
        peaks=data.poses.scores[rows, joints].astype(np.float64),
        joints=joints,
        box_areas=data.boxes.boxes[rows, 2:].prod(axis=1),
        image_ids=annotations.image_ids[annotations.image_index[persons]][rows],
        found=np.linalg.norm(errors, axis=1) <= reach,
    )


def fit_calibration(samples: Samples, origin: str) -> Calibration:
    """Fit both maps.

    Raises ValueError where there are fewer than `LEAST_SAMPLES` samples.
    """
    if len(samples) < LEAST_SAMPLES:
        raise ValueError(
            f"a calibration needs at least {LEAST_SAMPLES} labelled joints, there are "
            f"{len(samples)}: take more images"
        )
    bins = _bins(samples.peaks, SPREAD_KNOTS)
    knots = np.array([samples.peaks[one].mean() for one in bins])
    log_spread = np.zeros(len(bins))
    for _ in range(ROUNDS):
        spread = np.exp(np.interp(samples.peaks, knots, log_spread))
        heatmap, box = _factors(samples, spread)
        squared = squared_distances(samples, heatmap, box, np.ones(len(samples)))
        sizes = np.array([_size(squared[one]) for one in bins])
        weights = np.array([len(one) for one in bins], float)
        log_spread = -_never_falling(-np.log(sizes), weights)
        log_spread -= log_spread[-1]
    spread = np.exp(np.interp(samples.peaks, knots, log_spread))
    heatmap, box = _factors(samples, spread)

    peaks, probabilities, shifts = _probabilities(samples)
    return Calibration(
        heatmap_factors=tuple(heatmap.tolist()),
        box_factors=tuple(box.tolist()),
        spread_peaks=tuple(knots.tolist()),
        spread=tuple(np.exp(log_spread).tolist()),
        peaks=tuple(peaks.tolist()),
        probabilities=tuple(probabilities.tolist()),
        probability_shifts=tuple(shifts.tolist()),
        origin=origin,
    )


def squared_distances(
    samples: Samples, heatmap: np.ndarray, box: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Squared Mahalanobis distances ``[M]`` of the errors under the calibrated covariances.

    heatmap, box: factors ``[17]``; spread: ``[M]``.
    """
    joints = samples.joints
    matrices = heatmap[joints][:, None, None] * samples.covariances
    matrices[:, [0, 1], [0, 1]] += (box[joints] * samples.box_areas)[:, None]
    return _quadratic(samples.errors, matrices) / spread


def _quadratic(errors: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    solved = np.linalg.solve(matrices, errors[..., None])[..., 0]
    return (errors * solved).sum(axis=1)


def _factors(samples: Samples, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """heatmap_factors and box_factors ``[17]`` under a given spread ``[M]``."""
    factors = np.empty((JOINTS, 2))
    pooled: tuple[float, float] | None = None
    for pair in _PAIRS:
        chosen = np.isin(samples.joints, pair)
        if chosen.sum() >= LEAST_OF_A_PAIR:
            factors[pair] = _factors_of(samples.select(chosen), spread[chosen])
        else:
            pooled = pooled or _factors_of(samples, spread)
            factors[pair] = pooled
    return factors[:, 0], factors[:, 1]


def _factors_of(samples: Samples, spread: np.ndarray) -> tuple[float, float]:
    """One heatmap factor and one box factor for all of these samples."""
    best, least = (1.0, 0.0), np.inf
    squared_best = np.empty(0)
    for heatmap, box in [(1.0, 0.0), *((1.0, float(r)) for r in RATIOS), (0.0, 1.0)]:
        matrices = heatmap * samples.covariances
        matrices[:, [0, 1], [0, 1]] += (box * samples.box_areas)[:, None]
        squared = _quadratic(samples.errors, matrices) / spread
        log_areas = np.linalg.slogdet(matrices)[1] / 2
        # Minus the log likelihood of a bivariate Student t for each common size, up to a constant.
        middle = max(float(np.median(squared)), 1e-12)
        sizes = middle * SIZES
        tails = np.log1p(squared / (STUDENT_FREEDOM * sizes[:, None])).mean(axis=1)
        costs = log_areas.mean() + np.log(sizes) + (STUDENT_FREEDOM + 2) / 2 * tails
        if costs.min() < least:
            least, best, squared_best = float(costs.min()), (heatmap, box), squared
    size = _size(squared_best)
    return best[0] * size, best[1] * size


def _probabilities(samples: Samples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Peaks and probabilities of the knots, and the joints' shifts ``[17]``.

    By turns: the knots, so that each bin of peaks is right on average under the shifts; and the
    shifts, so that each pair of joints is right on average under the knots.
    """
    bins = _bins(samples.peaks, PROBABILITY_KNOTS)
    weights = np.array([len(one) for one in bins], float)
    peaks = np.array([samples.peaks[one].mean() for one in bins])
    shifts = np.zeros(JOINTS)
    for _ in range(ROUNDS):
        offsets = shifts[samples.joints]
        odds = [_odds_shift(np.full(len(o), 0.5), offsets[o], samples.found[o]) for o in bins]
        probabilities = shifted(np.array(0.5), _never_falling(np.array(odds), weights))
        common = np.interp(samples.peaks, peaks, probabilities)
        for pair in _PAIRS:
            chosen = np.isin(samples.joints, pair)
            if chosen.sum() >= LEAST_OF_A_PAIR:
                none = np.zeros(int(chosen.sum()))
                shifts[pair] = _odds_shift(common[chosen], none, samples.found[chosen])
    return peaks, probabilities, shifts


def _odds_shift(common: np.ndarray, offsets: np.ndarray, found: np.ndarray) -> float:
    """What must be added to log odds ``[M]`` of probabilities with offsets, so that the mean fits.

    At most `MOST_ODDS` either way.
    """
    low, high, share = -MOST_ODDS, MOST_ODDS, float(found.mean())
    for _ in range(40):  # the mean rises with the shift: halve
        middle = (low + high) / 2
        below = shifted(common, offsets + middle).mean() < share
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


def _size(squared: np.ndarray) -> float:
    """The factor on covariances by which both shares come nearest to their targets."""
    ordered = np.sort(squared)
    low, high = np.quantile(ordered, [0.2, 0.99]) / [LIMITS[1], LIMITS[0]]
    sizes = np.geomspace(max(low, 1e-12), max(high, 1e-9), 600)
    missed = np.zeros(len(sizes))
    for limit, share, tolerated in zip(LIMITS, SHARES, TOLERATED, strict=True):
        inside = np.searchsorted(ordered, sizes * limit, side="right") / len(ordered)
        missed = np.maximum(missed, np.abs(inside - share) / tolerated)
    # Equally good ones in a row are common, because shares are counts: the middle of them.
    best = np.flatnonzero(missed <= missed.min() + 1e-12)
    return float(sizes[best[len(best) // 2]])


def _bins(peaks: np.ndarray, most: int) -> list[np.ndarray]:
    """Indices of the samples in bins of rising peaks, equally full; equal peaks stay together."""
    count = int(np.clip(len(peaks) // LEAST_OF_A_KNOT, 1, most))
    edges = np.unique(np.quantile(peaks, np.linspace(0, 1, count + 1)))
    places = np.clip(np.searchsorted(edges, peaks, side="right") - 1, 0, max(len(edges) - 2, 0))
    return [np.flatnonzero(places == place) for place in np.unique(places)]


def _never_falling(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The nearest values that never fall (isotonic regression by pooling adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (b, wb, nb), (a, wa, na) = blocks.pop(), blocks.pop()
            blocks.append(((a * wa + b * wb) / (wa + wb), wa + wb, na + nb))
    return np.concatenate([np.full(count, mean) for mean, _, count in blocks])
