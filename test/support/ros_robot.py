# SPDX-License-Identifier: Apache-2.0
"""The real node in a process of its own, and a robot around it that speaks real DDS."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from array import array
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, SetParametersResult
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter as RclpyParameter
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.msg import SkeletonArray, SkeletonInfo
from hrnet_pose_ros.nodes.person_detector_node import detection_array

RELIABLE = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
FRAME_ID = "camera_optical_frame"


class Robot:
    """A camera, a detector and a listener in one namespace; ``heard[topic]`` grows as they come.

    ``peer`` is the name of the node that is asked.
    """

    def __init__(
        self,
        namespace: str,
        camera: QoSProfile = qos_profile_sensor_data,
        peer: str = "hrnet_pose",
    ) -> None:
        self.namespace = namespace
        self.peer = peer
        self.node = Node("robot", namespace=namespace)
        self.heard: dict[str, list[Any]] = defaultdict(list)
        self._changed = threading.Condition()
        node = self.node
        self.images = node.create_publisher(Image, "image", camera)
        self.compressed = node.create_publisher(CompressedImage, "image/compressed", camera)
        self.detections = node.create_publisher(Detection2DArray, "detections", RELIABLE)
        self.camera_info = node.create_publisher(CameraInfo, "camera_info", RELIABLE)
        self.listen(SkeletonArray, "skeletons", RELIABLE)
        self.listen(SkeletonInfo, "skeleton_info", LATCHED)
        self.listen(DiagnosticArray, "/diagnostics", RELIABLE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._spinner = threading.Thread(target=self._executor.spin, daemon=True)
        self._spinner.start()

    def listen(self, kind: Any, topic: str, qos: QoSProfile) -> Any:
        def hear(message: Any) -> None:
            with self._changed:
                self.heard[topic].append(message)
                self._changed.notify_all()

        return self.node.create_subscription(kind, topic, hear, qos)

    def wait(
        self, condition: Callable[[], Any], timeout: float = 20.0, what: str = "", fail: bool = True
    ) -> Any:
        """Wait until the condition returns something true, and return that."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (result := condition()):
                if time.monotonic() > deadline:
                    if not fail:
                        return result
                    pytest.fail(f"nothing after {timeout:.0f} s: {what or condition}")
                self._changed.wait(0.05)
            return result

    def wait_for(self, topic: str, count: int = 1, timeout: float = 20.0) -> list[Any]:
        self.wait(lambda: len(self.heard[topic]) >= count, timeout, f"{count} on {topic}")
        return self.heard[topic]

    # --- what is sent ----------------------------------------------------------------------------

    def now(self) -> int:
        """The system clock, nanoseconds."""
        return time.time_ns()

    def send_image(self, frame: np.ndarray, stamp: int, **fields: Any) -> Image:
        """Publish an rgb8 image; ``fields`` replace those of the message."""
        height, width = frame.shape[:2]
        values = {
            "header": header(stamp),
            "height": height,
            "width": width,
            "encoding": "rgb8",
            "step": 3 * width,
            "data": array("B", np.ascontiguousarray(frame).tobytes()),
        }
        message = Image(**(values | fields))
        self.images.publish(message)
        return message

    def send_detections(
        self, boxes: list[list[float]], stamp: int, **fields: Any
    ) -> Detection2DArray:
        """Publish detections of persons with ids "a", "b", …; ``fields`` replace those of each."""
        ids = [chr(ord("a") + n % 26) for n in range(len(boxes))]
        message = detection_array(header(stamp), boxes, [0.9] * len(boxes), ids)
        for detection in message.detections:
            for name, value in fields.items():
                setattr(detection, name, value)
        self.detections.publish(message)
        return message

    def send_pair(self, frame: np.ndarray, boxes: list[list[float]]) -> int:
        """Publish an image and its detections with the stamp of now; returns the stamp."""
        stamp = self.now()
        self.send_image(frame, stamp)
        self.send_detections(boxes, stamp)
        return stamp

    def answer_to(self, stamp: int, timeout: float = 20.0) -> SkeletonArray:
        """The skeletons of the image with that stamp."""
        return self.wait(
            lambda: next((m for m in self.heard["skeletons"] if nanoseconds(m) == stamp), None),
            timeout,
            f"skeletons of stamp {stamp}; diagnostics: {self.values()}",
        )

    def answered_pair(self, frame: np.ndarray, boxes: list[list[float]]) -> SkeletonArray:
        """Publish pairs until one is answered (best effort images may be lost)."""
        for _ in range(10):
            stamp = self.send_pair(frame, boxes)
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                for message in list(self.heard["skeletons"]):
                    if nanoseconds(message) == stamp:
                        return message
                time.sleep(0.01)
        pytest.fail(f"no answer to 10 pairs; diagnostics: {self.values()}")

    # --- what is asked ---------------------------------------------------------------------------

    def reports(self) -> list[dict[str, Any]]:
        """The node's diagnostics so far by the short names: engine, input, output."""
        prefix = f"{self.namespace}/{self.peer}: "
        reports = [
            {s.name.removeprefix(prefix): s for s in message.status if s.name.startswith(prefix)}
            for message in list(self.heard["/diagnostics"])
        ]
        return [report for report in reports if report]

    def statuses(self) -> dict[str, Any]:
        """The node's last diagnostics by the short name: engine, input, output."""
        return next(iter(self.reports()[-1:]), {})

    def values(self) -> dict[str, str]:
        """Key and value of the node's last diagnostics."""
        return {v.key: v.value for s in self.statuses().values() for v in s.values}

    def wait_for_drops(self, expected: dict[str, int], timeout: float = 10.0) -> None:
        """Wait until the diagnostics count exactly these drops."""

        def drops() -> dict[str, int]:
            return {
                key.removeprefix("dropped."): int(value)
                for key, value in self.values().items()
                if key.startswith("dropped.")
            }

        deadline = time.monotonic() + timeout
        while drops() != expected and time.monotonic() < deadline:
            time.sleep(0.1)
        assert drops() == expected

    def call(self, kind: Any, service: str, request: Any, timeout: float = 20.0) -> Any:
        client = self.node.create_client(kind, service)
        try:
            assert client.wait_for_service(timeout), service
            future = client.call_async(request)
            self.wait(future.done, timeout, service)
            return future.result()
        finally:
            self.node.destroy_client(client)

    def transition(self, number: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=number))
        return self.call(ChangeState, f"{self.peer}/change_state", request).success

    def state(self) -> str:
        return self.call(GetState, f"{self.peer}/get_state", GetState.Request()).current_state.label

    def set_parameters(self, atomically: bool = False, **values: Any) -> list[SetParametersResult]:
        parameters: list[Parameter] = [
            RclpyParameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
        if atomically:
            request = SetParametersAtomically.Request(parameters=parameters)
            service = f"{self.peer}/set_parameters_atomically"
            return [self.call(SetParametersAtomically, service, request).result]
        request = SetParameters.Request(parameters=parameters)
        return self.call(SetParameters, f"{self.peer}/set_parameters", request).results

    def get_parameter(self, name: str) -> Any:
        request = GetParameters.Request(names=[name])
        value = self.call(GetParameters, f"{self.peer}/get_parameters", request).values[0]
        return RclpyParameter.from_parameter_msg(Parameter(name=name, value=value)).value

    def close(self) -> None:
        self._executor.shutdown()
        self._spinner.join(5)
        self.node.destroy_node()


class SimulatedClock:
    """The clock of a node that runs under use_sim_time."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._clock = robot.node.create_publisher(Clock, "/clock", RELIABLE)
        robot.wait(self._clock.get_subscription_count)

    def tick(self, time: int) -> None:
        """Publish it once; the node may miss it, since it takes /clock as best effort."""
        self._clock.publish(Clock(clock=header(time).stamp))

    def set(self, time: int) -> None:
        """Publish it until the node has it: its reports bear its time."""
        name = f"{self._robot.namespace}/{self._robot.peer}: input"

        def arrived() -> bool:
            self.tick(time)
            messages = self._robot.heard["/diagnostics"]
            own = [m for m in messages if any(status.name == name for status in m.status)]
            return bool(own) and nanoseconds(own[-1]) == time

        self._robot.wait(arrived, what="the time in the node's reports")


class NodeUnderTest:
    """The installed executable of a node; parameters and remaps as on a command line."""

    def __init__(self, executable: str, namespace: str, arguments: list[str], log: Path) -> None:
        from ament_index_python.packages import get_package_prefix

        path = Path(get_package_prefix("hrnet_pose_ros"), "lib", "hrnet_pose_ros", executable)
        self._log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [str(path), "--ros-args", "-r", f"__ns:={namespace}", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"RCUTILS_COLORIZED_OUTPUT": "0"},
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def memory(self) -> int:
        """Resident bytes of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def shared_memory(self) -> set[str]:
        """The segments of Fast DDS that the process has mapped: its own and its peers'."""
        maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        return set(re.findall(r"/dev/shm/fastrtps_[0-9a-f]{16}\b", maps))

    def blocks(self, number: signal.Signals) -> bool:
        """Whether the process has blocked a signal, as `process.run` does first of all."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        mask = int(status.split("SigBlk:")[1].split()[0], 16)
        return bool(mask >> (number - 1) & 1)

    def signal(self, number: signal.Signals, timeout: float = 20.0) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def header(stamp: int, frame_id: str = FRAME_ID) -> Header:
    result = Header(frame_id=frame_id)
    result.stamp.sec, result.stamp.nanosec = divmod(stamp, 10**9)
    return result


def nanoseconds(message: Any) -> int:
    """The stamp of a message with a header."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
