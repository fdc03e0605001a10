# SPDX-License-Identifier: Apache-2.0
"""What the launch files check before they start anything."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from ament_index_python.packages import get_package_prefix
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from hrnet_pose_ros.cli.launch_check import main

ROOT = Path(__file__).resolve().parents[2]
BAG = ROOT / "demo" / "street_bag"
PROGRAM = Path(get_package_prefix("hrnet_pose_ros"), "lib", "hrnet_pose_ros", "launch_check")


def replay(bag: Path, **changes: str) -> list[str]:
    options = {
        "image": "/camera/image",
        "image-transport": "compressed",
        "detections": "/detections",
        "record": "false",
        "output": str(ROOT),
    } | changes
    return ["replay", str(bag), *(word for k, v in options.items() for word in (f"--{k}", v))]


def test_files_that_can_be_used_pass_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parameters", str(ROOT / "config" / "hrnet_pose.yaml")]) == 0
    assert main(replay(BAG)) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["parameters", "/missing.yaml"], "parameter file /missing.yaml cannot be read: No such"),
        (replay(BAG, image="/camera/image_raw"), "has no images on /camera/image_raw/compressed; "),
        (replay(BAG, image="/camera/image_raw"), "it has /camera/image/compressed (sensor_msgs/"),
        (replay(BAG, **{"image-transport": "raw"}), "has no images on /camera/image; it has"),
        (replay(BAG, image="/camera/image/compressed", **{"image-transport": "raw"}), "has to be"),
        (replay(BAG, record="true"), f"output: {ROOT} exists already"),
        (replay(Path("/missing")), "/missing"),
        (["record", "--output", str(ROOT), "--image", "/image"], f"output: {ROOT} exists already"),
    ],
)
def test_what_cannot_work_is_one_line_and_an_error(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_bag_without_detections_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(replay(BAG, detections="/other")) == 0
    assert "has no detections on /other" in capsys.readouterr().err


@pytest.fixture
def camera() -> Iterator[None]:
    context = Context()
    rclpy.init(context=context)
    node = Node("launch_check_camera", context=context)
    node.create_publisher(CompressedImage, "/check/image/compressed", 1)
    yield
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize("image", ["/check/image/compressed", "/check/other"])
def test_topics_to_record_have_publishers(image: str, camera: None, tmp_path: Path) -> None:
    command = [str(PROGRAM), "record", "--output", str(tmp_path / "bag"), "--image", image]
    # It waits no longer than it must, but discovery takes seconds on a busy machine.
    command += ["--wait", "20.0" if image == "/check/image/compressed" else "1.0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    if image == "/check/image/compressed":
        assert ended.returncode == 0
        assert ended.stderr == ""
    else:
        assert ended.returncode == 1
        assert "nobody publishes /check/other (waited 1 s): set image" in ended.stderr
