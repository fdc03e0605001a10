# SPDX-License-Identifier: Apache-2.0
"""Plays a clip in real time over DDS and records the messages of the nodes."""

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

RECORDED_TYPES: dict[str, type] = {
    "/skeletons": SkeletonArray,
    "/skeleton_info": SkeletonInfo,
    "/diagnostics": DiagnosticArray,
}
_RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class NotReadyError(RuntimeError):
    """The nodes were not ready in time."""


@dataclass
class Recording:
    """The received messages: ``(topic, arrival time in ns on the wall clock, CDR bytes)``.

    ``offset`` was added to the clip's stamps, nanoseconds; ``seconds`` is the playing time;
    ``images`` counts the images that were played.
    """

    offset: int = 0
    seconds: float = 0.0
    images: int = 0
    messages: list[tuple[str, int, bytes]] = field(default_factory=list)

    def of(self, topic: str) -> list[Any]:
        """The messages of a topic in order of arrival."""
        return [
            deserialize_message(data, RECORDED_TYPES[topic])
            for name, _, data in self.messages
            if name == topic
        ]


class DemoHarness(Node):
    """The node that publishes the clip as camera and detector and records the results."""

    def __init__(self, clip: Clip) -> None:
        super().__init__("demo")
        self.recording = Recording()
        self._counts: Counter[str] = Counter()
        self._clip = clip
        self._clip_publishers = {
            topic: self._make_publisher(topic, kind) for topic, kind in clip.topics.items()
        }
        for topic in RECORDED_TYPES:
            self.create_subscription(
                RECORDED_TYPES[topic],
                topic,
                lambda data, topic=topic: self._record(topic, data),
                _LATCHED if topic == "/skeleton_info" else _RELIABLE,
                raw=True,
            )

    def _make_publisher(self, topic: str, kind: type) -> Any:
        # Images are best effort, as with camera drivers; shared memory makes that reliable.
        camera = kind not in (Detection2DArray, CameraInfo)
        return self.create_publisher(kind, topic, qos_profile_sensor_data if camera else _RELIABLE)

    def _record(self, topic: str, data: bytes) -> None:
        self.recording.messages.append((topic, time.time_ns(), bytes(data)))
        self._counts[topic] += 1

    def count(self, topic: str) -> int:
        """Number of messages received on a topic."""
        return self._counts[topic]

    def wait_until_ready(self, timeout: float) -> None:
        """Wait for the SkeletonInfo of an engine and for subscribers on all published topics."""
        # Without detections in the clip, a detector node subscribes as well.
        listeners = 1 if self._clip.has_detections else 2
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            listened = all(
                publisher.get_subscription_count() >= listeners or topic.endswith("camera_info")
                for topic, publisher in self._clip_publishers.items()
            )
            if listened and self.count("/skeleton_info"):
                return
            time.sleep(0.05)
        raise NotReadyError(f"the nodes were not ready after {timeout:.0f} s; see their log above")

    def play(self) -> None:
        """Publish the clip at its original rate, with stamps shifted to the present."""
        begin = time.time_ns() + 100_000_000
        self.recording.offset = begin - self._clip.start
        with progress("playing", "image", self._clip.images) as bar:
            for event in self._clip.events():
                header = event.message.header
                header.stamp = time_message(nanoseconds(header.stamp) + self.recording.offset)
                wait = (begin + event.at - time.time_ns()) / 1e9
                if wait > 0:
                    time.sleep(wait)
                self._clip_publishers[event.topic].publish(event.message)
                if event.topic.startswith(self._clip.image_topic):
                    self.recording.images += 1
                    bar.update()
                    bar.set_postfix(answers=self.count("/skeletons"), refresh=False)
        self.recording.seconds = (time.time_ns() - begin) / 1e9

    def settle(self, quiet: float, timeout: float) -> None:
        """Wait until no skeletons arrive for ``quiet`` seconds, then for two more diagnostics."""
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
def running_harness(clip: Clip) -> Iterator[DemoHarness]:
    """A harness that receives messages on its own thread until the block ends."""
    rclpy.init()
    harness = DemoHarness(clip)
    executor = SingleThreadedExecutor()
    executor.add_node(harness)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    spinner = threading.Thread(target=spin, daemon=True)
    spinner.start()
    try:
        yield harness
    finally:
        executor.shutdown()
        spinner.join(5)
        harness.destroy_node()
        rclpy.try_shutdown()


def play_clip(clip: Clip, ready_timeout: float) -> Recording:
    """Play the clip to the running nodes and return the recorded messages."""
    with running_harness(clip) as harness:
        harness.wait_until_ready(ready_timeout)
        harness.play()
        harness.settle(quiet=1.0, timeout=20.0)
    return harness.recording
