# SPDX-License-Identifier: Apache-2.0
"""Object key point similarity against COCO's definition written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.pose.oks import mean_crop_oks, oks

SIGMAS = (
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072]
    + [0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089]
)  # fmt: skip


def coco_oks(a: np.ndarray, b: np.ndarray, area: float, counted: np.ndarray) -> float:
    terms = []
    for joint in range(17):
        if counted[joint]:
            dx, dy = a[joint] - b[joint]
            variance = (2 * SIGMAS[joint]) ** 2
            terms.append(math.exp(-(dx**2 + dy**2) / variance / area / 2))
    return sum(terms) / len(terms) if terms else math.nan


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 5))
def test_equals_the_definition(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.uniform(0, 500, (n, 17, 2))
    b = a + rng.normal(0, 10, a.shape)
    areas = rng.uniform(100, 40000, n)
    counted = rng.random((n, 17)) < rng.choice([0.05, 0.7])
    expected = [coco_oks(*row) for row in zip(a, b, areas, counted, strict=True)]
    result = oks(a, b, areas, counted)
    assert result.shape == (n,)
    np.testing.assert_allclose(result, expected, rtol=1e-12)
    np.testing.assert_allclose(oks(b, a, areas, counted), result, rtol=1e-12)


def test_same_pose_is_one_and_none_counted_is_nan() -> None:
    points = np.zeros((2, 17, 2))
    counted = np.array([[True] * 17, [False] * 17])
    result = oks(points, points, [100, 100], counted)
    assert result[0] == 1
    assert np.isnan(result[1])


@pytest.mark.parametrize(
    ("missing", "counted", "expected"),
    [
        ([0], [0], 0.0),  # the only counted joint is missing
        ([0], [0, 1, 2, 3], 0.75),
        ([0], [1, 2], 1.0),  # a joint that is not counted may be missing
    ],
)
def test_missing_joint_counts_as_wrong(missing, counted, expected: float) -> None:
    a, b = np.zeros((1, 17, 2)), np.zeros((1, 17, 2))
    b[0, missing] = np.nan
    mask = np.zeros((1, 17), bool)
    mask[0, counted] = True
    assert oks(a, b, [50.0], mask)[0] == pytest.approx(expected)
    assert oks(b, a, [50.0], mask)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("a", "b", "areas", "counted", "message"),
    [
        ((2, 17, 2), (1, 17, 2), (2,), (2, 17), r"keypoints_b .*\(2, 17, 2\).*\(1, 17, 2\)"),
        ((2, 16, 2), (2, 16, 2), (2,), (2, 16), r"keypoints_a .*\(2, 17, 2\)"),
        ((2, 17, 2), (2, 17, 2), (1,), (2, 17), r"areas .*\(2,\)"),
        ((2, 17, 2), (2, 17, 2), (2,), (2, 1), r"counted .*\(2, 17\)"),
    ],
)
def test_wrong_shapes_are_named(a, b, areas, counted, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        oks(np.zeros(a), np.zeros(b), np.ones(areas), np.ones(counted, bool))


@pytest.mark.parametrize("area", [0.0, -1.0, math.nan, math.inf])
def test_wrong_area_is_named(area: float) -> None:
    points = np.zeros((2, 17, 2))
    with pytest.raises(ValueError, match=r"areas\[1\]"):
        oks(points, points, [10.0, area], np.ones((2, 17), bool))


def test_the_mean_of_crops_is_of_the_persons_with_a_joint_that_counts() -> None:
    # In a crop of 192x256 a person's area is half of the box: 0.5 * 192 * 256 / 1.25².
    area = 0.5 * 192 * 256 / 1.25**2
    a = np.zeros((3, 17, 2))
    b = np.full((3, 17, 2), 4.0)
    counted = np.zeros((3, 17), bool)
    counted[0], counted[1, 5] = True, True
    expected = oks(a, b, np.full(3, area), counted)
    assert np.isnan(expected[2])
    assert mean_crop_oks(a, b, (192, 256), counted) == pytest.approx(expected[:2].mean())
    assert mean_crop_oks(a, a, (192, 256), counted) == 1
    assert np.isnan(mean_crop_oks(a, b, (192, 256), np.zeros((3, 17), bool)))
    assert np.isnan(mean_crop_oks(a[:0], b[:0], (192, 256), counted[:0]))
