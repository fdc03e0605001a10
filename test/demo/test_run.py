# SPDX-License-Identifier: Apache-2.0
"""The demonstration as `make demo` runs it, to its exit code and files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from demo_process import run_demo
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from hrnet_pose_ros.video import VideoReader, VideoWriter

LABELLED = 30


@pytest.fixture(scope="module")
def shown(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The output folder and what was printed."""
    output = tmp_path_factory.mktemp("demo_output")
    done = run_demo(root, "demo.run", output)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return output, done.stdout


def test_summary(shown: tuple[Path, str]) -> None:
    output, said = shown
    summary = json.loads((output / "summary.json").read_text())
    assert summary["frames_played"] == 125
    # A machine may be slow; what it does answer must be right, and all else counted.
    answered = summary["frames_answered"]
    dropped = sum(n for key, n in summary["drops"].items() if key.startswith("images."))
    assert answered >= 0.1 * 125 and answered + dropped <= 125
    assert summary["persons"] > 3 * answered
    assert summary["valid_joints_inside_crop"] >= 0.95
    times = summary["times_ms"]["age"]
    assert 0 < times["p50"] <= times["p95"] <= times["p99"] <= 500
    assert summary["exit_codes"] == {"hrnet_pose_node": 0}
    assert "persons" in said and "age" in said


def test_labelled_persons_are_found(shown: tuple[Path, str]) -> None:
    oks = json.loads((shown[0] / "summary.json").read_text())["labelled_oks"]
    assert oks["frames"] >= LABELLED
    # Of the labelled frames that were answered: a slow machine drops some.
    assert oks["mean_of_answered"] > 0.55


def test_torch_cannot_be_imported_in_the_demo(shown: tuple[Path, str]) -> None:
    """Here torch is installed, and the demo runs in an environment where it is found."""
    assert subprocess.run([sys.executable, "-c", "import torch"], check=False).returncode == 0
    assert json.loads((shown[0] / "summary.json").read_text())["torch_importable"] == {
        "demo": False,
        "hrnet_pose_node": False,
    }


def test_video_and_sheet_show_skeletons(shown: tuple[Path, str]) -> None:
    output, _ = shown
    frames = [frame for _, frame in VideoReader(output / "skeletons.mp4")]
    assert len(frames) == 125 and frames[0].shape == (576, 768, 3)
    sheet = cv2.imread(str(output / "skeletons.png"))
    assert sheet.shape[1] == 1920 and sheet.std() > 30


def test_answers_are_a_bag_with_our_messages(shown: tuple[Path, str]) -> None:
    with Reader(shown[0] / "answers") as bag:
        topics = {c.topic: c for c in bag.connections}
        assert topics["/skeletons"].msgtype == "hrnet_pose_ros/msg/SkeletonArray"
        assert topics["/skeletons"].msgcount > 10
        assert "NO_DETECTION" in topics["/skeletons"].msgdef.data
        assert topics["/skeleton_info"].msgcount >= 1


def test_no_skeletons_is_exit_code_1(root: Path, tmp_path: Path) -> None:
    """The same street with empty detection arrays."""
    store = get_typestore(Stores.ROS2_JAZZY)
    bag_path = tmp_path / "nobody"
    with (
        Reader(root / "demo" / "street_bag") as bag,
        Writer(bag_path, version=9, storage_plugin=StoragePlugin.MCAP) as out,
    ):
        for name, kind in ((c.msgtype, c.msgdef) for c in bag.connections):
            if name not in store.fielddefs:
                from rosbags.typesys import get_types_from_msg

                store.register(get_types_from_msg(kind.data, name))
        connections = {
            c.topic: out.add_connection(c.topic, c.msgtype, typestore=store)
            for c in bag.connections
        }
        for number, (connection, at, data) in enumerate(bag.messages()):
            if number > 30:
                break
            message = store.deserialize_cdr(data, connection.msgtype)
            if hasattr(message, "detections"):
                message.detections = []
                data = store.serialize_cdr(message, connection.msgtype)
            out.write(connections[connection.topic], at, data)
    done = run_demo(root, "demo.run", tmp_path / "out", "--bag", str(bag_path))
    assert done.returncode == 1
    assert "images were answered, but none of them contains a person" in done.stderr
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["persons"] == 0


def test_a_video_of_the_users(root: Path, tmp_path: Path, street_frames: list[np.ndarray]) -> None:
    video = tmp_path / "street.mp4"
    with VideoWriter(video, 5.0) as writer:
        for _ in range(10):
            writer.write(street_frames[2])
    done = run_demo(root, "demo.run", tmp_path / "out", "--video", str(video))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames_played"] == 10 and summary["persons"] > 0
    assert summary["exit_codes"] == {"hrnet_pose_node": 0, "person_detector_node": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--video", "nowhere.mp4"], "nowhere.mp4"), (["--bag", "nowhere"], "nowhere")],
)
def test_bad_input_is_exit_code_2(
    root: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = run_demo(root, "demo.run", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr
