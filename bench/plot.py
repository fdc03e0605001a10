# SPDX-License-Identifier: Apache-2.0
"""Plots the time per image against the number of persons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.cpu import CpuRow


def write_plot(rows: Sequence[CpuRow], path: Path) -> None:
    """Write an SVG with a panel for each model; ImportError if matplotlib is not installed."""
    from hrnet_pose_ros.coco.evaluation_plots import pyplot

    plt = pyplot()
    models = list(dict.fromkeys(row.model for row in rows))
    # A fixed salt for element ids: equal plots give equal files.
    with plt.rc_context({"svg.hashsalt": "bench", "font.size": 9}):
        figure, panels = plt.subplots(1, len(models), figsize=(5 * len(models), 3.6), squeeze=False)
        for panel, model in zip(panels[0], models, strict=True):
            mine = [row for row in rows if row.model == model]
            for name in dict.fromkeys(row.contender for row in mine):
                line = [row for row in mine if row.contender == name]
                persons = [row.persons for row in line]
                panel.plot(
                    persons,
                    [row.whole.median for row in line],
                    marker="o",
                    markersize=3,
                    linestyle="--" if line[0].one_by_one else "-",
                    label=name + (", one by one" if line[0].one_by_one else ""),
                )
                panel.fill_between(
                    persons,
                    [row.whole.low for row in line],
                    [row.whole.high for row in line],
                    alpha=0.2,
                )
            panel.set(title=model, xlabel="persons in the image", ylabel="ms per image")
            panel.set_xlim(left=0)
            panel.set_xticks(sorted({row.persons for row in mine}))
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
            panel.legend(fontsize=7)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
