# SPDX-License-Identifier: Apache-2.0
"""Do covariances and scores hold what they promise? Figures of judged samples, and in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.coco.uncertainty_check import Judged
from hrnet_pose_ros.coco.uncertainty_fit import LIMITS, SHARES
from hrnet_pose_ros.coco.uncertainty_samples import HIDDEN, VISIBLE
from hrnet_pose_ros.skeleton import JOINT_NAMES

# How far the shares inside the 50 % and the 90 % ellipse may be off, and what the expected
# calibration error may be, of all labelled joints and of the hidden ones.
TOLERATED = (0.04, 0.03)
MOST_ECE = 0.02
MOST_HIDDEN_ECE = 0.06

# Of the scores' reliability; ECE is the mean over them of |mean score - share found|, weighted.
SCORE_BINS = 10
# Shares of squared Mahalanobis distances that are told, for gates.
QUANTILES = (0.5, 0.9, 0.95, 0.99)
# COCO's sizes of persons, by the root of their area, px.
SIZES = {"small": (0.0, 32.0), "medium": (32.0, 96.0), "large": (96.0, np.inf)}
LEVELS = 6
HALF = 0.5  # the score that a joint nobody can see should stay below


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


def uncertainty_report(told: Judged) -> dict[str, Any]:
    """Shares inside the ellipses, scores against what was found, and quantiles.

    ``all`` is of the labelled joints, ``hidden`` and ``visible`` of those labelled so, ``edge`` of
    persons that are cut by a side of the image, ``sizes`` by COCO's classes, ``joints`` by joint,
    ``levels`` by sixths of the score. Each holds ``samples``, ``inside`` by share (``"50"``,
    ``"90"``), their ``standard_error`` (how far chance may put them off), ``mean_score``,
    ``found`` and ``ece``. ``unlabelled`` is of the joints without a label: all of them, those that
    count as absent (uncertainty_samples.py), and those of persons at the edge, with their mean
    score and the share above 0.5. ``quantiles`` are of the squared Mahalanobis distance.
    """
    samples = told.samples
    labelled = told.select(samples.labelled)
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
            for joint, name in enumerate(JOINT_NAMES)
        },
        "levels": [_group(labelled.select(part)) for part in np.array_split(order, LEVELS)],
        "unlabelled": {
            "all": _unlabelled(told.scores[without]),
            "absent": _unlabelled(told.scores[samples.absent]),
            "edge": _unlabelled(told.scores[without & samples.at_edge]),
        },
        "quantiles": {
            f"{100 * q:g}": float(np.quantile(labelled.squared, q)) if len(of) else None
            for q in QUANTILES
        },
    }


def _group(part: Judged) -> dict[str, Any]:
    n = len(part.samples)
    if not n:
        return {"samples": 0}
    found = part.samples.found
    shares = [float((part.squared <= limit).mean()) for limit in LIMITS]
    return {
        "samples": n,
        "inside": {f"{100 * t:g}": s for t, s in zip(SHARES, shares, strict=True)},
        "standard_error": {f"{100 * t:g}": float(np.sqrt(t * (1 - t) / n)) for t in SHARES},
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


def in_words(columns: dict[str, dict[str, Any]]) -> list[str]:
    """Lines of a table for reports by what they are of (``{"as decoded": …, "shipped": …}``).

    The last of them is told in full, by group and by joint.
    """
    last = list(columns.values())[-1]
    head = f"  {'labelled joints':<22}{'inside 50 %':>12}{'inside 90 %':>12}{'joints':>8}"
    lines = [head + f"{'score':>8}{'found':>8}{'ECE':>8}"]
    for name, report in columns.items():
        lines.append(_row(name, report["all"], TOLERATED, MOST_ECE))
        lines.append(_row("  hidden", report["hidden"], None, MOST_HIDDEN_ECE))
    lines.append(f"  {list(columns)[-1]}, by kind:")
    lines += [_row(f"  {name}", last[name]) for name in ("visible", "edge")]
    lines += [_row(f"  {name} persons", part) for name, part in last["sizes"].items()]
    lines += [_row(f"  {name}", part) for name, part in last["joints"].items()]
    lines += [_row(f"  scores, {n}/{LEVELS}", part) for n, part in enumerate(last["levels"], 1)]
    lines.append(
        "  * not within 50 ± 4 and 90 ± 3 %, or the expected calibration error (ECE) is above "
        f"{MOST_ECE:g}, of hidden joints {MOST_HIDDEN_ECE:g}"
    )
    lines.append(f"  {'joints without label':<22}{'above 0.5':>12}{'mean score':>12}{'joints':>8}")
    for name, report in columns.items():
        for kind, words in (("all", name), ("absent", "  absent"), ("edge", "  at the edge")):
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
            "(of a Gaussian 1.39, 4.61, 5.99, 9.21)"
        )
    return lines


def _row(
    name: str,
    part: dict[str, Any],
    tolerated: tuple[float, ...] | None = None,
    most_ece: float | None = None,
) -> str:
    if not part["samples"]:
        return f"  {name:<22}{'none':>12}"
    row = f"  {name:<22}"
    for number, (share, inside) in enumerate(zip(SHARES, part["inside"].values(), strict=True)):
        off = tolerated is not None and abs(inside - share) > tolerated[number]
        row += f"{100 * inside:>11.1f}" + ("*" if off else " ")
    row += f"{part['samples']:>8}{part['mean_score']:>8.2f}{part['found']:>8.2f}{part['ece']:>8.3f}"
    return row + ("*" if most_ece is not None and part["ece"] > most_ece else "")
