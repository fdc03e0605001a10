# SPDX-License-Identifier: Apache-2.0
"""Pictures of an uncertainty report: the scores' reliability, and what the ellipses hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hrnet_pose_ros.coco.evaluation_plots import pyplot
from hrnet_pose_ros.coco.uncertainty_check import Judged
from hrnet_pose_ros.coco.uncertainty_fit import SHARES
from hrnet_pose_ros.coco.uncertainty_report import (
    TOLERATED,
    expected_calibration_error,
    reliability,
)
from hrnet_pose_ros.coco.uncertainty_samples import HIDDEN

COLOURS = ("#bbbbbb", "#3b7dd8", "#b5509c")


def write_uncertainty_plots(folder: Path, title: str, cases: dict[str, Judged]) -> list[Path]:
    """Write ``scores.png`` (reliability) and ``ellipses.png`` (share inside against promised).

    Lines are of labelled joints; of the last case the hidden joints' as well, and under its scores
    the distribution of those of the joints that nobody could label.
    """
    plt = pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        (name, told.select(told.samples.labelled), colour, "-")
        for (name, told), colour in zip(cases.items(), COLOURS, strict=False)
    ]
    name, last, colour, _ = lines[-1]
    hidden = last.select(last.samples.visibility == HIDDEN)
    if len(hidden.samples):
        lines.append((f"{name}, hidden joints", hidden, colour, "--"))

    figure, axes = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    for label, told, colour, style in lines:
        mean, share, n = np.array(reliability(told.scores, told.samples.found)).T
        ece = expected_calibration_error(told.scores, told.samples.found)
        axes.plot(mean, share, "o", linestyle=style, color=colour, label=f"{label}: ECE {ece:.3f}")
        axes.scatter(mean, share, 900 * n / n.sum(), color=colour, alpha=0.3)
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
            label="share of the joints without label",
        )
    axes.set(xlabel="score", ylabel="share found (OKS term 0.5)", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(title)
    axes.legend(fontsize="small")
    figure.savefig(folder / "scores.png", dpi=110)
    plt.close(figure)

    promised = np.linspace(0, 0.995, 200)
    figure, axes = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    for label, told, colour, style in lines:
        squared = np.sort(told.squared)
        inside = np.searchsorted(squared, -2 * np.log1p(-promised)) / len(squared)
        axes.plot(promised, inside, linestyle=style, color=colour, label=label)
    axes.errorbar(SHARES, SHARES, yerr=TOLERATED, fmt="none", color="black", capsize=4)
    axes.set(xlabel="ellipse", ylabel="share of labelled joints inside", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(title)
    axes.legend(fontsize="small")
    figure.savefig(folder / "ellipses.png", dpi=110)
    plt.close(figure)
    return [folder / "scores.png", folder / "ellipses.png"]
