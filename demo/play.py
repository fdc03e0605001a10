# SPDX-License-Identifier: Apache-2.0
"""Plays a clip in real time over DDS and records what the nodes answer."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo
from vision_msgs.msg import Detection2DArray

from demo.clips import Clip, time_message
from hrnet_pose_ros.msg import SkeletonArray, SkeletonInfo
from hrnet_pose_ros.pipeline.stamps import nanoseconds
from hrnet_pose_ros.progress import progress

ANSWERS: dict[str, type] = {
    "/skeletons": SkeletonArray,
    "/skeleton_info": SkeletonInfo,
    "/diagnostics": DiagnosticArray,
}
_RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class NotReadyError(RuntimeError):
    """The nodes did not come up in time."""


@dataclass
class Recording:
    """What was heard: ``(topic, steady arrival in ns on the wall clock, CDR bytes)``, and when.

    ``offset`` is what was added to the clip's stamps, nanoseconds.
    """

    offset: int = 0
    seconds: float = 0.0
    messages: list[tuple[str, int, bytes]] = field(default_factory=list)

    def of(self, topic: str) -> list[Any]:
        """The messages of a topic, in the order of arrival."""
        return [
            deserialize_message(data, ANSWERS[topic])
            for name, _, data in self.messages
            if name == topic
        ]


class Stage(Node):
    """The camera, the detector's voice and the listener of the demo."""

    def __init__(self, clip: Clip) -> None:
        super().__init__("demo")
        self.recording = Recording()
        self._counts: Counter[str] = Counter()
        self._clip = clip
        self._voices = {topic: self._voice(topic, kind) for topic, kind in clip.topics.items()}
        for topic in ANSWERS:
            self.create_subscription(
                ANSWERS[topic],
                topic,
                lambda data, topic=topic: self._hear(topic, data),
                _LATCHED if topic == "/skeleton_info" else _RELIABLE,
                raw=True,
            )

    def _voice(self, topic: str, kind: type) -> Any:
        # A camera is best effort, as drivers are; shared memory is what makes that work.
        camera = kind not in (Detection2DArray, CameraInfo)
        return self.create_publisher(kind, topic, qos_profile_sensor_data if camera else _RELIABLE)

    def _hear(self, topic: str, data: bytes) -> None:
        self.recording.messages.append((topic, time.time_ns(), bytes(data)))
        self._counts[topic] += 1

    def count(self, topic: str) -> int:
        """Messages heard on a topic."""
        return self._counts[topic]

    def wait_until_ready(self, timeout: float) -> None:
        """Wait for an engine's SkeletonInfo and for subscribers of all that will be published."""
        # A clip without detections is for a detector beside the pose node.
        listeners = 1 if self._clip.has_detections else 2
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            listened = all(
                voice.get_subscription_count() >= listeners or topic.endswith("camera_info")
                for topic, voice in self._voices.items()
            )
            if listened and self.count("/skeleton_info"):
                return
            time.sleep(0.05)
        raise NotReadyError(f"the nodes were not ready after {timeout:.0f} s; see their log above")

    def play(self) -> None:
        """Publish the clip at its own pace, stamped as if it happened now."""
        begin = time.time_ns() + 100_000_000
        self.recording.offset = begin - self._clip.start
        with progress("playing", "image", self._clip.images) as bar:
            for event in self._clip.events():
                header = event.message.header
                header.stamp = time_message(nanoseconds(header.stamp) + self.recording.offset)
                wait = (begin + event.at - time.time_ns()) / 1e9
                if wait > 0:
                    time.sleep(wait)
                self._voices[event.topic].publish(event.message)
                if event.topic.startswith(self._clip.image_topic):
                    bar.update()
                    bar.set_postfix(answers=self.count("/skeletons"), refresh=False)
        self.recording.seconds = (time.time_ns() - begin) / 1e9

    def settle(self, quiet: float, timeout: float) -> None:
        """Wait until nothing but diagnostics has come for a while, and for two of those."""
        deadline = time.monotonic() + timeout
        answers, since = -1, time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - since < quiet:
            now = self.count("/skeletons")
            if now != answers:
                answers, since = now, time.monotonic()
            time.sleep(0.05)
        diagnostics = self.count("/diagnostics")
        while time.monotonic() < deadline and self.count("/diagnostics") < diagnostics + 2:
            time.sleep(0.05)


@contextlib.contextmanager
def stage_of(clip: Clip) -> Iterator[Stage]:
    """A stage that listens on a thread of its own until the block ends."""
    rclpy.init()
    stage = Stage(clip)
    executor = SingleThreadedExecutor()
    executor.add_node(stage)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    spinner = threading.Thread(target=spin, daemon=True)
    spinner.start()
    try:
        yield stage
    finally:
        executor.shutdown()
        spinner.join(5)
        stage.destroy_node()
        rclpy.try_shutdown()


def perform(clip: Clip, ready_timeout: float) -> Recording:
    """Play the clip to the nodes that run, and return what they answered."""
    with stage_of(clip) as stage:
        stage.wait_until_ready(ready_timeout)
        stage.play()
        stage.settle(quiet=1.0, timeout=20.0)
    return stage.recording
