# SPDX-License-Identifier: Apache-2.0
"""Plots of the report: errors over the distance, and consistency by scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.fusion_report.tables import DISTANCE_BINS

COLOURS = ("#1f77b4", "#17becf", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#222222")


def write_plots(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> list[Path]:
    """Write ``position.png`` and ``consistency.png``; ImportError without matplotlib."""
    written = [folder / "position.png", folder / "consistency.png"]
    _position(written[0], tables["position"])
    _consistency(written[1], tables["consistency"])
    return written


def _position(path: Path, rows: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    scenes = [one for one in ("upright", "mixed_ages") if any(r["scene"] == one for r in rows)]
    scenes = scenes or [rows[0]["scene"]]
    figure = Figure(figsize=(6 * len(scenes), 4.5), layout="constrained")
    for axes, scene in zip(figure.subplots(1, len(scenes), squeeze=False)[0], scenes, strict=True):
        sets = dict.fromkeys(row["sensors"] for row in rows)
        for colour, sensors in zip(COLOURS, sets, strict=False):
            some = [
                row
                for row in rows
                if (row["scene"], row["sensors"]) == (scene, sensors)
                and (row["from"], row["to"]) in DISTANCE_BINS
                and row["count"]
            ]
            middle = [(row["from"] + row["to"]) / 2 for row in some]
            axes.plot(middle, [row["p95"] for row in some], "o-", color=colour, ms=4, label=sensors)
            axes.plot(middle, [row["p50"] for row in some], ":", color=colour, lw=1)
        axes.set_yscale("log")
        axes.set_title(f"{scene}: error of the position, p95 (dotted: p50)", fontsize=10)
        axes.set_xlabel("distance, m")
        axes.set_ylabel("m")
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=120)


def _consistency(path: Path, rows: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    scenes = list(dict.fromkeys(row["scene"] for row in rows))
    sets = list(dict.fromkeys(row["sensors"] for row in rows))
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    wide = 0.8 / len(sets)
    for k, (colour, sensors) in enumerate(zip(COLOURS, sets, strict=False)):
        values = {row["scene"]: row["within_95"] for row in rows if row["sensors"] == sensors}
        heights = [100 * (values.get(scene) or 0.0) for scene in scenes]
        axes.bar(np.arange(len(scenes)) + wide * k, heights, wide, color=colour, label=sensors)
    axes.axhline(95, color="#cc0000", lw=1, ls=":")
    axes.set_xticks(np.arange(len(scenes)) + 0.4 - wide / 2, scenes, fontsize=8, rotation=20)
    axes.set_ylabel("estimates within their 95 % ellipse, %")
    axes.set_ylim(50, 100)
    axes.legend(fontsize=8, ncols=len(sets), loc="lower left")
    with replacing(path) as partial:
        figure.savefig(partial, dpi=120)
