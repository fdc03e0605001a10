# SPDX-License-Identifier: Apache-2.0
"""Fixtures that start the real node beside a robot; see ros_robot.py and injector.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from injector import Injector, close
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_robot import NodeUnderTest, Robot

# Nothing is lost between a camera and a node with these.
LOSSLESS = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)


class Nodes:
    """Starts nodes with their logs in a folder, and ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[NodeUnderTest] = []

    def start(
        self,
        namespace: str,
        *arguments: str,
        executable: str = "hrnet_pose_node",
        **parameters: Any,
    ) -> NodeUnderTest:
        words = list(arguments)
        if executable == "hrnet_pose_node" and not any("streams:=" in word for word in words):
            # A start without the measurement of streams, and with few sizes to warm up: 0.5 s
            # of computing instead of 6. The demo runs with the defaults.
            parameters = {"streams": 1, "max_batch": 2} | parameters
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            words += ["-p", f"{name}:={text}"]
        log = self._folder / f"{Path(executable).name}_{len(self._started)}.log"
        self._started.append(NodeUnderTest(executable, namespace, words, log))
        return self._started[-1]

    def close(self) -> None:
        for node in self._started:
            node.close()


@contextmanager
def running(
    namespace: str, folder: Path, *arguments: str, camera: Any = None, **parameters: Any
) -> Iterator[tuple[Robot, NodeUnderTest]]:
    """A robot and the pose node beside it, active: for all tests of a module together.

    ``camera``: the QoS of the robot's images, `LOSSLESS` or else that of sensors.
    """
    robot = Robot(namespace, *([] if camera is None else [camera]))
    nodes = Nodes(folder)
    try:
        node = nodes.start(namespace, *arguments, **parameters)
        robot.wait_until_active(node)
        yield robot, node
    finally:
        nodes.close()
        robot.close()


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
    nodes = Nodes(tmp_path)
    yield lambda *arguments, **options: nodes.start(namespace, *arguments, **options)
    nodes.close()


@pytest.fixture(scope="module")
def inject(
    ros: None,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    street_frames: list[np.ndarray],
) -> Iterator[Callable[..., Injector]]:
    """``inject(max_persons=30)``: an injector with a node of its own for the tests of a module.

    Nothing is lost between the two, and nothing is too old or expires on a slow machine; at the end
    of the module every count has to be the injector's. ``compressed``: with CompressedImage.
    """
    nodes = Nodes(tmp_path_factory.mktemp("nodes"))
    injectors: list[Injector] = []
    frame = np.ascontiguousarray(street_frames[4][333:573, 230:550])  # 320 x 240

    def inject(*arguments: str, compressed: bool = False, **parameters: Any) -> Injector:
        module = request.module.__name__.rsplit(".", 1)[-1]
        robot = Robot(f"/{module}_{len(injectors)}", camera=LOSSLESS)
        image, voice = "image", robot.images
        if compressed:
            image, voice = "image/compressed", robot.compressed
            parameters["image_transport"] = "compressed"
        words = list(arguments)
        for topic in (image, "detections"):
            qos = f"qos_overrides.{robot.namespace}/{topic}.subscription"
            words += ["-p", f"{qos}.reliability:=reliable", "-p", f"{qos}.depth:=200"]
        patient = {"max_age_ms": 10000.0, "max_wait_ms": 10000.0}
        node = nodes.start(robot.namespace, *words, **(patient | parameters))
        injectors.append(Injector(robot, node, frame))
        voices = (voice, robot.detections)
        robot.wait(
            lambda: (
                node.process.poll() is not None
                or (robot.reports() and all(one.get_subscription_count() for one in voices))
            ),
            what="the node",
        )
        if parameters.get("autostart", True):
            robot.wait(lambda: "]: active: " in node.log or node.process.poll() is not None)
        assert node.process.poll() is None, node.log
        return injectors[-1]

    yield inject
    try:
        close(injectors)
    finally:
        for injector in injectors:
            injector.robot.close()
        nodes.close()
