# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

from hrnet_pose_ros.training.learning_curves import LearningCurves


def filled(folder: Path) -> LearningCurves:
    curves = LearningCurves(folder)
    curves.truncate_after("low", 0)  # begins the table
    for stage, step in (("low", 20), ("low", 40), ("full", 20), ("full", 40)):
        curves.add({"stage": stage, "step": step, "loss": "1.0e-3", "learning_rate": "0.1"})
    curves.add({"stage": "full", "step": 40, "AP": "0.5"})
    return curves


def steps(curves: LearningCurves) -> list[tuple[str, str, str]]:
    return [(row["stage"], row["step"], row["AP"]) for row in curves.rows()]


def test_rows_after_a_checkpoint_are_forgotten_in_their_stage_alone(tmp_path: Path) -> None:
    curves = filled(tmp_path)
    curves.truncate_after("full", 30)
    assert steps(curves) == [("low", "20", ""), ("low", "40", ""), ("full", "20", "")]
    curves.truncate_after("low", 40)
    assert len(steps(curves)) == 3


def test_a_row_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    curves = filled(tmp_path)
    text = curves.table.read_text()
    curves.table.write_text(text + "full,6")
    assert len(curves.rows()) == 5
    curves.truncate_after("full", 60)
    assert curves.table.read_text() == text


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    curves = filled(tmp_path)
    curves.plot()
    assert curves.plot_file.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.glob("*.part")] == []
