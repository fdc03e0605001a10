# SPDX-License-Identifier: Apache-2.0
"""Statistics of how well covariances and scores are calibrated, as data and as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.coco.uncertainty_check import ScoredSamples
from hrnet_pose_ros.coco.uncertainty_fit import COVERAGES, LIMITS
from hrnet_pose_ros.coco.uncertainty_samples import HIDDEN, VISIBLE

# Tolerances on the coverage of the 50 % and the 90 % ellipse, and limits on the expected
# calibration error of all labelled joints and of the hidden ones.
COVERAGE_TOLERANCES = (0.04, 0.03)
MAX_ECE = 0.02
MAX_HIDDEN_ECE = 0.06

# Bins of the reliability diagram; ECE is the weighted mean over them of |mean score - fraction
# found|.
SCORE_BINS = 10
# Shares of squared Mahalanobis distances that are reported, for gating.
QUANTILES = (0.5, 0.9, 0.95, 0.99)
# COCO's person size classes, by the square root of the area, px.
SIZES = {"small": (0.0, 32.0), "medium": (32.0, 96.0), "large": (96.0, np.inf)}
LEVELS = 6
HALF = 0.5  # joints that cannot be seen should score below this


def expected_calibration_error(scores: np.ndarray, found: np.ndarray) -> float:
    """ECE over `SCORE_BINS` equal bins of scores ``[M]`` in [0, 1]; found is bool ``[M]``."""
    rows = reliability(scores, found)
    return float(sum(n * abs(mean - fraction) for mean, fraction, n in rows) / max(len(scores), 1))


def reliability(scores: np.ndarray, found: np.ndarray) -> list[tuple[float, float, int]]:
    """Mean score, fraction found and number of samples of each non-empty bin."""
    places = np.minimum((scores * SCORE_BINS).astype(int), SCORE_BINS - 1)
    return [
        (float(scores[places == b].mean()), float(found[places == b].mean()), int(n))
        for b, n in enumerate(np.bincount(places, minlength=SCORE_BINS))
        if n
    ]


def uncertainty_report(scored: ScoredSamples) -> dict[str, Any]:
    """Coverage of the ellipses, reliability of the scores, and quantiles.

    ``all`` describes all labelled joints, ``hidden`` and ``visible`` those labelled as such,
    ``edge`` those of persons cut off by the image border; ``sizes`` groups them by COCO's size
    classes, ``joints`` by joint, ``levels`` by sixths of the score. Each contains ``samples``,
    ``inside`` by nominal coverage (``"50"``, ``"90"``) with its ``standard_error``,
    ``mean_score``, ``found`` (fraction) and ``ece``. ``unlabelled`` describes the joints without a
    label: all of them, those that count as absent (uncertainty_samples.py), and those of persons
    at the image border, with their mean score and the fraction above 0.5. ``quantiles`` are those
    of the squared Mahalanobis distance.
    """
    samples = scored.samples
    labelled = scored.select(samples.labelled)
    of = labelled.samples
    sides = np.sqrt(of.person_areas)
    order = np.argsort(labelled.scores, kind="stable")
    without = samples.visibility == 0
    return {
        "all": _group(labelled),
        "visible": _group(labelled.select(of.visibility == VISIBLE)),
        "hidden": _group(labelled.select(of.visibility == HIDDEN)),
        "edge": _group(labelled.select(of.at_edge)),
        "sizes": {
            name: _group(labelled.select((sides >= low) & (sides < high)))
            for name, (low, high) in SIZES.items()
        },
        "joints": {
            name: _group(labelled.select(of.joints == joint))
            for joint, name in enumerate(of.skeleton.joint_names)
        },
        "levels": [_group(labelled.select(part)) for part in np.array_split(order, LEVELS)],
        "unlabelled": {
            "all": _unlabelled(scored.scores[without]),
            "absent": _unlabelled(scored.scores[samples.absent]),
            "edge": _unlabelled(scored.scores[without & samples.at_edge]),
        },
        "quantiles": {
            f"{100 * q:g}": float(np.quantile(labelled.squared, q)) if len(of) else None
            for q in QUANTILES
        },
    }


def _group(part: ScoredSamples) -> dict[str, Any]:
    n = len(part.samples)
    if not n:
        return {"samples": 0}
    found = part.samples.found
    fractions = [float((part.squared <= limit).mean()) for limit in LIMITS]
    return {
        "samples": n,
        "inside": {f"{100 * t:g}": s for t, s in zip(COVERAGES, fractions, strict=True)},
        "standard_error": {f"{100 * t:g}": float(np.sqrt(t * (1 - t) / n)) for t in COVERAGES},
        "mean_score": float(part.scores.mean()),
        "found": float(found.mean()),
        "ece": expected_calibration_error(part.scores, found),
    }


def _unlabelled(scores: np.ndarray) -> dict[str, Any]:
    n = len(scores)
    if not n:
        return {"samples": 0}
    return {
        "samples": n,
        "mean_score": float(scores.mean()),
        "above_half": float((scores > HALF).mean()),
    }


def report_lines(columns: dict[str, dict[str, Any]]) -> list[str]:
    """The lines of a table that compares reports by name (``{"as decoded": …, "shipped": …}``).

    The last report is also broken down by group and by joint.
    """
    last = list(columns.values())[-1]
    head = f"  {'labelled joints':<22}{'inside 50 %':>12}{'inside 90 %':>12}{'joints':>8}"
    lines = [head + f"{'score':>8}{'found':>8}{'ECE':>8}"]
    for name, report in columns.items():
        lines.append(_row(name, report["all"], COVERAGE_TOLERANCES, MAX_ECE))
        lines.append(_row("  hidden", report["hidden"], None, MAX_HIDDEN_ECE))
    lines.append(f"  {list(columns)[-1]}, by group:")
    lines += [_row(f"  {name}", last[name]) for name in ("visible", "edge")]
    lines += [_row(f"  {name} persons", part) for name, part in last["sizes"].items()]
    lines += [_row(f"  {name}", part) for name, part in last["joints"].items()]
    lines += [_row(f"  scores, {n}/{LEVELS}", part) for n, part in enumerate(last["levels"], 1)]
    lines.append(
        "  * outside 50 ± 4 or 90 ± 3 %, or the expected calibration error (ECE) exceeds "
        f"{MAX_ECE:g} ({MAX_HIDDEN_ECE:g} for hidden joints)"
    )
    lines.append(
        f"  {'joints without a label':<22}{'above 0.5':>12}{'mean score':>12}{'joints':>8}"
    )
    for name, report in columns.items():
        for kind, words in (("all", name), ("absent", "  absent"), ("edge", "  at the border")):
            part = report["unlabelled"][kind]
            lines.append(
                f"  {words:<22}"
                + (
                    f"{100 * part['above_half']:>10.1f} %{part['mean_score']:>12.2f}"
                    if part["samples"]
                    else f"{'':>24}"
                )
                + f"{part['samples']:>8}"
            )
    if last["all"]["samples"]:
        quantiles = ", ".join(f"{q} % {value:.2f}" for q, value in last["quantiles"].items())
        lines.append(
            f"  squared Mahalanobis distance, quantiles: {quantiles} "
            "(of a Gaussian: 1.39, 4.61, 5.99, 9.21)"
        )
    return lines


def _row(
    name: str,
    part: dict[str, Any],
    tolerated: tuple[float, ...] | None = None,
    max_ece: float | None = None,
) -> str:
    if not part["samples"]:
        return f"  {name:<22}{'none':>12}"
    row = f"  {name:<22}"
    for number, (fraction, inside) in enumerate(
        zip(COVERAGES, part["inside"].values(), strict=True)
    ):
        off = tolerated is not None and abs(inside - fraction) > tolerated[number]
        row += f"{100 * inside:>11.1f}" + ("*" if off else " ")
    row += f"{part['samples']:>8}{part['mean_score']:>8.2f}{part['found']:>8.2f}{part['ece']:>8.3f}"
    return row + ("*" if max_ece is not None and part["ece"] > max_ece else "")
