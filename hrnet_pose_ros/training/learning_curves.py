# SPDX-License-Identifier: Apache-2.0
"""Learning curves of a training: a CSV file to which rows are appended, and its plot."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from hrnet_pose_ros.files import replacing

COLUMNS = (
    *("stage", "step", "epoch", "learning_rate", "loss", "crops_per_s"),
    *("AP", "AP50", "AP75"),
)


class LearningCurves:
    """Rows of ``curves.csv`` in a training's folder, and ``curves.png`` beside it.

    A row contains either the mean loss since the previous row or the metrics of a validation; the
    other columns are empty.
    """

    def __init__(self, folder: Path) -> None:
        self.table = folder / "curves.csv"
        self.plot_file = folder / "curves.png"

    def rows(self) -> list[dict[str, str]]:
        """All rows, oldest first; an incomplete row after an interruption is left out.

        Raises ValueError if the file is damaged.
        """
        if not self.table.is_file():
            return []
        try:
            whole, _, _ = self.table.read_text(encoding="utf-8").rpartition("\n")
            rows = list(csv.DictReader(whole.splitlines()))
            for row in rows:
                _ = row["stage"], int(row["step"])
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise ValueError(
                f"'{self.table}' is damaged ({error}): remove it to resume without the rows so far"
            ) from None
        return rows

    def truncate_after(self, stage: str, step: int) -> None:
        """Remove the rows after ``step`` of ``stage``.

        Steps between the last checkpoint and an interruption are run again.
        """
        kept = [row for row in self.rows() if row["stage"] != stage or int(row["step"]) <= step]
        with replacing(self.table) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def add(self, row: Mapping[str, object]) -> None:
        """Append a row; it is on disk when this returns."""
        with self.table.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)

    def plot(self) -> None:
        """Plot loss, learning rate and AP over the steps of all stages."""
        from matplotlib.figure import Figure

        rows = self.rows()
        figure = Figure(figsize=(9, 8), layout="constrained")
        axes = figure.subplots(3, sharex=True)
        begin = 0
        for stage in dict.fromkeys(row["stage"] for row in rows):
            mine = [row for row in rows if row["stage"] == stage]
            for axis, column, style in zip(
                axes, ("loss", "learning_rate", "AP"), ("-", "-", "o-"), strict=True
            ):
                points = [(begin + int(r["step"]), float(r[column])) for r in mine if r[column]]
                axis.plot(*zip(*points, strict=True), style, ms=3, label=stage) if points else None
                axis.set_ylabel(column.replace("_", " "))
                axis.grid(alpha=0.3)
            begin += int(mine[-1]["step"])
        axes[0].set_yscale("log")
        axes[0].legend()
        axes[-1].set_xlabel("step")
        with replacing(self.plot_file) as partial:
            figure.savefig(partial)
