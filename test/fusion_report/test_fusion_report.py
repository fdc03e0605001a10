# SPDX-License-Identifier: Apache-2.0
"""The report over simulated scenes, on a small scale."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion_report.report import check_scenes, sensor_sets
from hrnet_pose_ros.fusion_report.runs import (
    CUES,
    DISAGREED,
    SIGHTING,
    USED,
    FusedRun,
    fuse_run,
    simulate_run,
)
from hrnet_pose_ros.fusion_report.scenes import SCENES, scenario_of_scene
from hrnet_pose_ros.fusion_report.tables import (
    consistency,
    consistency_of_set,
    position,
    run_consistencies,
    wrong_cues,
)
from hrnet_pose_ros.simulation.simulator import Simulator


@pytest.mark.parametrize("name", SCENES)
def test_each_scene_is_drawn_by_its_seed(name: str) -> None:
    scenario = scenario_of_scene(name, 3, 4.0)
    assert scenario == scenario_of_scene(name, 3, 4.0)
    assert scenario != scenario_of_scene(name, 4, 4.0)
    assert scenario.people or scenario.crowd


def sightings(count: int, distance: float = 10.0) -> np.ndarray:
    rows = np.zeros(count, SIGHTING)
    rows["distance"], rows["nees"] = distance, 2.0
    rows["range"] = rows["range_std"] = np.nan
    rows["person"] = np.arange(count)
    return rows


def runs_of(rows: np.ndarray, scene: str) -> dict[tuple[str, str], list[FusedRun]]:
    return {(scene, "lidar"): [FusedRun(rows, np.zeros((1, 4)))]}


def test_errors_are_sorted_by_distance_and_given_in_per_cent() -> None:
    rows = sightings(3)
    rows["distance"], rows["error"] = [4.0, 10.0, 12.0], [0.4, 1.0, 3.0]
    table = {
        (r["from"], r["to"]): r for r in position(runs_of(rows, "upright"), "upright", "lidar")
    }
    assert table[2, 5]["p50_percent"] == pytest.approx(10)
    assert table[10, 15]["count"] == 2
    assert table[10, 15]["p50"] == pytest.approx(2.0)
    assert table[20, 30]["p50"] is None


def test_a_run_is_inside_if_its_mean_nees_is() -> None:
    rows = sightings(4)
    rows["whitened"] = [[1, 1], [-1, 1], [1, -1], [-1, -1]]
    runs = runs_of(rows, "upright")
    found = consistency(runs, "upright", "lidar", run_consistencies(runs, "lidar"))
    assert (found["runs_inside"], found["along"], found["aside"]) == (1, 1, 1)
    rows["nees"] = 9.0
    own = run_consistencies(runs, "lidar")
    found = consistency(runs, "upright", "lidar", own)
    whole = consistency_of_set("lidar", own)
    assert (whole["runs"], whole["nees"], whole["runs_above"]) == (1, 9.0, 1)
    assert (found["runs_inside"], found["within_95"], found["nees"]) == (0, 0, 9.0)


def test_scenes_of_one_seed_are_independent_runs() -> None:
    """The mounts' errors and the people are others: else all scenes would share one draw."""
    first, second = (
        Simulator(replace(scenario_of_scene(name, 1, 1.0), sensors=("camera", "lidar")))
        for name in ("tables", "walls")
    )
    for name in ("camera", "lidar"):
        assert not np.allclose(
            first.sensors[name].mount.true.rotation, second.sensors[name].mount.true.rotation
        )
    statures = [[one.shape.stature for one in sim.scene.walkers] for sim in (first, second)]
    assert not set(statures[0]) & set(statures[1])


def test_velocities_count_only_over_ground() -> None:
    scenario = scenario_of_scene("drive", 5, 0.6)
    scenario = replace(scenario, sensors=("camera", "odometry"), people=scenario.people[:2])
    run = simulate_run(scenario, moving=True)
    for sensors, known in ((("camera",), False), (("camera", "odometry"), True)):
        rows = fuse_run(run, sensors, FusionSettings()).sightings
        assert len(rows)
        assert np.isfinite(rows["velocity_nees"]).all() == known
        np.testing.assert_allclose((rows["whitened"] ** 2).sum(axis=1), rows["nees"])
        np.testing.assert_allclose(np.hypot(rows["along"], rows["aside"]), rows["error"], rtol=1e-9)


def test_a_wrong_cue_is_one_that_is_off_by_its_own_measure() -> None:
    rows = sightings(4)
    lidar = CUES.index("lidar")
    rows["range"][:, lidar] = [10.1, 6.0, 6.0, 6.0]  # the last one says itself that it may be off
    rows["range_std"][:, lidar] = [0.1, 0.1, 0.1, 3.0]
    rows["outcome"][:, lidar] = [USED, DISAGREED, USED, USED]
    rows["error"], rows["nees"] = [0.1, 0.2, 4.0, 0.3], [1.0, 1.0, 50.0, 1.0]
    (found,) = wrong_cues(runs_of(rows, "tables"), "tables", "lidar")
    assert (found["cue"], found["wrong"], found["refused"]) == ("lidar", 2, 0.5)
    assert found["placed_off"] == 0.25
    assert wrong_cues(runs_of(rows, "upright"), "upright", "lidar") == []


def test_the_command_writes_tables_and_plots(tmp_path: Path) -> None:
    options = ["--runs", "1", "--duration", "1.2", "--scenes", "walls", "--sensors", "camera"]
    assert main(["fusion-report", "-o", str(tmp_path), *options, "camera,lidar"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["sets"]) == ["camera", "camera,lidar"]
    rows = {row["sensors"]: row for row in report["tables"]["position"] if row["to"] == 30}
    assert rows["camera"]["count"] == rows["camera,lidar"]["count"] > 10
    assert rows["camera,lidar"]["p50"] < rows["camera"]["p50"]
    (lidar, *_) = [row for row in report["tables"]["wrong_cues"] if row["cue"] == "lidar"]
    assert lidar["placed_off"] < 0.5
    timed = {row["sensors"]: row for row in report["tables"]["frame_time"]}
    assert timed["lidar"]["points"] == 30_080 and timed["lidar"]["skeletons"] > 18
    text = (tmp_path / "report.md").read_text()
    assert "| `walls` |" in text
    assert "| camera,lidar |" in text or "camera,lidar" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sensors", "sonar"], "'sonar'"),
        (["--sensors", "lidar,imu"], "no camera"),
        (["--scenes", "moon"], "'moon'"),
        (["--runs", "0"], "--runs"),
        (["--kitti", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_reported_is_said(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fusion-report", "-o", str(tmp_path), *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_scene_named_twice_is_run_once() -> None:
    """The same runs again would be counted as independent ones, and narrow the intervals."""
    assert check_scenes(["walls", "upright", "walls"]) == ["walls", "upright"]


def test_sets_have_names_or_sensors() -> None:
    assert sensor_sets(["imu", "camera, scan"]) == {
        "imu": ("camera", "imu"),
        "camera, scan": ("camera", "scan"),
    }
