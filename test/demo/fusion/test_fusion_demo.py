# SPDX-License-Identifier: Apache-2.0
"""The fusion demo as `make demo-fusion` runs it, on a short drive, to its exit code and files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from demo_process import run_demo

from demo.fusion.outputs import ANSWERS, DRIVE, SHEET, VIDEO
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.simulation.truth_messages import read_truth
from hrnet_pose_ros.video import VideoReader

# Slower than real, so that a busy machine keeps up: what is wrong then is not the machine.
SECONDS, RATE = 2.0, 0.25
EMPTY_STREET = "name: nobody\nduration: 1\n"
NO_CAMERA = "name: blind\nduration: 1\nsensors: [lidar]\n"


@pytest.fixture(scope="module")
def shown(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The output folder and what was printed."""
    output = tmp_path_factory.mktemp("demo_output")
    done = run_demo(
        root, "demo.fusion.run", output, "--duration", str(SECONDS), "--rate", str(RATE)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return output, done.stdout


@pytest.fixture(scope="module")
def summary(shown: tuple[Path, str]) -> dict:
    return json.loads((shown[0] / "fusion_summary.json").read_text())


def test_images_are_answered_with_people_in_metres(summary: dict) -> None:
    played, answered = summary["images_played"], summary["images_answered"]
    assert 15 <= played <= 20
    assert answered >= 0.5 * played
    assert summary["people"] > 4 * answered
    errors = {(row["from"], row["to"]): row for row in summary["position"]}
    assert errors[5, 10]["p50"] < 0.5 and errors[2, 30]["p50_percent"] < 10
    assert summary["consistency"]["nees"] < 20
    for times in summary["latency_ms"].values():
        assert 0 < times["p50"] <= times["p95"] <= times["p99"]


def test_every_message_is_accounted_for(summary: dict) -> None:
    messages = summary["messages"]
    assert {"skeletons", "depth", "points", "scan", "range", "imu", "odom"} <= set(messages)
    for name, account in {**messages, **summary["cues"]}.items():
        refused = sum(account["refused"].values())
        assert account["received"] == account["used"] + refused + account["waiting"], name
    for name in ("skeletons", "points", "scan", "range", "imu", "odom", "tf"):
        account = messages[name]
        assert account["received"] + account["lost"] <= account["played"], name
        assert account["received"] > 0.1 * account["played"], name
    assert summary["cues"]["lidar"]["used"] > 0


def test_the_nodes_end_well_and_without_torch(summary: dict) -> None:
    assert summary["exit_codes"] == {"person_fusion_node": 0}
    assert summary["torch_importable"] == {"demo": False, "person_fusion_node": False}


def test_the_text_is_what_was_printed(shown: tuple[Path, str]) -> None:
    output, said = shown
    text = (output / "fusion_summary.md").read_text()
    assert text in said
    assert "| distance, m" in text and "NEES" in text and "received = used + refused" in text


def test_video_and_sheet_show_the_drive(shown: tuple[Path, str], summary: dict) -> None:
    output, _ = shown
    frames = [frame for _, frame in VideoReader(output / VIDEO)]
    assert len(frames) == summary["images_played"]
    assert frames[0].shape == (1080, 1920, 3)
    changed = np.abs(frames[-1].astype(int) - frames[0]).max(axis=2) > 60
    assert changed[:675, :1200].any() and changed[:, 1200:].any()  # camera, view from above
    sheet = cv2.imread(str(output / SHEET))
    assert sheet is not None and sheet.shape == (3 * 720, 2 * 1280, 3)


def test_the_answers_are_in_the_time_of_the_drive(shown: tuple[Path, str], summary: dict) -> None:
    output, _ = shown
    truths = {truth.stamp for truth in read_truth(output / DRIVE / "truth.jsonl")}
    with BagReader(output / ANSWERS) as bag:
        people = [one.message for one in bag.messages(["/people"])]
    stamps = {
        one.header.stamp.sec * 10**9 + one.header.stamp.nanosec for one in people if one.status < 2
    }
    assert len(stamps) == summary["images_answered"] and stamps <= truths


def test_it_runs_again_over_its_own_files(root: Path, tmp_path: Path) -> None:
    """Nobody is on this street: that is an error, with the reason."""
    scenario, output = tmp_path / "nobody.yaml", tmp_path / "out"
    scenario.write_text(EMPTY_STREET)
    # At the rate of the sensors, a busy machine may answer too few images: that is said as well.
    for rate, words in (("1", "images were answered"), (str(RATE), "none of them with a person")):
        done = run_demo(
            root, "demo.fusion.run", output, "--scenario", str(scenario), "--rate", rate
        )
        assert done.returncode == 1, done.stdout + done.stderr
        assert words in done.stderr and "Traceback" not in done.stderr
    summaries = {"fusion_summary.json", "fusion_summary.md"}
    assert {one.name for one in output.iterdir()} == {VIDEO, SHEET, ANSWERS, DRIVE} | summaries


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scenario", "nowhere"], "there is no scenario file 'nowhere'"),
        (["--duration", "0"], "duration"),
        (["--rate", "0"], "--rate must be from 0.01 to 10, got 0"),
        (["--scenario", "blind.yaml"], "has no camera"),
    ],
)
def test_bad_input_is_exit_code_2(
    root: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "blind.yaml").write_text(NO_CAMERA)
    arguments = [str(tmp_path / one) if one.endswith(".yaml") else one for one in arguments]
    done = run_demo(root, "demo.fusion.run", tmp_path / "out", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr
