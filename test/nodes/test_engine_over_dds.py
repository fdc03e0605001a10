# SPDX-License-Identifier: Apache-2.0
"""The node's engine as its users meet it, over DDS: a missing GPU, and builds that take long."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ros_robot import TIMEOUT
from std_srvs.srv import Trigger

from hrnet_pose_ros.ros.process import RESPAWN

BOXES = [[300.0, 200.0, 60.0, 150.0]]
PATIENT = {"max_age_ms": 10000.0, "max_wait_ms": 2000.0}

# The node with an engine whose build takes until the file `go` is there, and is half done when
# `half` is; `cancelled` tells that it was given up. The waiting is polled and reported as a build
# of TensorRT's is; a real one needs a GPU to get that far.
SLOW_MODULE = """
import pathlib, time
from hrnet_pose_ros.engines.build_watch import BuildCancelled, Progress, reporting
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.nodes.pose_node import PoseNode

go = pathlib.Path(__file__).with_name("go")

def make(**arguments):
    watch, progress = arguments["watch"], Progress("building a plan", 0.25)
    with reporting(watch, progress, period=0.5):
        while not go.exists():
            if watch.cancelled():
                go.with_name("cancelled").touch()
                raise BuildCancelled("the build was cancelled")
            if go.with_name("half").exists():
                progress.fraction = 0.5
            time.sleep(0.02)
    return make_engine(**arguments)

def make_node():
    return PoseNode(make=make)
"""
# The node with an engine that loses its device with the first person; the processor does not.
LOST_MODULE = """
import dataclasses
from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import DeviceLost
from hrnet_pose_ros.nodes.pose_node import PoseNode

class Lost(PoseEngine):
    def __init__(self, cpu):
        self._cpu = cpu

    @property
    def info(self):
        return dataclasses.replace(self._cpu.info, engine="tensorrt", device="a GPU")

    def raw_poses(self, frame, boxes):
        raise DeviceLost("cudaStreamSynchronize failed: an illegal address")

    def close(self):
        self._cpu.close()

def make(**arguments):
    if arguments["engine"] == "openvino":
        return make_engine(**arguments)
    return Lost(make_engine(arguments["model"], "openvino", "float32", max_batch=1))

def make_node():
    return PoseNode(make=make)
"""
SCRIPT = """#!/usr/bin/env python3
from hrnet_pose_ros.ros import process

process.run("{module}")
"""


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")


def script_of(folder: Path, name: str, module: str) -> str:
    """An executable of a node that a module of this file makes."""
    script = folder / f"{name}_node"
    script.write_text(SCRIPT.format(module=f"{name}_pose_node"))
    (folder / f"{name}_pose_node.py").write_text(module)
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def slow(start: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Start a node whose engine is built until the file `go` is made beside its script."""
    executable = script_of(tmp_path, "slow", SLOW_MODULE)
    return lambda **parameters: start(executable=executable, **(PATIENT | parameters))


@pytest.fixture
def losing(start: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Start a node whose GPU is lost with the first person."""
    given = {"executable": script_of(tmp_path, "losing", LOST_MODULE), "engine": "tensorrt"}
    given |= {"streams": 1, "max_batch": 2}
    return lambda **parameters: start(**(given | PATIENT | parameters))


def status(robot: Any) -> dict[str, Any]:
    """What `~/get_status` answers."""
    return json.loads(robot.call(Trigger, "hrnet_pose/get_status", Trigger.Request()).message)


def engine_says(robot: Any, words: str) -> DiagnosticStatus:
    """Wait until the status `engine` says so."""
    return robot.wait(
        lambda: (s := robot.statuses().get("engine")) and words in s.message and s,
        what=f"'{words}' in the status engine",
    )


def test_a_missing_gpu_is_said_and_the_cpu_goes_on(
    robot: Any, start: Callable[..., Any], street_frames: list[np.ndarray], no_gpu: None
) -> None:
    node = start(engine="tensorrt", **PATIENT)
    robot.wait_until_active(node)
    info = robot.heard["skeleton_info"][-1]
    assert info.fallback and info.engine == "openvino"
    assert len(robot.answered_pair(street_frames[2], BOXES).skeletons) == 1
    assert "falling back to the CPU" in node.log

    def told_as_error() -> bool:  # for seconds after it: reports come once a second
        reports = [s for m in robot.heard["/diagnostics"] for s in m.status]
        said = [s for s in reports if s.name.endswith("engine") and "failed: " in s.message]
        return any(s.level == DiagnosticStatus.ERROR for s in said)

    robot.wait(told_as_error, what="the failure as an error in the diagnostics")
    # Once the moment of the failure is over, the warning stays.
    robot.wait(lambda: robot.statuses()["engine"].level == DiagnosticStatus.WARN)
    assert "CPU fallback" in robot.statuses()["engine"].message
    answer = status(robot)["engine"]
    assert answer["level"] == "WARN" and answer["values"]["fallback"] == "true"
    assert "Traceback" not in node.log


def test_without_a_fallback_a_missing_gpu_stops_the_configuration(
    robot: Any, start: Callable[..., Any], no_gpu: None
) -> None:
    start(autostart=False, engine="tensorrt", fallback="none")
    assert not robot.transition(Transition.TRANSITION_CONFIGURE)
    assert robot.state() == "unconfigured"
    assert engine_says(robot, "failed").level == DiagnosticStatus.ERROR
    assert not robot.heard["skeleton_info"]


def test_a_lost_gpu_ends_the_process_so_that_it_is_started_again(
    robot: Any, losing: Callable[..., Any], street_frames: list[np.ndarray]
) -> None:
    node = losing(fallback="none")
    robot.wait_until_active(node)
    for _ in range(10):
        robot.send_pair(street_frames[2], BOXES)
        if robot.wait(lambda: node.process.poll() is not None, TIMEOUT / 10, fail=False):
            break
    assert node.process.wait(TIMEOUT) == RESPAWN, node.log
    assert "the process ends, so that a new one can use the GPU: cudaStreamSync" in node.log
    assert "Traceback" not in node.log and not robot.heard["skeletons"]


def test_a_lost_gpu_is_left_for_the_processor(
    robot: Any, losing: Callable[..., Any], street_frames: list[np.ndarray]
) -> None:
    node = losing(fallback="cpu")
    robot.wait_until_active(node)
    assert robot.heard["skeleton_info"][-1].engine == "tensorrt"
    assert len(robot.answered_pair(street_frames[2], BOXES).skeletons) == 1
    info = robot.heard["skeleton_info"][-1]
    assert info.fallback and info.engine == "openvino"
    assert node.process.poll() is None
    assert "Traceback" not in node.log


def test_a_long_build_is_told_and_services_answer(
    robot: Any, slow: Callable[..., Any], tmp_path: Path
) -> None:
    node = slow(autostart=False)
    client = robot.node.create_client(ChangeState, "hrnet_pose/change_state")
    assert client.wait_for_service(TIMEOUT)
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    future = client.call_async(request)
    first = engine_says(robot, "building a plan")
    assert first.level == DiagnosticStatus.OK and " 25 %, " in first.message
    assert robot.values()["build_progress"] == "0.25"
    (tmp_path / "half").touch()
    robot.wait(lambda: robot.values().get("build_progress") == "0.50")
    assert robot.values()["state"] == "preparing"
    assert robot.state() == "configuring"
    assert status(robot)["engine"]["values"]["build_progress"] == 0.5
    assert "building a plan" in node.log and not robot.heard["skeleton_info"]
    (tmp_path / "go").touch()
    robot.wait(future.done)
    assert future.result().success
    assert robot.state() == "inactive"
    robot.wait(lambda: robot.values()["state"] == "ready")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_build(
    robot: Any, slow: Callable[..., Any], number: signal.Signals, tmp_path: Path
) -> None:
    node = slow()
    robot.wait(lambda: "building a plan" in node.log)
    assert node.signal(number) == 0
    assert (tmp_path / "cancelled").exists()  # it did not end because nobody waited any longer
    assert "Traceback" not in node.log and "falling back" not in node.log


def test_a_shutdown_ends_a_build(robot: Any, slow: Callable[..., Any]) -> None:
    node = slow()
    engine_says(robot, "building a plan")
    assert robot.state() == "configuring"
    assert robot.transition(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert robot.state() == "finalized"
    assert "configure was cancelled: the build was cancelled" in node.log
    assert node.signal(signal.SIGINT) == 0
