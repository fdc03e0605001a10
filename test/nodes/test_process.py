# SPDX-License-Identifier: Apache-2.0
"""How the process of any node starts and ends, with the smallest of them: the video player."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ament_index_python.packages import get_package_prefix
from ros_robot import TIMEOUT

from hrnet_pose_ros.video import VideoWriter

PLAYER = "video_player_node"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    with VideoWriter(path, 10.0) as writer:
        for _ in range(5):
            writer.write(np.full((48, 64, 3), 90, np.uint8))
    return path


def test_a_stopped_and_continued_process_goes_on_until_its_terminal_closes(
    start: Callable[..., Any], video: Path
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a test run under nohup passes it on
    try:
        node = start(executable=PLAYER, video=str(video))
    finally:
        signal.signal(signal.SIGHUP, before)
    deadline = time.monotonic() + TIMEOUT
    while "playing" not in node.log and time.monotonic() < deadline:
        time.sleep(0.05)
    for _ in range(3):
        node.process.send_signal(signal.SIGSTOP)
        time.sleep(0.4)  # longer than the process waits for a signal at a time
        node.process.send_signal(signal.SIGCONT)
        time.sleep(0.4)
        assert node.process.poll() is None, node.log
    own = node.shared_memory()
    assert own
    assert node.signal(signal.SIGHUP) == 0, node.log
    assert not {path for path in own if Path(path).exists()}
    assert "Traceback" not in node.log


def test_under_nohup_it_stays(video: Path, tmp_path: Path) -> None:
    path = Path(get_package_prefix("hrnet_pose_ros"), "lib", "hrnet_pose_ros", PLAYER)
    command = ["nohup", str(path), "--ros-args", "-p", f"video:={video}", "-r", "__ns:=/nohup"]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + TIMEOUT
        while "playing" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.6)
        assert process.poll() is None, log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({"HOME": None}, [], "set ROS_LOG_DIR to a folder that can be written"),
        ({"ROS_LOG_DIR": "/proc/log"}, [], "set ROS_LOG_DIR to a folder that can be written"),
        ({}, ["--params-file", "/missing.yaml"], "parameter file /missing.yaml cannot be read: No"),
        ({}, ["-p", "loop"], "loop"),
        ({}, ["-r", "__ns:=9x"], "__ns:=9x"),
    ],
)
def test_a_start_that_fails_is_one_line(
    changes: dict[str, str | None], arguments: list[str], words: str, video: Path
) -> None:
    path = Path(get_package_prefix("hrnet_pose_ros"), "lib", "hrnet_pose_ros", PLAYER)
    environment = {k: v for k, v in os.environ.items() if k not in changes and "ROS_LOG" not in k}
    environment |= {k: v for k, v in changes.items() if v is not None}
    ended = subprocess.run(
        [str(path), "--ros-args", "-p", f"video:={video}", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 1
    [line] = ended.stderr.strip().splitlines()
    assert line.startswith("error: ") and words in line
