# SPDX-License-Identifier: Apache-2.0
"""Fixtures that start the real node beside a robot; see ros_robot.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from ros_robot import NodeUnderTest, Robot


@pytest.fixture(scope="session")
def ros() -> Iterator[None]:
    if not rclpy.ok():  # test/soak has these fixtures a second time
        rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> str:
    """Each test its own, so that nothing of another test is heard."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    return f"/t_{name}"[:60].rstrip("_")


@pytest.fixture
def robot(ros: None, namespace: str) -> Iterator[Robot]:
    robot = Robot(namespace)
    yield robot
    robot.close()


@pytest.fixture
def start(namespace: str, tmp_path: Path) -> Iterator[Callable[..., NodeUnderTest]]:
    """``start(max_age_ms=5000.0)`` starts the pose node with those parameters.

    ``executable``: another one of the package's by name, or any one by its path.
    """
    started: list[NodeUnderTest] = []

    def start(*arguments: str, executable: str = "hrnet_pose_node", **parameters: Any) -> Any:
        words = list(arguments)
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            words += ["-p", f"{name}:={text}"]
        log = tmp_path / f"{Path(executable).name}_{len(started)}.log"
        started.append(NodeUnderTest(executable, namespace, words, log))
        return started[-1]

    yield start
    for node in started:
        node.close()
