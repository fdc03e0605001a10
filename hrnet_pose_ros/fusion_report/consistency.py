# SPDX-License-Identifier: Apache-2.0
"""Whether covariances are as large as errors: NEES, with bounds for errors that are correlated.

The mean NEES of N estimates has a chi-square distribution with 2 N degrees of freedom (over N) only
if the estimates are independent: those of N runs at one time (Bar-Shalom, Li and Kirubarajan,
Estimation with Applications to Tracking and Navigation, 2001, section 5.4.2). Those of one run are
not. A person's errors last from image to image, and all persons of a run share the errors of the
mounts: if the camera's heading is off by a tenth of its standard deviation, everybody's error aside
is that small for the whole run.

For correlated normal errors, the mean NEES is a quadratic form, whose distribution is close to a
chi-square one with as many degrees of freedom as give it the same variance (Satterthwaite, An
approximate distribution of estimates of variance components, Biometrics 2, 1946; Box, Some theorems
on quadratic forms applied in the study of analysis of variance problems, Annals of Mathematical
Statistics 25, 1954). Whitened errors that are correlated by r have squares that are correlated by
r², so a run's estimates are worth as many independent ones as the mean of r² over all of their
pairs says. The correlations are those of the whitened errors of all runs with the same sensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from hrnet_pose_ros.fusion_report.metrics import mean_nees_bounds


@dataclass(frozen=True)
class ErrorCorrelation:
    """How the whitened errors of runs are correlated, along the line of sight and aside.

    Attributes
    ----------
    within
        float64 ``[L, 2]``: of the same person, by the number of images between, from 0.
    between
        float64 ``[2]``: of two persons of a run.
    """

    within: np.ndarray
    between: np.ndarray

    @classmethod
    def of(cls, runs: Sequence[np.ndarray]) -> ErrorCorrelation:
        """Return those of the sightings of some runs, each `SIGHTING` ``[S]``."""
        length = max((len(np.unique(run["time"])) for run in runs), default=1)
        products, squares = np.zeros((2, max(length, 1), 2))
        together, alone = np.zeros((2, 2))
        for run in runs:
            errors = _by_person(run)  # [P, T, 2], NaN where not seen
            for lag in range(errors.shape[1]):
                a, b = errors[:, : errors.shape[1] - lag], errors[:, lag:]
                products[lag] += np.nansum(a * b, axis=(0, 1))
                squares[lag] += np.nansum(np.where(np.isnan(a * b), np.nan, a * a + b * b), (0, 1))
            total, own = np.nansum(errors, axis=0), np.nansum(errors**2, axis=0)  # [T, 2]
            persons = np.isfinite(errors[..., 0]).sum(axis=0)[:, None]
            together += (total**2 - own).sum(axis=0)
            alone += ((persons - 1) * own).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            within = np.where(squares > 0, 2 * products / squares, 0.0)
            between = np.where(alone > 0, together / alone, 0.0)
        within[0] = 1.0
        return cls(within, between)

    def independent(self, run: np.ndarray) -> float:
        """Return how many independent estimates those of a run, `SIGHTING` ``[S]``, are worth."""
        images = np.unique(run["time"], return_inverse=True)[1]
        lags = np.abs(images[:, None] - images[None])
        same = run["person"][:, None] == run["person"][None]
        alike = np.where(same[..., None], self.within[lags], self.between)
        return 2 / float((alike**2).mean(axis=(0, 1)).sum())


def _by_person(run: np.ndarray) -> np.ndarray:
    """Return the whitened errors by person and image, ``[P, T, 2]``; NaN where not seen."""
    persons, who = np.unique(run["person"], return_inverse=True)
    times, when = np.unique(run["time"], return_inverse=True)
    errors = np.full((len(persons), len(times), 2), np.nan)
    errors[who, when] = run["whitened"]
    return errors


@dataclass(frozen=True)
class RunConsistency:
    """The mean NEES of one run, and the bounds in which it is in 95 % of consistent runs.

    ``independent`` is how many independent estimates the run is worth.
    """

    nees: float
    low: float
    high: float
    independent: float

    @property
    def inside(self) -> bool:
        """Whether the run is consistent."""
        return self.low <= self.nees <= self.high


def run_consistency(run: np.ndarray, correlation: ErrorCorrelation) -> RunConsistency | None:
    """Return the consistency of the sightings of a run; None of no sightings."""
    if not len(run):
        return None
    independent = correlation.independent(run)
    return RunConsistency(float(run["nees"].mean()), *mean_nees_bounds(independent, 2), independent)


def mean_of_runs(means: np.ndarray, probability: float = 0.95) -> tuple[float, float, float]:
    """Return the mean of N independent runs' mean NEES, and its confidence interval.

    The interval is Student's, from the spread of the runs. Infinite for a single run.

    >>> mean_of_runs(np.array([1.0, 2.0, 3.0]))[0]
    2.0
    """
    count, middle = len(means), float(np.mean(means))
    if count < 2:
        return middle, -np.inf, np.inf
    half = float(t.ppf(0.5 + probability / 2, count - 1) * np.std(means, ddof=1) / np.sqrt(count))
    return middle, middle - half, middle + half
