# SPDX-License-Identifier: Apache-2.0
"""The node `video_player` over DDS: a video file as a camera."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros_robot import RELIABLE, TIMEOUT, nanoseconds
from sensor_msgs.msg import CameraInfo, Image

from hrnet_pose_ros.pipeline.camera_info import camera_of
from hrnet_pose_ros.video import VideoWriter

RATE = 20.0
FRAMES = 10


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames of 64x48, darker to brighter."""
    path = tmp_path / "grey.mp4"
    with VideoWriter(path, RATE) as writer:
        for number in range(FRAMES):
            writer.write(np.full((48, 64, 3), 20 * (number + 1), np.uint8))
    return path


def test_loops_at_the_rate_of_the_video(robot: Any, start: Callable[..., Any], video: Path) -> None:
    robot.listen(Image, "image", RELIABLE)
    robot.listen(CameraInfo, "camera_info", RELIABLE)
    before = robot.now()
    node = start(
        executable="video_player_node", video=str(video), frame_id="bumper", field_of_view_deg=90.0
    )
    images = list(robot.wait_for("image", 2 * FRAMES + 5))
    assert {(m.width, m.height, m.encoding, m.step) for m in images} == {(64, 48, "rgb8", 192)}
    assert {m.header.frame_id for m in images} == {"bumper"}
    assert all(len(m.data) == 64 * 48 * 3 for m in images)
    stamps = [nanoseconds(m) for m in images]
    assert before < stamps[0] and stamps[-1] < robot.now()
    robot.wait(lambda: stamps[-1] in [nanoseconds(info) for info in robot.heard["camera_info"]])
    infos = {nanoseconds(info): info for info in robot.heard["camera_info"]}
    # The one topic may have been found later than the other.
    assert {stamp for stamp in stamps if stamp >= min(infos)} <= set(infos)
    info = infos[stamps[-1]]
    assert info.header == images[-1].header and (info.width, info.height) == (64, 48)
    camera = camera_of(info, (64, 48), rectified=False)
    # At 90 degrees, the edges of the image (half a pixel outside of the centres) are at 45.
    np.testing.assert_allclose(camera.rays([(-0.5, 23.5), (63.5, 23.5)])[:, 0], [-1, 1])
    assert camera == camera_of(info, (64, 48), rectified=True)
    gaps = np.diff(stamps) * 1e-9
    assert gaps.min() > 0
    # 1/RATE each; the machine may be late, never early on the whole
    assert gaps.mean() >= 0.95 / RATE
    brightness = np.array([np.frombuffer(m.data, np.uint8).mean() for m in images])
    assert (np.diff(brightness) < -100).sum() >= 2  # from the end to the beginning
    assert node.signal(signal.SIGINT) == 0, node.log
    assert "Traceback" not in node.log


def test_plays_once_and_stays(robot: Any, start: Callable[..., Any], video: Path) -> None:
    robot.listen(Image, "image", RELIABLE)
    node = start(executable="video_player_node", video=str(video), loop=False)
    robot.wait(lambda: "the video has ended" in node.log)
    robot.wait(lambda: len(robot.heard["image"]) > FRAMES, 1.0, fail=False)  # no second round
    assert len(robot.heard["image"]) <= FRAMES  # fewer where they come before we are found
    assert node.process.poll() is None
    assert node.signal(signal.SIGTERM) == 0, node.log


@pytest.mark.parametrize("name", ["", "missing.mp4", "text.mp4"])
def test_what_is_no_video_is_one_line(name: str, start: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video\n")
    words = {"video": str(tmp_path / name)} if name else {}
    node = start(executable="video_player_node", **words)
    assert node.process.wait(TIMEOUT) == 1
    assert "video" in node.log and "Traceback" not in node.log
    assert len(node.log.strip().splitlines()) == 1
