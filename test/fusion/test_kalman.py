# SPDX-License-Identifier: Apache-2.0
"""The filter against a plain textbook loop, against truth, and under odd inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.kalman import Motion


def random_spd(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Symmetric positive definite matrices [*shape[:-1], D, D] with D = shape[-1]."""
    root = rng.normal(size=(*shape, shape[-1]))
    return scale * (root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(shape[-1]))


def textbook_step(
    x: np.ndarray, p: np.ndarray, dt: float, q: float, z: np.ndarray, r: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predict and update one point with matrices written out, in the short form (I - KH)P."""
    d = len(z)
    one, nothing = np.eye(d), np.zeros((d, d))
    f = np.block([[one, dt * one], [nothing, one]])
    noise = q * np.block([[dt**3 / 3 * one, dt**2 / 2 * one], [dt**2 / 2 * one, dt * one]])
    h = np.hstack([one, nothing])
    x, p = f @ x, f @ p @ f.T + noise
    gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + r)
    return x + gain @ (z - h @ x), (np.eye(2 * d) - gain @ h) @ p


@pytest.mark.parametrize("d", [1, 2, 3])
def test_many_points_at_once_are_the_textbooks_one_by_one(d: int) -> None:
    rng = np.random.default_rng(d)
    people, joints = 3, 4
    speed_std = rng.uniform(1, 50, (people, joints))
    z, r = rng.normal(0, 100, (people, joints, d)), random_spd(rng, people, joints, d, scale=9.0)
    motion = Motion.begin(z, r, speed_std)
    x, p = motion.mean.copy(), motion.covariance.copy()
    for _ in range(20):
        dt, q = rng.uniform(0, 0.3, (people, joints)), rng.uniform(0, 1e4, (people, joints))
        z, r = z + rng.normal(0, 9, z.shape), random_spd(rng, people, joints, d, scale=9.0)
        motion = motion.predicted(dt, q).updated(z, r, np.ones((people, joints), bool))
        for k in np.ndindex(people, joints):
            x[k], p[k] = textbook_step(x[k], p[k], dt[k], q[k], z[k], r[k])
        # Equal but for rounding: the two forms of the update differ in their last digits.
        np.testing.assert_allclose(motion.mean, x, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(motion.covariance, p, rtol=1e-8, atol=1e-8)
    assert motion.mean.dtype == motion.covariance.dtype == np.float64
    np.testing.assert_array_equal(motion.position, motion.mean[..., :d])
    np.testing.assert_array_equal(motion.velocity, motion.mean[..., d:])
    np.testing.assert_array_equal(motion.position_covariance, motion.covariance[..., :d, :d])


@pytest.mark.parametrize(("d", "seed"), [(2, 0), (2, 1), (3, 2)])
def test_errors_are_as_large_as_the_covariance_says(d: int, seed: int) -> None:
    """NEES and NIS of 1000 independent points against chi-square, with truth from the model."""
    rng = np.random.default_rng(seed)
    points, dt, q, speed_std = 1000, 0.1, 400.0, 30.0
    r = random_spd(rng, points, d, scale=4.0)
    root = np.linalg.cholesky(r)

    def measured(position: np.ndarray) -> np.ndarray:
        return position + (root @ rng.normal(size=(points, d, 1)))[..., 0]

    place, speed = rng.normal(0, 100, (points, d)), rng.normal(0, speed_std, (points, d))
    motion = Motion.begin(measured(place), r, speed_std)
    for step in range(40):
        noise = q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        kick = rng.normal(size=(points, d, 2)) @ np.linalg.cholesky(noise).T
        place, speed = place + dt * speed + kick[..., 0], speed + kick[..., 1]
        motion = motion.predicted(dt, q)
        z = measured(place)
        nis = motion.distance(z, r)
        motion = motion.updated(z, r, rng.random(points) < 0.8)  # some are not measured
        error = np.concatenate([place, speed], axis=-1) - motion.mean
        nees = (error * np.linalg.solve(motion.covariance, error[..., None])[..., 0]).sum(axis=-1)
        for name, values, freedom in (("NEES", nees, 2 * d), ("NIS", nis, d)):
            # The mean of 1000 chi-square values is normal with variance 2 f / 1000; 4.5 sigma is
            # exceeded once in 150 000 draws, and here are 240.
            limit = 4.5 * np.sqrt(2 * freedom / points)
            assert abs(values.mean() - freedom) < limit, f"{name} {values.mean():.2f}, step {step}"


def test_two_steps_are_one_long_step() -> None:
    rng = np.random.default_rng(3)
    motion = Motion(rng.normal(size=(5, 6)), random_spd(rng, 5, 6))
    twice, once = motion.predicted(0.1, 7.0).predicted(0.25, 7.0), motion.predicted(0.35, 7.0)
    np.testing.assert_allclose(twice.mean, once.mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(twice.covariance, once.covariance, rtol=1e-12, atol=1e-12)


def test_no_time_changes_nothing_and_two_measurements_at_once_are_averaged() -> None:
    begun = Motion.begin([[10.0, 20.0]], [4.0 * np.eye(2)], 5.0)
    still = begun.predicted(0.0, 1e6)
    np.testing.assert_array_equal(still.mean, begun.mean)
    np.testing.assert_array_equal(still.covariance, begun.covariance)
    both = still.updated([[14.0, 20.0]], [4.0 * np.eye(2)], [True])
    np.testing.assert_allclose(both.position, [[12.0, 20.0]], atol=1e-12)
    np.testing.assert_allclose(both.position_covariance, [2.0 * np.eye(2)], atol=1e-12)
    np.testing.assert_allclose(both.velocity, 0.0, atol=1e-12)


def test_points_that_are_not_measured_stay_as_they_are() -> None:
    rng = np.random.default_rng(4)
    motion = Motion(rng.normal(size=(3, 4)), random_spd(rng, 3, 4))
    nan = np.full((3, 2), np.nan)
    nan[1] = 1.0
    noise = np.full((3, 2, 2), np.nan)
    noise[1] = np.eye(2)
    after = motion.updated(nan, noise, [False, True, False])
    for n in (0, 2):
        np.testing.assert_array_equal(after.mean[n], motion.mean[n])
        np.testing.assert_array_equal(after.covariance[n], motion.covariance[n])
    assert (after.mean[1] != motion.mean[1]).all()


def test_no_points_at_all() -> None:
    none = Motion.begin(np.zeros((0, 17, 2)), np.zeros((0, 17, 2, 2)), 1.0)
    none = none.predicted(0.1, 1.0).updated(np.zeros((0, 17, 2)), np.zeros((0, 17, 2, 2)), True)
    assert none.mean.shape == (0, 17, 4)


# Standard deviations of measurements from 0.1 to 1000 px, densities up to that of a person 1000 px
# high, and a second between images: more than images give.
STEP = st.tuples(
    st.floats(0, 1),
    st.floats(0, 1e6),
    st.floats(-1, 3),
    st.floats(-1, 3),
    st.floats(-0.99, 0.99),
    st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=20), speed=st.floats(-1, 4))
def test_covariances_stay_symmetric_and_positive_definite(
    steps: list[tuple[float, float, float, float, float, bool]], speed: float
) -> None:
    motion = Motion.begin([0.0, 0.0], np.eye(2), 10**speed)
    for dt, density, x, y, correlation, measured in steps:
        a, b = 10**x, 10**y
        noise = np.array([[a * a, correlation * a * b], [correlation * a * b, b * b]])
        motion = motion.predicted(dt, density).updated([a, -b], noise, measured)
        covariance = motion.covariance
        assert np.isfinite(motion.mean).all()
        np.testing.assert_array_equal(covariance, covariance.T)
        std = np.sqrt(np.diagonal(covariance))
        # Of the correlations, so that px and px/s of any size are judged alike.
        assert np.linalg.eigvalsh(covariance / np.outer(std, std)).min() > 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Motion(np.zeros(3), np.eye(3)), r"\[\.\.\., 2 D\], got \(3,\)"),
        (lambda: Motion(np.zeros(4), np.eye(2)), r"covariance must have shape \(4, 4\)"),
        (lambda: Motion.begin(np.zeros(2), np.eye(3), 1.0), r"shape \(2, 2\), got \(3, 3\)"),
        (lambda: POINT.predicted(-0.1, 1.0), "dt must be 0 or more, got -0.1"),
        (lambda: POINT.predicted(np.nan, 1.0), "dt must be 0 or more, got nan"),
        (lambda: POINT.predicted(0.1, -1.0), "density must be 0 or more, got -1.0"),
        (lambda: POINT.updated(np.zeros(3), np.eye(2), True), r"measurement must have shape \(2,"),
        (lambda: POINT.distance(np.zeros(2), np.eye(3)), r"covariance must have shape \(2, 2\)"),
    ],
)
def test_errors_name_what_is_wrong(wrong: object, words: str) -> None:
    assert callable(wrong)
    with pytest.raises(ValueError, match=words):
        wrong()


POINT = Motion.begin(np.zeros(2), np.eye(2), 1.0)
