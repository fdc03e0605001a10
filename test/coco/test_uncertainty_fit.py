# SPDX-License-Identifier: Apache-2.0
"""The fit, on errors drawn from known distributions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hrnet_pose_ros.coco.uncertainty_check import cross_validated, image_folds, score_samples
from hrnet_pose_ros.coco.uncertainty_fit import MIN_SAMPLES, fit_uncertainty
from hrnet_pose_ros.coco.uncertainty_report import (
    expected_calibration_error,
    reliability,
    report_lines,
    uncertainty_report,
)
from hrnet_pose_ros.coco.uncertainty_samples import Samples
from hrnet_pose_ros.pose.evidence import EVIDENCE, evidence_of
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.pose.uncertainty import UncertaintyCalibration
from hrnet_pose_ros.skeleton import COCO17

HEATMAP = np.where(np.arange(COCO17.joints) < 5, 0.05, 0.3)
BOX = np.where(np.arange(COCO17.joints) < 5, 2e-4, 1e-3)


def spread(peaks: np.ndarray) -> np.ndarray:
    """Of key points with a low peak the covariance is up to 8 times as large."""
    return np.exp(np.log(8) * (1 - peaks))


def drawn(count: int, seed: int, tails: float = 0.0) -> Samples:
    """Errors from the calibrated covariance; a fraction ``tails`` of them is 10 times as large."""
    rng = np.random.default_rng(seed)
    joints = rng.integers(0, COCO17.joints, count)
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
    found = rng.random(count) < likely
    return Samples(
        errors=errors,
        covariances=covariances,
        peaks=peaks,
        evidence=rng.normal(0, 1, (count, len(EVIDENCE))),
        joints=joints,
        image_ids=np.arange(count) // 4,
        box_areas=areas,
        person_areas=areas / 2,
        visibility=np.full(count, 2, np.uint8),
        absent=np.zeros(count, bool),
        at_edge=np.zeros(count, bool),
        found=found,
    )


@pytest.fixture(scope="module")
def fitted() -> UncertaintyCalibration:
    return fit_uncertainty(drawn(10_200, 0), "drawn")


def test_known_parameters_come_back(fitted: UncertaintyCalibration) -> None:
    """Only products matter: spread times a factor, so they are compared at one peak.

    10 % for what 1200 errors a pair leave undecided and the grid of ratios (1.6 a step) rounds.
    """
    at = fitted.spread_of(np.array(0.55))
    poses = np.array([[30.0, 5.0], [5.0, 12.0]])
    for joint in range(COCO17.joints):
        found = at * (
            fitted.heatmap_factors[joint] * poses + fitted.box_factors[joint] * 2e4 * np.eye(2)
        )
        true = spread(np.array(0.55)) * (HEATMAP[joint] * poses + BOX[joint] * 2e4 * np.eye(2))
        np.testing.assert_allclose(found, true, rtol=0.1, atol=0.1 * np.trace(true))
    ratio = fitted.spread_of(np.array(0.2)) / fitted.spread_of(np.array(0.9))
    assert ratio == pytest.approx(spread(np.array(0.2)) / spread(np.array(0.9)), rel=0.2)


def test_gaussian_errors_are_covered_as_promised(fitted: UncertaintyCalibration) -> None:
    """On other draws, overall and for each joint; 3 standard errors for chance."""
    report = uncertainty_report(score_samples(drawn(10_200, 1), fitted))
    assert report["all"]["inside"]["50"] == pytest.approx(0.5, abs=0.015)
    assert report["all"]["inside"]["90"] == pytest.approx(0.9, abs=0.01)
    for joint in report["joints"].values():
        for fraction in ("50", "90"):
            chance = 3 * joint["standard_error"][fraction]
            assert joint["inside"][fraction] == pytest.approx(
                int(fraction) / 100, abs=0.01 + chance
            )
    assert report["all"]["ece"] < 0.02
    for joint in report["joints"].values():
        assert joint["mean_score"] == pytest.approx(joint["found"], abs=0.06)


def test_heavy_tails_do_not_inflate(fitted: UncertaintyCalibration) -> None:
    """A tenth of the errors are 10 times as far: no ellipse holds both fractions, and the 90 % one,
    which gates are made of, is the one that is held more closely."""
    tailed = fit_uncertainty(drawn(10_200, 0, tails=0.1), "tailed")
    inside = uncertainty_report(score_samples(drawn(10_200, 1, tails=0.1), tailed))["all"]["inside"]
    assert 0.5 <= inside["50"] <= 0.62
    assert 0.86 <= inside["90"] <= 0.9
    grown = np.array(tailed.heatmap_factors) / np.array(fitted.heatmap_factors)
    assert np.median(grown[np.isfinite(grown)]) < 2  # 1 + 0.1·(100 - 1) = 11 by second moments


def test_left_and_right_share_factors(fitted: UncertaintyCalibration) -> None:
    for values in (fitted.heatmap_factors, fitted.box_factors, fitted.probability_shifts):
        assert [values[joint] for joint in COCO17.mirrored] == list(values)


def test_a_rare_joint_takes_the_others_factors() -> None:
    samples = drawn(3000, 2)
    without = fit_uncertainty(samples.select(~np.isin(samples.joints, (15, 16))), "no ankles")
    assert without.heatmap_factors[15] + without.box_factors[15] > 0
    assert without.probability_shifts[15] == 0


def test_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at least {MIN_SAMPLES} labelled joints, there are 50"):
        fit_uncertainty(drawn(50, 0), "few")
    fit_uncertainty(drawn(MIN_SAMPLES, 0), "just enough")


def test_equal_peaks_are_no_obstacle() -> None:
    samples = drawn(1000, 3)
    flat = fit_uncertainty(replace(samples, peaks=np.full(1000, 0.5)), "flat")
    assert len(flat.spread) == 1


def test_the_fit_measures_what_engines_apply() -> None:
    """The same Mahalanobis distances and scores through `UncertaintyCalibration.apply`."""
    weights = (-0.1, 0.5, 0.2, -0.2, -1.0, -0.3)
    calibration = replace(fit_uncertainty(drawn(3000, 5), ""), evidence_weights=weights)
    samples = drawn(COCO17.joints, 4)
    samples = replace(
        samples, joints=np.arange(COCO17.joints), box_areas=np.full(COCO17.joints, 6000.0)
    )
    poses = Poses(
        keypoints=(samples.errors[None] + (35, 55)).astype(np.float32),
        scores=samples.peaks[None].astype(np.float32),
        covariances=samples.covariances[None].astype(np.float32),
        valid=np.ones((1, COCO17.joints), bool),
    )
    box, image = np.array([[5.0, 5, 60, 100]], np.float32), (640, 480)
    samples = replace(samples, evidence=evidence_of(poses, box, np.array(image))[:, 0].T)
    applied = calibration.apply(poses, box, image)
    inverse = np.linalg.inv(applied.covariances[0].astype(np.float64))
    squared = np.einsum("mi,mij,mj->m", samples.errors, inverse, samples.errors)
    scored = score_samples(samples, calibration)
    np.testing.assert_allclose(squared, scored.squared, rtol=1e-4)
    np.testing.assert_allclose(applied.scores[0], scored.scores, rtol=1e-5)


def with_signs(count: int, seed: int) -> Samples:
    """Samples of which evidence tells: its first piece adds to the log odds of being found, and
    one joint in four is hidden, one in four absent, both at lower values of it.

    What is not found lies 5 times as far.
    """
    rng = np.random.default_rng(seed + 100)
    samples = drawn(count, seed)
    kinds = rng.choice([2, 1, 0], count, p=[0.5, 0.25, 0.25]).astype(np.uint8)
    sign = rng.normal(0, 1, count) + np.select([kinds == 2, kinds == 1], [0.5, -0.5], -2.0)
    odds = 5 * (samples.peaks - 0.5) + 1.5 * sign + 0.5
    labelled = kinds > 0
    found = labelled & (rng.random(count) < 1 / (1 + np.exp(-odds)))
    errors = samples.errors * np.where(found, 1, 5)[:, None] * labelled[:, None]
    evidence = np.column_stack([sign, samples.evidence[:, 1:]])
    return replace(
        samples,
        errors=errors,
        evidence=evidence,
        visibility=kinds,
        absent=~labelled,
        at_edge=~labelled,
        found=found,
    )


@pytest.fixture(scope="module")
def fitted_with_evidence() -> UncertaintyCalibration:
    return fit_uncertainty(with_signs(12_000, 0), "")


def test_evidence_is_weighed_by_what_it_tells(fitted_with_evidence: UncertaintyCalibration) -> None:
    """Log odds 1.5 for a unit of it where the peak has 5: 0.3 of a peak, more by the absent."""
    weights = fitted_with_evidence.evidence_weights
    assert 0.3 <= weights[0] <= 0.6
    np.testing.assert_allclose(weights[1:], 0, atol=0.03)


def test_scores_of_hidden_and_absent_joints(fitted_with_evidence: UncertaintyCalibration) -> None:
    """On other draws: right of hidden joints as of visible ones, low of absent ones; a fit without
    the evidence is worse at both."""
    samples, others = with_signs(12_000, 0), with_signs(12_000, 1)
    blind = [replace(one, evidence=np.zeros((12_000, 6))) for one in (samples, others)]
    with_evidence = uncertainty_report(score_samples(others, fitted_with_evidence))
    without = uncertainty_report(score_samples(blind[1], fit_uncertainty(blind[0], "")))
    assert with_evidence["all"]["ece"] < 0.03
    assert with_evidence["hidden"]["ece"] < 0.05 < without["hidden"]["ece"]
    for kind in ("all", "absent", "edge"):
        absent = with_evidence["unlabelled"][kind]
        assert absent["samples"] == (others.visibility == 0).sum()
        assert absent["above_half"] < 0.15
        assert absent["above_half"] < without["unlabelled"][kind]["above_half"] / 3


def test_cross_validation_tells_what_a_fit_holds_elsewhere() -> None:
    """Of 4000 samples, against a fit of all of them on 12 000 others."""
    samples = with_signs(4000, 2)
    scored = uncertainty_report(cross_validated(samples))
    elsewhere = uncertainty_report(
        score_samples(with_signs(12_000, 3), fit_uncertainty(samples, ""))
    )
    for name in ("all", "hidden"):
        assert scored[name]["mean_score"] == pytest.approx(elsewhere[name]["mean_score"], abs=0.04)
        for fraction in ("50", "90"):
            inside = elsewhere[name]["inside"][fraction]
            chance = 4 * scored[name]["standard_error"][fraction]
            assert scored[name]["inside"][fraction] == pytest.approx(inside, abs=0.01 + chance)


def test_an_image_is_on_one_side() -> None:
    """And neighbouring images, of a video, are in the same part."""
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(100) * 7, 3))
    parts = image_folds(ids, 5)
    assert [len(set(parts[ids == image])) for image in set(ids.tolist())] == [1] * 100
    np.testing.assert_array_equal(np.sort(parts), parts[np.argsort(ids, kind="stable")])
    assert np.bincount(parts).tolist() == [60] * 5
    assert sorted(set(image_folds(np.array([1, 2, 2]), 5).tolist())) == [0, 1]
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        image_folds(np.array([4, 4]), 5)


def test_too_few_for_a_part_says_so() -> None:
    with pytest.raises(ValueError, match=r"without fold 1: .* at least 200 labelled joints"):
        cross_validated(drawn(220, 0))


def test_the_words() -> None:
    """Stars where an aim is missed, `none` where a group is empty."""
    samples = drawn(2000, 0)
    reports = {"as decoded": score_samples(samples, None), "shipped": score_samples(samples, None)}
    lines = report_lines({name: uncertainty_report(scored) for name, scored in reports.items()})
    (row,) = [line for line in lines if line.startswith("  as decoded") and "*" in line]
    assert row.count("*") == 3  # both fractions and the ECE
    assert any(line.split() == ["hidden", "none"] for line in lines)
    assert any(line.split()[:1] == ["left_wrist"] for line in lines)


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
