# SPDX-License-Identifier: Apache-2.0
"""The bounds of a run's mean NEES hold for errors that last and that persons share."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_pose_ros.fusion_report.consistency import (
    ErrorCorrelation,
    mean_of_runs,
    run_consistency,
)
from hrnet_pose_ros.fusion_report.metrics import nees, whitened
from hrnet_pose_ros.fusion_report.runs import SIGHTING

PERSONS, IMAGES = 6, 20


def drawn_run(
    rng: np.random.Generator, lasting: float, shared: float, size: float = 1.0
) -> np.ndarray:
    """A run of errors of variance size²: correlated by ``lasting`` from image to image, but for the
    part ``shared`` of the variance, which is the same for everybody all the time."""
    own = rng.standard_normal((IMAGES, PERSONS, 2))
    for k in range(1, IMAGES):
        own[k] = lasting * own[k - 1] + np.sqrt(1 - lasting**2) * own[k]
    errors = np.sqrt(1 - shared) * own + np.sqrt(shared) * rng.standard_normal(2)
    rows = np.zeros(IMAGES * PERSONS, SIGHTING)
    rows["time"] = np.repeat(0.1 * np.arange(IMAGES), PERSONS)
    rows["person"] = np.tile(np.arange(PERSONS), IMAGES)
    rows["whitened"] = size * errors.reshape(-1, 2)
    rows["nees"] = (rows["whitened"] ** 2).sum(axis=1)
    return rows


@pytest.mark.parametrize(
    ("lasting", "shared"), [(0.0, 0.0), (0.8, 0.0), (0.99, 0.0), (0.8, 0.6), (0.5, 0.95)]
)
def test_95_per_cent_of_consistent_runs_are_inside(lasting: float, shared: float) -> None:
    rng = np.random.default_rng(7)
    runs = [drawn_run(rng, lasting, shared) for _ in range(300)]
    correlation = ErrorCorrelation.of(runs)
    found = [run_consistency(run, correlation) for run in runs]
    inside = np.mean([one is not None and one.inside for one in found])
    assert 0.9 < inside < 0.99
    for factor in (0.1, 9.0):  # variances that are much too large, or too small
        wrong = [drawn_run(rng, lasting, 0.0, factor**0.5) for _ in range(50)]
        far = ErrorCorrelation.of(wrong)
        results = [run_consistency(run, far) for run in wrong]
        assert np.mean([one is not None and one.inside for one in results]) < 0.2


def test_the_correlations_are_those_that_were_drawn() -> None:
    rng = np.random.default_rng(8)
    found = ErrorCorrelation.of([drawn_run(rng, 0.7, 0.4, 3.0) for _ in range(400)])
    assert found.within[0] == pytest.approx([1, 1])
    assert found.within[1] == pytest.approx([0.4 + 0.6 * 0.7] * 2, abs=0.05)
    assert found.within[5] == pytest.approx([0.4 + 0.6 * 0.7**5] * 2, abs=0.07)
    assert found.between == pytest.approx([0.4, 0.4], abs=0.07)


def test_a_run_is_worth_as_many_estimates_as_are_independent() -> None:
    rng = np.random.default_rng(9)
    for lasting, shared, worth in (
        (0.0, 0.0, PERSONS * IMAGES),
        (1.0, 0.0, PERSONS),  # everybody's error stays
        (0.0, 1.0, 1.0),  # everybody has the same one
    ):
        runs = [drawn_run(rng, lasting, shared) for _ in range(300)]
        found = run_consistency(runs[0], ErrorCorrelation.of(runs))
        assert found is not None
        assert found.independent == pytest.approx(worth, rel=0.2)


def test_a_person_who_is_not_in_every_image_is_compared_where_seen() -> None:
    rng = np.random.default_rng(10)
    run = drawn_run(rng, 0.8, 0.2)
    some = run[rng.random(len(run)) < 0.6]
    found = run_consistency(some, ErrorCorrelation.of([run, some]))
    assert found is not None
    assert found.low < found.nees < found.high
    assert run_consistency(run[:0], ErrorCorrelation.of([run, run[:0]])) is None


def test_the_interval_of_the_mean_of_runs_is_students() -> None:
    middle, low, high = mean_of_runs(np.array([1.0, 2.0, 3.0, 2.0]))
    # The 97.5 % quantile for 3 degrees of freedom is 3.182.
    assert (middle, high - middle) == pytest.approx((2.0, 3.182 * np.sqrt(2 / 3) / 2), rel=1e-3)
    assert middle - low == pytest.approx(high - middle)
    assert mean_of_runs(np.array([1.0]))[1:] == (-np.inf, np.inf)


def test_whitened_errors_have_the_nees_as_their_square() -> None:
    rng = np.random.default_rng(11)
    factor = rng.standard_normal((50, 2, 2))
    covariances = factor @ factor.swapaxes(1, 2) + 0.1 * np.eye(2)
    errors = rng.standard_normal((50, 2))
    found = whitened(errors, covariances)
    np.testing.assert_allclose((found**2).sum(axis=1), nees(errors, covariances), rtol=1e-9)
    np.testing.assert_allclose(found[:, 0] ** 2, errors[:, 0] ** 2 / covariances[:, 0, 0])
