# SPDX-License-Identifier: Apache-2.0
"""The guard demo as `make demo-guard` runs it, on a short ride, to its exit code and files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from demo_process import run_demo

from demo.guard.moments import GuardMoment, GuardRide
from demo.guard.outputs import (
    MIN_ANSWERED,
    SHEET,
    SUMMARY,
    SUMMARY_TEXT,
    VIDEO,
    guard_figures,
    guard_problem,
)
from demo.guard.pictures import HEIGHT, SCENE, WIDTH, draw_guard_moment
from hrnet_pose_ros.video import VideoReader

SECONDS = 6.5  # until the first person is near


@pytest.fixture(scope="module")
def shown(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The output folder and what was printed."""
    output = tmp_path_factory.mktemp("demo_output")
    done = run_demo(root, "demo.guard.run", output, "--duration", str(SECONDS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return output, done.stdout


def test_the_vehicle_drives_as_the_node_allows(shown: tuple[Path, str]) -> None:
    summary = json.loads((shown[0] / SUMMARY).read_text())
    assert summary["commands"] == SECONDS / 0.05
    assert summary["answered"] >= MIN_ANSWERED * summary["commands"]
    assert summary["contact_speed"] is None and summary["nearest_m"] > 0.5
    assert 1.0 < summary["metres"] < 1.2 * SECONDS, "it drove, and not as if nobody were there"
    assert any("separation" in name for name in summary["seconds_by_action"])
    assert summary["decided"]["separation"] > 0
    for times in (summary["command_to_answer_ms"], summary["in_the_node_ms"]):
        assert 0 < times["p50"] <= times["p95"] <= times["p99"]
    assert summary["exit_codes"] == {"pedestrian_guard_node": 0}
    assert summary["torch_importable"] == {"demo": False, "pedestrian_guard_node": False}


def test_files_and_words(shown: tuple[Path, str]) -> None:
    output, said = shown
    assert (output / SUMMARY_TEXT).read_text() in said and "no contact" in said
    assert {one.name for one in output.iterdir()} == {VIDEO, SHEET, SUMMARY, SUMMARY_TEXT}
    frames = [frame for _, frame in VideoReader(output / VIDEO)]
    assert len(frames) == SECONDS / 0.05
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    changed = np.abs(frames[-1].astype(int) - frames[0]).max(axis=2) > 60
    assert changed[:SCENE].any() and changed[SCENE:].any()
    sheet = cv2.imread(str(output / SHEET))
    assert sheet is not None and sheet.shape[1] == 2 * 1280


def moment(**fields: object) -> GuardMoment:
    values = {
        "time": 0.0,
        "place": np.zeros(3),
        "speed": 0.5,
        "commanded": 1.0,
        "answered": 0.5,
        "waited": 2.0,
        "people": None,
        "people_from": np.zeros(3),
        "truth": np.array([[3.0, 0.0]]),
        "distance": 2.0,
    }
    return GuardMoment(**(values | fields))  # type: ignore[arg-type]


def ride(*moments: GuardMoment, contact: float | None = None) -> GuardRide:
    square = np.array([[0.6, 0.3], [-0.4, 0.3], [-0.4, -0.3], [0.6, -0.3]])
    walls = np.zeros((0, 2, 2))
    return GuardRide(tuple(moments), np.array([0.3]), walls, square, contact, {})


@pytest.mark.parametrize(
    ("driven", "words"),
    [
        (ride(moment(), contact=0.4), "touched somebody at 0.40 m/s"),
        (ride(moment(), moment(waited=np.nan, answered=np.nan)), "only 1 of 2 commands"),
        (ride(moment()), "pedestrian_guard_node (1)"),
    ],
)
def test_what_is_a_failure(driven: GuardRide, words: str) -> None:
    summary = guard_figures(driven) | {"exit_codes": {"pedestrian_guard_node": 1}}
    assert words in guard_problem(summary)


def test_a_picture_shows_zones_and_words() -> None:
    zone = np.array([[1.0, 0.5], [1.0, -0.5], [-0.5, -0.5], [-0.5, 0.5]])
    bare = draw_guard_moment(ride(moment()), 0)
    full = moment(zones={"stop_zone": zone}, label="stop: separation (1)\n0.00 of 1.00 m/s")
    other = draw_guard_moment(ride(full), 0)
    changed = (bare != other).any(axis=2)
    assert changed[:SCENE].any(), "the zone"
    assert changed[SCENE:, 836:].any(), "the words"
    assert not changed[SCENE + 100 :, :800].any(), "not the speeds"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--duration", "0"], "--duration must be from 0.5 to 60, got 0"),
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
    ],
)
def test_bad_input_is_exit_code_2(
    root: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = run_demo(root, "demo.guard.run", tmp_path / "out", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr
