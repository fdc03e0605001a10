# SPDX-License-Identifier: Apache-2.0
"""Plays a clip in real time over DDS and records the messages of the nodes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, Imu, LaserScan, PointCloud2, Range

from demo.clips import Playable, TimedMessage, shift_stamps, time_message
from hrnet_pose_ros.msg import SkeletonArray, SkeletonInfo
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.replay.bags import LATCHED_TOPICS

# Best effort, as drivers publish them; shared memory makes that reliable.
SENSOR_DATA = (Image, CompressedImage, PointCloud2, LaserScan, Range, Imu)
TRANSITION_TIMEOUT = 20.0  # s
_RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


@dataclass(frozen=True)
class NodeOutputs:
    """What the nodes publish.

    Attributes
    ----------
    types
        The topics that are recorded.
    ready
        The nodes are ready when the first message of this topic has come.
    answers
        The topic of the answers to images.
    is_answer
        Whether a message of that topic is one; by default, every message is.
    lifecycle_node
        A node that waits for a lifecycle manager: it is active while the clip is played, and
        inactive before and after. Empty if the nodes start by themselves.
    """

    types: Mapping[str, type]
    ready: str
    answers: str
    is_answer: Callable[[Any], bool] | None = None
    lifecycle_node: str = ""


POSE_OUTPUTS = NodeOutputs(
    {
        "/skeletons": SkeletonArray,
        "/skeleton_info": SkeletonInfo,
        "/diagnostics": DiagnosticArray,
    },
    ready="/skeleton_info",
    answers="/skeletons",
)


class NotReadyError(RuntimeError):
    """The nodes were not ready in time."""


@dataclass
class Recording:
    """The received messages: ``(topic, arrival time in ns on the wall clock, CDR bytes)``.

    ``offset`` was added to the clip's stamps, nanoseconds. The clip's ``start`` was played at
    ``begin``, ns on the wall clock, and ``rate`` seconds of it in one second. ``images`` counts the
    images that were played, and ``played`` has when each message was published, by topic, ns on the
    wall clock.
    """

    types: Mapping[str, type]
    offset: int = 0
    start: int = 0
    begin: int = 0
    rate: float = 1.0
    images: int = 0
    messages: list[tuple[str, int, bytes]] = field(default_factory=list)
    played: dict[str, list[int]] = field(default_factory=dict)

    def of(self, topic: str) -> list[Any]:
        """The messages of a topic in order of arrival."""
        return [self.message(name, data) for name, _, data in self.messages if name == topic]

    def clip_time(self, arrival: int) -> int:
        """The time of the clip at a time of the wall clock, ns."""
        return self.start + round((arrival - self.begin) * self.rate)

    def message(self, topic: str, data: bytes) -> Any:
        """A message of a topic from its CDR bytes."""
        return deserialize_message(data, self.types[topic])


class DemoHarness(Node):
    """The node that publishes what a clip contains and records what the nodes answer."""

    def __init__(self, clip: Playable, outputs: NodeOutputs) -> None:
        super().__init__("demo")
        self.recording = Recording(outputs.types)
        self._counts: Counter[str] = Counter()
        self._clip, self._outputs = clip, outputs
        self._latched = {
            topic
            for topic, kind in clip.topics.items()
            if kind is SkeletonInfo or topic in LATCHED_TOPICS
        }
        self._clip_publishers = {
            topic: self.create_publisher(kind, topic, self._played_qos(topic, kind))
            for topic, kind in clip.topics.items()
        }
        for topic, kind in outputs.types.items():
            self.create_subscription(
                kind,
                topic,
                lambda data, topic=topic: self._record(topic, data),
                _LATCHED if kind is SkeletonInfo else _RELIABLE,
                raw=True,
            )

    def _played_qos(self, topic: str, kind: type) -> QoSProfile:
        if topic in self._latched:
            return _LATCHED
        return qos_profile_sensor_data if kind in SENSOR_DATA else _RELIABLE

    def _record(self, topic: str, data: bytes) -> None:
        self.recording.messages.append((topic, time.time_ns(), bytes(data)))
        is_answer = self._outputs.is_answer if topic == self._outputs.answers else None
        if is_answer is None or is_answer(self.recording.message(topic, data)):
            self._counts[topic] += 1

    def count(self, topic: str) -> int:
        """Number of messages received on a topic; of answers, those that are some."""
        return self._counts[topic]

    def wait_until_ready(self, timeout: float) -> None:
        """Wait for the first message that says it, and for subscribers on all published topics."""
        deadline, listeners = time.monotonic() + timeout, self._clip.listeners
        while time.monotonic() < deadline:
            listened = all(
                publisher.get_subscription_count() >= listeners or topic.endswith("camera_info")
                for topic, publisher in self._clip_publishers.items()
            )
            if listened and self.count(self._outputs.ready):
                return
            time.sleep(0.05)
        raise NotReadyError(f"the nodes were not ready after {timeout:.0f} s; see their log above")

    def play(self, rate: float = 1.0) -> None:
        """Publish the clip; what it latches at its beginning comes first, as on a vehicle.

        ``rate`` 1: at its original rate, with stamps shifted to the present. Any other: so many
        seconds of the clip in one second, with its own stamps, and its time on ``/clock``.
        """
        recording = self.recording
        recording.rate, recording.start = rate, self._clip.start
        clock = None if rate == 1 else self.create_publisher(Clock, "/clock", _RELIABLE)
        recording.begin = time.time_ns()
        self._set_time(clock, 0)
        for event in self._clip.events() if self._latched else ():
            if not self._is_latched(event):
                break
            self._publish(event)
        self._change_state(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
        recording.begin = time.time_ns() + 100_000_000
        with progress("playing", "image", self._clip.images) as bar:
            for event in self._clip.events():
                if self._is_latched(event):
                    continue
                wait = (recording.begin + event.at / rate - time.time_ns()) / 1e9
                if wait > 0:
                    time.sleep(wait)
                self._set_time(clock, event.at)
                self._publish(event)
                if event.topic.startswith(self._clip.image_topic):
                    self.recording.images += 1
                    bar.update()
                    bar.set_postfix(answers=self.count(self._outputs.answers), refresh=False)

    def _set_time(self, clock: Publisher | None, at: int) -> None:
        """Publish the time of the clip, or find what its stamps are to be shifted by."""
        if clock is None:
            self.recording.offset = self.recording.begin - self._clip.start
        else:
            clock.publish(Clock(clock=time_message(self._clip.start + at)))

    def _is_latched(self, event: TimedMessage) -> bool:
        return event.at == 0 and event.topic in self._latched

    def _publish(self, event: TimedMessage) -> None:
        shift_stamps(event.message, self.recording.offset)
        self.recording.played.setdefault(event.topic, []).append(time.time_ns())
        self._clip_publishers[event.topic].publish(event.message)

    def settle(self, quiet: float, timeout: float) -> None:
        """Wait for an answer to every image, or until none arrives for ``quiet`` seconds.

        Then end the answers of a node that waits for a lifecycle manager, and wait for two more
        diagnostics.
        """
        self._wait_for_answers(quiet, time.monotonic() + timeout)
        self._change_state(Transition.TRANSITION_DEACTIVATE)
        deadline = time.monotonic() + timeout
        diagnostics = self.count("/diagnostics")
        while time.monotonic() < deadline and self.count("/diagnostics") < diagnostics + 2:
            time.sleep(0.05)

    def _wait_for_answers(self, quiet: float, deadline: float) -> None:
        answers, since = -1, time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - since < quiet:
            now = self.count(self._outputs.answers)
            if now >= self.recording.images:
                return
            if now != answers:
                answers, since = now, time.monotonic()
            time.sleep(0.05)

    def _change_state(self, *transitions: int) -> None:
        """Be the lifecycle manager of the node that waits for one, if there is such a node."""
        if not self._outputs.lifecycle_node:
            return
        service = f"{self._outputs.lifecycle_node}/change_state"
        client = self.create_client(ChangeState, service)
        for transition in transitions:
            if not client.wait_for_service(TRANSITION_TIMEOUT):
                raise NotReadyError(f"there is no service {service}; see the node's log above")
            future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
            deadline = time.monotonic() + TRANSITION_TIMEOUT
            while not future.done() and time.monotonic() < deadline:
                time.sleep(0.005)  # the executor's thread gets the answer
            if not future.done() or not future.result().success:
                raise NotReadyError(
                    f"transition {transition} by {service} failed or took more than "
                    f"{TRANSITION_TIMEOUT:.0f} s; see the node's log above"
                )


@contextlib.contextmanager
def running_harness(clip: Playable, outputs: NodeOutputs) -> Iterator[DemoHarness]:
    """A harness that receives messages on its own thread until the block ends."""
    rclpy.init()
    harness = DemoHarness(clip, outputs)
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


def play_clip(
    clip: Playable, outputs: NodeOutputs, ready_timeout: float, rate: float = 1.0
) -> Recording:
    """Play the clip to the running nodes and return the recorded messages.

    ``rate``: `DemoHarness.play`; other than 1, the nodes must use ``/clock``.
    """
    with running_harness(clip, outputs) as harness:
        harness.wait_until_ready(ready_timeout)
        harness.play(rate)
        harness.settle(quiet=1.0, timeout=20.0)
    return harness.recording
