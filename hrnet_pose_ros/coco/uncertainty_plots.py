# SPDX-License-Identifier: Apache-2.0
"""Plots of an uncertainty report: reliability of the scores and coverage of the ellipses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hrnet_pose_ros.coco.evaluation_plots import pyplot
from hrnet_pose_ros.coco.uncertainty_check import ScoredSamples
from hrnet_pose_ros.coco.uncertainty_fit import COVERAGES
from hrnet_pose_ros.coco.uncertainty_report import (
    COVERAGE_TOLERANCES,
    expected_calibration_error,
    reliability,
)
from hrnet_pose_ros.coco.uncertainty_samples import HIDDEN
from hrnet_pose_ros.files import replacing

COLOURS = ("#bbbbbb", "#3b7dd8", "#b5509c")


def write_uncertainty_plots(
    folder: Path, title: str, cases: dict[str, ScoredSamples]
) -> list[Path]:
    """Write ``scores.png`` (reliability) and ``ellipses.png`` (actual against nominal coverage).

    Curves are of labelled joints. The last case also has a curve of the hidden joints and a
    histogram of the scores of joints without a label.
    """
    plt = pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        (name, scored.select(scored.samples.labelled), colour, "-")
        for (name, scored), colour in zip(cases.items(), COLOURS, strict=False)
    ]
    name, last, colour, _ = lines[-1]
    hidden = last.select(last.samples.visibility == HIDDEN)
    if len(hidden.samples):
        lines.append((f"{name}, hidden joints", hidden, colour, "--"))

    figure, axes = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    for label, scored, colour, style in lines:
        mean, fraction, n = np.array(reliability(scored.scores, scored.samples.found)).T
        ece = expected_calibration_error(scored.scores, scored.samples.found)
        axes.plot(
            mean, fraction, "o", linestyle=style, color=colour, label=f"{label}: ECE {ece:.3f}"
        )
        axes.scatter(mean, fraction, 900 * n / n.sum(), color=colour, alpha=0.3)
    unlabelled = list(cases.values())[-1]
    scores = unlabelled.scores[unlabelled.samples.visibility == 0]
    if len(scores):
        weights = np.full(len(scores), 1 / len(scores))
        axes.hist(
            scores,
            np.linspace(0, 1, 21),
            weights=weights,
            color="#e8a33d",
            alpha=0.5,
            label="fraction of the joints without a label",
        )
    axes.set(xlabel="score", ylabel="fraction found (OKS term 0.5)", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(title)
    axes.legend(fontsize="small")
    with replacing(folder / "scores.png") as partial:
        figure.savefig(partial, dpi=110)
    plt.close(figure)

    nominal = np.linspace(0, 0.995, 200)
    figure, axes = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    for label, scored, colour, style in lines:
        squared = np.sort(scored.squared)
        inside = np.searchsorted(squared, -2 * np.log1p(-nominal)) / len(squared)
        axes.plot(nominal, inside, linestyle=style, color=colour, label=label)
    axes.errorbar(
        COVERAGES, COVERAGES, yerr=COVERAGE_TOLERANCES, fmt="none", color="black", capsize=4
    )
    axes.set(
        xlabel="nominal coverage of the ellipse",
        ylabel="fraction of labelled joints inside",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.set_title(title)
    axes.legend(fontsize="small")
    with replacing(folder / "ellipses.png") as partial:
        figure.savefig(partial, dpi=110)
    plt.close(figure)
    return [folder / "scores.png", folder / "ellipses.png"]
