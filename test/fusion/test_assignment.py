# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from hrnet_pose_ros.fusion.assignment import best_pairs

optimize = pytest.importorskip("scipy.optimize")

matrices = hypothesis_numpy.arrays(
    np.float64,
    st.tuples(st.integers(0, 7), st.integers(0, 7)),
    elements=st.floats(-10, 10).map(lambda value: round(value, 1)),  # equal gains are frequent
)


@settings(deadline=None)
@given(matrices)
def test_no_other_pairs_have_a_larger_sum(gains: np.ndarray) -> None:
    pairs = best_pairs(gains)
    best = optimize.linear_sum_assignment(np.maximum(gains, 0), maximize=True)
    ours = gains[pairs[:, 0], pairs[:, 1]]
    assert (ours > 0).all()
    assert ours.sum() == pytest.approx(np.maximum(gains, 0)[best].sum())
    for axis in range(2):
        assert len(set(pairs[:, axis].tolist())) == len(pairs)
    assert pairs[:, 0].tolist() == sorted(pairs[:, 0].tolist())


def test_a_large_crowd() -> None:
    gains = np.random.default_rng(3).normal(size=(60, 50))
    pairs = best_pairs(gains)
    best = optimize.linear_sum_assignment(np.maximum(gains, 0), maximize=True)
    assert gains[pairs[:, 0], pairs[:, 1]].sum() == pytest.approx(gains[best].sum())


@pytest.mark.parametrize("gains", [[1.0, 2.0], [[np.nan]], [[np.inf, 1]]])
def test_what_is_no_finite_matrix_is_refused(gains: list) -> None:
    with pytest.raises(ValueError, match="finite matrix"):
        best_pairs(gains)
