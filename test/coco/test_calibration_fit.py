# SPDX-License-Identifier: Apache-2.0
"""The fit, on errors drawn from known distributions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hrnet_pose_ros.coco.calibration_fit import LEAST_SAMPLES, Samples, fit_calibration
from hrnet_pose_ros.coco.calibration_report import (
    calibrated_distances,
    calibration_report,
    expected_calibration_error,
    reliability,
)
from hrnet_pose_ros.pose.calibration import Calibration
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import JOINTS, MIRRORED

HEATMAP = np.where(np.arange(JOINTS) < 5, 0.05, 0.3)
BOX = np.where(np.arange(JOINTS) < 5, 2e-4, 1e-3)


def spread(peaks: np.ndarray) -> np.ndarray:
    """Of key points with a low peak the covariance is up to 8 times as large."""
    return np.exp(np.log(8) * (1 - peaks))


def drawn(count: int, seed: int, tails: float = 0.0) -> Samples:
    """Errors from the calibrated covariance itself; a share ``tails`` of them 10 times as far."""
    rng = np.random.default_rng(seed)
    joints = rng.integers(0, JOINTS, count)
    peaks = rng.uniform(0.1, 1.0, count)
    areas = np.exp(rng.uniform(np.log(2e3), np.log(1e5), count))
    roots = rng.normal(0, 1, (count, 2, 2)) * np.sqrt(areas / 2000)[:, None, None]
    covariances = roots @ roots.swapaxes(1, 2) + (0.1 * areas / 2000)[:, None, None] * np.eye(2)
    true = HEATMAP[joints][:, None, None] * covariances
    true[:, [0, 1], [0, 1]] += (BOX[joints] * areas)[:, None]
    true *= spread(peaks)[:, None, None]
    errors = np.einsum("mij,mj->mi", np.linalg.cholesky(true), rng.normal(0, 1, (count, 2)))
    errors[rng.random(count) < tails] *= 10
    likely = 1 / (1 + np.exp(-6 * (peaks - 0.5) - np.where(joints < 5, 1.0, 0.0)))
    return Samples(
        errors, covariances, peaks, joints, areas, np.arange(count), rng.random(count) < likely
    )


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    return fit_calibration(drawn(10_200, 0), "drawn")


def test_known_parameters_come_back(fitted: Calibration) -> None:
    """Only products matter: spread times a factor, so they are compared at one peak.

    10 % for what 1200 errors a pair leave undecided and the grid of ratios (1.6 a step) rounds.
    """
    at = fitted.spread_of(np.array(0.55))
    poses = np.array([[30.0, 5.0], [5.0, 12.0]])
    for joint in range(JOINTS):
        found = at * (
            fitted.heatmap_factors[joint] * poses + fitted.box_factors[joint] * 2e4 * np.eye(2)
        )
        true = spread(np.array(0.55)) * (HEATMAP[joint] * poses + BOX[joint] * 2e4 * np.eye(2))
        np.testing.assert_allclose(found, true, rtol=0.1, atol=0.1 * np.trace(true))
    ratio = fitted.spread_of(np.array(0.2)) / fitted.spread_of(np.array(0.9))
    assert ratio == pytest.approx(spread(np.array(0.2)) / spread(np.array(0.9)), rel=0.2)


def test_gaussian_errors_are_covered_as_promised(fitted: Calibration) -> None:
    """On other draws, overall and for each joint; 3 standard errors for chance."""
    report = calibration_report(drawn(10_200, 1), fitted)
    assert report["inside"]["50"] == pytest.approx(0.5, abs=0.015)
    assert report["inside"]["90"] == pytest.approx(0.9, abs=0.01)
    for joint in report["joints"].values():
        for share in ("50", "90"):
            chance = 3 * joint["standard_error"][share]
            assert joint["inside"][share] == pytest.approx(int(share) / 100, abs=0.01 + chance)
    assert report["ece"] < 0.02
    for joint in report["joints"].values():
        assert joint["mean_score"] == pytest.approx(joint["found"], abs=0.06)


def test_heavy_tails_do_not_inflate(fitted: Calibration) -> None:
    """A tenth of the errors are 10 times as far: no ellipse holds both shares, both are near."""
    tailed = fit_calibration(drawn(10_200, 0, tails=0.1), "tailed")
    inside = calibration_report(drawn(10_200, 1, tails=0.1), tailed)["inside"]
    assert 0.5 <= inside["50"] <= 0.6
    assert 0.82 <= inside["90"] <= 0.9
    grown = np.array(tailed.heatmap_factors) / np.array(fitted.heatmap_factors)
    assert np.median(grown[np.isfinite(grown)]) < 2  # 1 + 0.1·(100 - 1) = 11 by second moments


def test_left_and_right_share_factors(fitted: Calibration) -> None:
    for values in (fitted.heatmap_factors, fitted.box_factors, fitted.probability_shifts):
        assert [values[joint] for joint in MIRRORED] == list(values)


def test_a_rare_joint_takes_the_others_factors() -> None:
    samples = drawn(3000, 2)
    without = fit_calibration(samples.select(~np.isin(samples.joints, (15, 16))), "no ankles")
    assert without.heatmap_factors[15] + without.box_factors[15] > 0
    assert without.probability_shifts[15] == 0


def test_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at least {LEAST_SAMPLES} labelled joints, there are 50"):
        fit_calibration(drawn(50, 0), "few")
    fit_calibration(drawn(LEAST_SAMPLES, 0), "just enough")


def test_equal_peaks_are_no_obstacle() -> None:
    samples = drawn(1000, 3)
    flat = fit_calibration(replace(samples, peaks=np.full(1000, 0.5)), "flat")
    assert len(flat.spread) == 1


def test_the_fit_measures_what_engines_apply(fitted: Calibration) -> None:
    """The same Mahalanobis distances through `Calibration.apply`, person by person."""
    samples = drawn(JOINTS, 4)
    samples = replace(samples, joints=np.arange(JOINTS), box_areas=np.full(JOINTS, 6000.0))
    poses = Poses(
        keypoints=samples.errors[None].astype(np.float32),
        scores=samples.peaks[None].astype(np.float32),
        covariances=samples.covariances[None].astype(np.float32),
        valid=np.ones((1, JOINTS), bool),
    )
    applied = fitted.apply(poses, np.array([[5.0, 5, 60, 100]], np.float32))
    inverse = np.linalg.inv(applied.covariances[0].astype(np.float64))
    squared = np.einsum("mi,mij,mj->m", samples.errors, inverse, samples.errors)
    np.testing.assert_allclose(squared, calibrated_distances(samples, fitted), rtol=1e-4)


@pytest.mark.parametrize(
    ("scores", "found", "ece"),
    [
        ([0.25] * 4, [1, 0, 0, 0], 0.0),
        ([0.95] * 4, [1, 1, 1, 0], 0.2),
        ([0.25] * 4 + [0.95] * 4, [1, 0, 0, 0, 1, 1, 1, 0], 0.1),
        ([1.0, 0.0], [1, 0], 0.0),  # the ends belong to bins
    ],
)
def test_expected_calibration_error(scores: list[float], found: list[int], ece: float) -> None:
    value = expected_calibration_error(np.array(scores), np.array(found, bool))
    assert value == pytest.approx(ece, abs=1e-12)
    assert sum(n for *_, n in reliability(np.array(scores), np.array(found, bool))) == len(scores)
