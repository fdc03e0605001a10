# SPDX-License-Identifier: Apache-2.0
"""Measures of estimates against the truth: NEES and its bounds, GOSPA, quantiles.

NEES is the normalized estimation error squared (Bar-Shalom, Li and Kirubarajan, Estimation with
Applications to Tracking and Navigation, 2001, section 5.4.2). GOSPA is the generalized optimal
sub-pattern assignment metric with alpha = 2 (Rahmathullah, García-Fernández and Svensson,
Generalized optimal sub-pattern assignment metric, FUSION 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2


def nees(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Return the squared Mahalanobis distances ``[N]`` of errors ``[N, D]``.

    ``covariances`` ``[N, D, D]`` are those the estimates claim. Consistent ones give a chi-square
    distribution with D degrees of freedom, whose mean is D.

    >>> nees(np.array([[3.0, 0.0]]), np.array([[[9.0, 0.0], [0.0, 1.0]]])).tolist()
    [1.0]
    """
    weighted = np.linalg.solve(covariances, errors[..., None])[..., 0]
    return (errors * weighted).sum(axis=-1)


def whitened(errors: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Return errors ``[N, D]`` as uncorrelated ones of variance 1, if covariances are right.

    Their squares add up to the NEES, and the first square is that of the first component alone.

    >>> whitened(np.array([[3.0, 2.0]]), np.array([[[9.0, 0.0], [0.0, 1.0]]])).tolist()
    [[1.0, 2.0]]
    """
    return np.linalg.solve(np.linalg.cholesky(covariances), errors[..., None])[..., 0]


def mean_nees_bounds(
    count: float, dimension: int, probability: float = 0.95
) -> tuple[float, float]:
    """Return the two-sided bounds of the mean NEES of ``count`` independent estimates.

    The count may be a fraction, as it is for correlated ones
    (`hrnet_pose_ros.fusion_report.consistency`).

    >>> [round(bound, 3) for bound in mean_nees_bounds(1, 2)]
    [0.051, 7.378]
    """
    tail = (1 - probability) / 2
    low, high = chi2.ppf([tail, 1 - tail], count * dimension) / count
    return float(low), float(high)


@dataclass(frozen=True)
class Gospa:
    """GOSPA of one image and its parts, m.

    ``distance`` is the metric; ``located``, ``missed`` and ``false`` are the parts of its square:
    of the pairs that were matched, of true persons without an estimate, of estimates of nobody.
    """

    distance: float
    located: float
    missed: float
    false: float


def gospa(truth: np.ndarray, estimates: np.ndarray, cutoff: float) -> Gospa:
    """Return GOSPA with p = 2 and alpha = 2 of places ``[N, 2]`` and ``[M, 2]``, m.

    Each person who is missed and each estimate of nobody costs ``cutoff``² / 2; a pair further
    apart than ``cutoff`` is one of each.

    >>> gospa(np.array([[0.0, 0.0], [5.0, 0.0]]), np.array([[0.0, 1.0]]), 2.0).distance ** 2
    3.0
    """
    apart = np.linalg.norm(truth[:, None] - estimates[None], axis=-1)
    # A pair at the cutoff costs what the two cost alone, so cutting the costs off is exact.
    costs = np.minimum(apart, cutoff) ** 2
    rows, columns = linear_sum_assignment(costs)
    near = apart[rows, columns] < cutoff
    located = float(costs[rows, columns][near].sum())
    matched = int(near.sum())
    alone = cutoff**2 / 2
    missed, false = alone * (len(truth) - matched), alone * (len(estimates) - matched)
    return Gospa(float(np.sqrt(located + missed + false)), located, missed, false)


def not_of(
    ignored: np.ndarray, truth: np.ndarray, estimates: np.ndarray, cutoff: float
) -> np.ndarray:
    """Return which estimates ``[M]`` count: not those that are of a person to be ignored.

    Parameters
    ----------
    ignored, truth
        float ``[K, 2]`` and ``[N, 2]``: persons who cannot be seen, and those who can.
    estimates
        float ``[M, 2]``.
    cutoff
        Estimates further than this from everybody count.
    """
    everybody = np.concatenate([truth, ignored])
    apart = np.linalg.norm(everybody[:, None] - estimates[None], axis=-1)
    rows, columns = linear_sum_assignment(np.minimum(apart, cutoff))
    counts = np.ones(len(estimates), bool)
    for row, column in zip(rows, columns, strict=True):
        if row >= len(truth) and apart[row, column] < cutoff:
            counts[column] = False
    return counts


def quantiles(values: np.ndarray, *at: float) -> list[float | None]:
    """Return quantiles of the finite values, None where there are none."""
    finite = values[np.isfinite(values)]
    return [float(np.quantile(finite, q)) if len(finite) else None for q in at]


def mean(values: np.ndarray) -> float | None:
    """Return the mean of the finite values, None where there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def share(flags: np.ndarray) -> float | None:
    """Return the fraction that is true, None of nothing."""
    return float(flags.mean()) if len(flags) else None
