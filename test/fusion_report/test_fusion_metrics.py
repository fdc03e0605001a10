# SPDX-License-Identifier: Apache-2.0
"""NEES and GOSPA: closed forms, and what makes GOSPA a metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hrnet_pose_ros.fusion_report.metrics import (
    gospa,
    mean_nees_bounds,
    nees,
    not_of,
    quantiles,
    share,
)

PLACES = st.integers(0, 5).flatmap(
    lambda n: arrays(float, (n, 2), elements=st.floats(-5, 5, allow_nan=False))
)


def test_nees_is_the_squared_mahalanobis_distance() -> None:
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    covariance = turn @ np.diag([4.0, 0.25]) @ turn.T
    errors = np.array([turn @ [2.0, 0.0], turn @ [0.0, 1.0], [0.0, 0.0]])
    found = nees(errors, np.broadcast_to(covariance, (3, 2, 2)))
    np.testing.assert_allclose(found, [1.0, 4.0, 0.0], atol=1e-12)


def test_consistent_estimates_have_a_mean_nees_of_their_dimension() -> None:
    rng = np.random.default_rng(3)
    errors = rng.multivariate_normal([0, 0], [[2.0, 0.5], [0.5, 1.0]], 4000)
    covariances = np.broadcast_to(np.array([[2.0, 0.5], [0.5, 1.0]]), (4000, 2, 2))
    low, high = mean_nees_bounds(4000, 2, 0.9999)
    assert low < nees(errors, covariances).mean() < high
    assert nees(errors, covariances / 4).mean() > high


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(1, 0.0506, 7.378), (10, 9.591 / 10, 34.170 / 10), (50, 74.222 / 50, 129.561 / 50)],
)
def test_the_bounds_are_those_of_printed_chi_square_tables(
    count: int, low: float, high: float
) -> None:
    assert mean_nees_bounds(count, 2) == pytest.approx((low, high), rel=1e-3)


def test_gospa_of_known_cases() -> None:
    truth = np.array([[0.0, 0.0], [10.0, 0.0]])
    nobody = np.zeros((0, 2))
    assert gospa(nobody, nobody, 2.0).distance == 0
    assert gospa(truth, truth[::-1], 2.0).distance == 0
    missed = gospa(truth, nobody, 2.0)
    assert (missed.missed, missed.false) == (4.0, 0.0)
    assert missed.distance == pytest.approx(2.0)
    found = gospa(truth, np.array([[0.5, 0.0], [10.0, 1.0], [3.0, 3.0]]), 2.0)
    assert (found.located, found.missed, found.false) == (1.25, 0.0, 2.0)
    # A pair beyond the cutoff is one missed and one false.
    apart = gospa(truth[:1], np.array([[3.0, 0.0]]), 2.0)
    assert (apart.located, apart.missed, apart.false) == (0.0, 2.0, 2.0)


@settings(max_examples=60, deadline=None)
@given(PLACES, PLACES, PLACES)
def test_gospa_is_a_metric(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    assert gospa(a, a, 2.0).distance == pytest.approx(0, abs=1e-9)
    assert gospa(a, b, 2.0).distance == pytest.approx(gospa(b, a, 2.0).distance)
    through = gospa(a, c, 2.0).distance + gospa(c, b, 2.0).distance
    assert gospa(a, b, 2.0).distance <= through + 1e-9


def test_estimates_of_people_out_of_sight_do_not_count() -> None:
    seen, hidden = np.array([[0.0, 0.0]]), np.array([[8.0, 0.0]])
    estimates = np.array([[0.2, 0.0], [8.3, 0.0], [4.0, 0.0]])
    assert not_of(hidden, seen, estimates, 2.0).tolist() == [True, False, True]


def test_of_nothing_there_are_no_numbers() -> None:
    assert quantiles(np.array([np.nan]), 0.5) == [None]
    assert share(np.zeros(0, bool)) is None
