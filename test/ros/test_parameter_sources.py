# SPDX-License-Identifier: Apache-2.0
"""Parameter files and arguments as they are given to a process, and what of them is ignored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String

from hrnet_pose_ros.ros.parameter_sources import (
    check_parameter_files,
    ignored_parameters,
    nearest,
    parameter_files,
)
from hrnet_pose_ros.ros.topics import create_publisher


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    yield context
    rclpy.shutdown(context=context)


def test_the_files_of_a_command_line() -> None:
    words = ["node", "--params-file", "no", "--ros-args", "-p", "a:=1", "--params-file", "x.yaml"]
    words += ["--", "--params-file", "no", "--ros-args", "--params-file", "y.yaml", "--params-file"]
    assert parameter_files(words) == [Path("x.yaml"), Path("y.yaml")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("/**:\n  ros__parameters:\n    model: [1\n", "is not YAML in line 4: "),
        ("model: x\n", "has no section with ros__parameters; expected '/\\*\\*:'"),
        ("/**:\n  model: x\n", "has no section with ros__parameters"),
        ("- 1\n", "has no section with ros__parameters"),
        (b"\xff\xfe\x00", "is not a text file"),
    ],
)
def test_files_that_cannot_be_used(content: str | bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"parameter file {path} {words}"):
        check_parameter_files(["node", "--ros-args", "--params-file", str(path)])


@pytest.mark.parametrize(
    ("sections", "ignored"),
    [
        ("/**", False),
        ("/*", True),  # one level only: the node is in a namespace
        ("/**/guard", False),
        ("/front/guard", False),
        ("front/guard", False),
        ("/front/*", False),
        ("/other", True),
        ("guard", True),  # not in its namespace
    ],
)
def test_sections_and_names_without_effect(
    sections: str, ignored: bool, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        f"{sections}:\n  ros__parameters:\n    stop_m: 2.0\n    Stop-M: 3.0\n"
        "    qos_overrides:\n      /front/said: {publisher: {reliabilty: reliable}}\n"
    )
    arguments = ["--ros-args", "-r", "__ns:=/front", "--params-file", str(path)]
    check_parameter_files(arguments)
    rclpy.init(args=arguments, context=context)
    node = Node("guard", context=context)
    node.declare_parameter("stop_m", 1.0)
    create_publisher(node, String, "said", QoSProfile(depth=1))
    try:
        sentences = ignored_parameters(node, [path])
        if ignored:
            [sentence] = sentences
            assert f"{path} has no section for /front/guard, only for" in sentence
            assert "use the node's name or /**" in sentence
        else:
            assert node.get_parameter("stop_m").value == 2.0
            assert sentences == [
                "there is no parameter Stop-M: it is ignored; the nearest name is stop_m",
                "there is no parameter qos_overrides./front/said.publisher.reliabilty: it is "
                "ignored; the nearest name is qos_overrides./front/said.publisher.reliability",
            ]
    finally:
        node.destroy_node()


def test_an_empty_file_is_for_no_node(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("")
    rclpy.init(args=[], context=context)
    node = Node("guard", context=context)
    [sentence] = ignored_parameters(node, [path])
    assert "for no node: it is empty" in sentence
    node.destroy_node()


@pytest.mark.parametrize("name", ["max_wait", "MAX_WAIT_MS", "max-wait-ms", "maxWaitMs"])
def test_the_nearest_name(name: str) -> None:
    assert nearest(name, ["max_age_ms", "max_wait_ms", "use_sim_time"]) == "max_wait_ms"
