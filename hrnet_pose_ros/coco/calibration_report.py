# SPDX-License-Identifier: Apache-2.0
"""Does a calibration hold on persons that it was not fitted on?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.coco.calibration_fit import (
    LIMITS,
    SHARES,
    TOLERATED,
    Samples,
    squared_distances,
)
from hrnet_pose_ros.pose.calibration import Calibration
from hrnet_pose_ros.skeleton import JOINT_NAMES, JOINTS

# Of the scores' reliability; ECE is the mean over them of |mean score - share found|, weighted.
SCORE_BINS = 10
MOST_ECE = 0.05
# Shares of squared Mahalanobis distances that are told, for gates.
QUANTILES = (0.5, 0.9, 0.95, 0.99)


def expected_calibration_error(scores: np.ndarray, found: np.ndarray) -> float:
    """ECE over `SCORE_BINS` equal bins of scores ``[M]`` in [0, 1]; found is bool ``[M]``."""
    rows = reliability(scores, found)
    return float(sum(n * abs(mean - share) for mean, share, n in rows) / max(len(scores), 1))


def reliability(scores: np.ndarray, found: np.ndarray) -> list[tuple[float, float, int]]:
    """Mean score, share found and number of samples of each bin that is not empty."""
    places = np.minimum((scores * SCORE_BINS).astype(int), SCORE_BINS - 1)
    return [
        (float(scores[places == b].mean()), float(found[places == b].mean()), int(n))
        for b, n in enumerate(np.bincount(places, minlength=SCORE_BINS))
        if n
    ]


def calibrated_distances(samples: Samples, calibration: Calibration | None) -> np.ndarray:
    """Squared Mahalanobis distances ``[M]``; without calibration those of the heatmaps."""
    if calibration is None:
        ones = np.ones(JOINTS)
        return squared_distances(samples, ones, 0 * ones, np.ones(len(samples)))
    return squared_distances(
        samples,
        np.array(calibration.heatmap_factors),
        np.array(calibration.box_factors),
        calibration.spread_of(samples.peaks),
    )


def scores_of(samples: Samples, calibration: Calibration | None) -> np.ndarray:
    """Scores ``[M]`` as they are published: probabilities, or clipped peaks."""
    if calibration is None:
        return np.clip(samples.peaks, 0, 1)
    return calibration.probability_of(samples.peaks, samples.joints)


def calibration_report(samples: Samples, calibration: Calibration | None) -> dict[str, Any]:
    """Shares inside the 50 % and 90 % ellipses, ECE, quantiles; overall and by joint.

    ``inside`` is by share (``"50"``, ``"90"``); ``ok`` says whether all of it is within what is
    tolerated: 50 ± 5 and 90 ± 4 percent, ECE below 0.05. By joint, ``standard_error`` says how
    far the two shares may be off by chance.
    """
    squared, scores = calibrated_distances(samples, calibration), scores_of(samples, calibration)
    by_joint = {}
    for joint, name in enumerate(JOINT_NAMES):
        chosen = samples.joints == joint
        by_joint[name] = {
            **_inside(squared[chosen]),
            "mean_score": _mean(scores[chosen]),
            "found": _mean(samples.found[chosen]),
        }
    by_score = [_inside(squared[part]) for part in np.array_split(np.argsort(samples.peaks), 6)]
    overall = _inside(squared)
    ece = expected_calibration_error(scores, samples.found)
    return {
        **overall,
        "ece": ece,
        "ece_ok": ece < MOST_ECE,
        "quantiles": {f"{100 * q:g}": float(np.quantile(squared, q)) for q in QUANTILES},
        "joints": by_joint,
        "peak_sixths": by_score,
    }


def _inside(squared: np.ndarray) -> dict[str, Any]:
    n = len(squared)
    if not n:
        return {"samples": 0, "inside": None, "standard_error": None, "ok": None}
    shares = [float((squared <= limit).mean()) for limit in LIMITS]
    near = [abs(s - t) <= d for s, t, d in zip(shares, SHARES, TOLERATED, strict=True)]
    return {
        "samples": n,
        "inside": {f"{100 * t:g}": s for t, s in zip(SHARES, shares, strict=True)},
        "standard_error": {f"{100 * t:g}": float(np.sqrt(t * (1 - t) / n)) for t in SHARES},
        "ok": all(near),
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def write_calibration_plots(
    folder: Path, title: str, samples: Samples, calibration: Calibration
) -> list[Path]:
    """Write ``scores.png`` (reliability) and ``ellipses.png`` (share inside against promised)."""
    from hrnet_pose_ros.coco.evaluation_plots import pyplot

    plt = pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    cases = (("as decoded", None, "#bbbbbb"), ("calibrated", calibration, "#3b7dd8"))

    figure, axes = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    for label, used, colour in cases:
        scores = scores_of(samples, used)
        mean, share, n = np.array(reliability(scores, samples.found)).T
        ece = expected_calibration_error(scores, samples.found)
        axes.plot(mean, share, "-o", color=colour, label=f"{label}: ECE {ece:.3f}")
        axes.scatter(mean, share, 900 * n / n.sum(), color=colour, alpha=0.3)
    axes.set(xlabel="score", ylabel="share found (OKS term 0.5)", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(title)
    axes.legend()
    figure.savefig(folder / "scores.png", dpi=110)
    plt.close(figure)

    promised = np.linspace(0, 0.995, 200)
    figure, axes = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    for label, used, colour in cases:
        squared = np.sort(calibrated_distances(samples, used))
        inside = np.searchsorted(squared, -2 * np.log1p(-promised)) / len(squared)
        axes.plot(promised, inside, color=colour, label=label)
    axes.errorbar(SHARES, SHARES, yerr=TOLERATED, fmt="none", color="black", capsize=4)
    axes.set(xlabel="ellipse", ylabel="share of labelled joints inside", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(title)
    axes.legend()
    figure.savefig(folder / "ellipses.png", dpi=110)
    plt.close(figure)
    return [folder / "scores.png", folder / "ellipses.png"]
