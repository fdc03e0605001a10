# SPDX-License-Identifier: Apache-2.0
"""A robot with all sensors: it plays a bag to the fusion node over real DDS, in simulated time."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from ros_robot import LATCHED, RELIABLE, NodeUnderTest, Robot, SimulatedClock, nanoseconds

from hrnet_pose_ros.msg import PersonArray
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.replay.bags import BagReader

NODE = "person_fusion"
# The bag's topics that the node takes; the truth and pictures are not for it.
PLAYED = {
    *("/skeletons", "/skeleton_info", "/camera_info", "/depth", "/depth/camera_info"),
    *("/points", "/scan", "/imu", "/odom", "/tf", "/tf_static"),
    *("/range/left", "/range/front_left", "/range/front_right", "/range/right"),
}
LARGE = {"/points", "/depth", "/scan"}
RANGE_TOPICS = "['range/left', 'range/front_left', 'range/front_right', 'range/right']"
_STATIC = QoSProfile(
    depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class SensorRobot(Robot):
    """Publishes what a bag holds in its namespace, TF included; listens to people.

    ``sent`` counts by topic of the bag; ``unanswered`` are the stamps without people.
    """

    def __init__(self, namespace: str, bag: Path) -> None:
        super().__init__(namespace, peer=NODE)
        self.listen(PersonArray, "people", RELIABLE)
        self.sent: Counter[str] = Counter()
        self.unanswered: list[int] = []
        self._publishers: dict[str, Any] = {}
        with BagReader(bag) as reader:
            self.messages = [
                (one.time, one.topic, one.data)
                for one in reader.messages(sorted(PLAYED & set(reader.topics)))
            ]
            classes = RclpyClasses()
            self.kinds = {name: classes[info.type] for name, info in reader.topics.items()}
        for topic in sorted(PLAYED & set(self.kinds)):
            qos = {"/skeleton_info": LATCHED, "/tf_static": _STATIC}.get(topic, RELIABLE)
            self._publishers[topic] = self.node.create_publisher(self.kinds[topic], topic[1:], qos)

    def arguments(self) -> list[str]:
        """The remaps and parameters of the node: TF in the robot's namespace."""
        space = self.namespace
        return [
            *("-r", f"/tf:={space}/tf", "-r", f"/tf_static:={space}/tf_static"),
            *("-p", f"range_topics:={RANGE_TOPICS}"),
        ]

    def reliable(self) -> list[str]:
        """Parameters of the node with which nothing of large sensors is lost on its way."""
        return [
            word
            for topic in sorted(LARGE)
            for word in (
                "-p",
                f"qos_overrides.{self.namespace}{topic}.subscription.reliability:=reliable",
            )
        ]

    def wait_until_heard(self, node: NodeUnderTest) -> None:
        """Wait until the node has subscribed to everything."""

        def heard() -> bool:
            subscribed = all(one.get_subscription_count() for one in self._publishers.values())
            return node.process.poll() is not None or subscribed

        self.wait(heard, 60, "the node's subscriptions")
        assert node.process.poll() is None, node.log

    def accounts(self) -> dict[str, Counter[str]]:
        """What became of the messages of each input, by the node's last diagnostics.

        The keys are ``received``, ``used``, ``refused``, ``waiting``, ``lost``, and ``sent`` by
        this robot.
        """
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for one in self.statuses()["input"].values:
            kind, _, rest = one.key.partition(".")
            if kind in ("received", "used", "refused", "waiting", "lost"):
                found[rest.split(".")[0]][kind] += int(one.value)
        for topic, count in self.sent.items():
            found["range" if topic.startswith("/range/") else topic[1:]]["sent"] += count
        return found

    def reckon(self) -> None:
        """Hold the node's counts to what was sent: nothing may be lost within the node."""
        for name, tally in self.accounts().items():
            if not tally["sent"]:
                continue
            parts = tally["used"] + tally["refused"] + tally["waiting"]
            assert tally["received"] == parts, (name, tally)
            # The first messages may come before the node's end of a topic is there.
            least = tally["sent"] - max(5, tally["sent"] // 20)
            assert least <= tally["received"] <= tally["sent"], (name, tally)

    def publish(self, topic: str, message: Any) -> None:
        self._publishers[topic].publish(message)
        self.sent[topic] += 1

    def play(
        self,
        clock: SimulatedClock,
        answered: Callable[[int], bool],
        until: int = 2**62,
        since: int = 0,
    ) -> None:
        """Play the bag, or what lies between two times of it, ns.

        Wait for the answer to skeletons that ``answered``, by their arrival, has: so the machine's
        speed plays no part. Without skeletons, the time passes as it is. The first messages may not
        be answered: the node's end of a topic can be later than the robot's.
        """
        paused = 0
        for at, topic, data in self.messages:
            if at <= since:
                continue
            if at > until:
                return
            if at - paused > 100_000_000:
                paused = at
                time.sleep(0.1)
            clock.tick(at)
            message = deserialize_message(data, self.kinds[topic])
            if topic == "/skeletons":  # what came before is there before, if it is reliable
                for name in LARGE & set(self._publishers):
                    self._publishers[name].wait_for_all_acked(Duration(seconds=0.2))
            self.publish(topic, message)
            if topic == "/skeletons":
                stamp = nanoseconds(message)
                if answered(at) and not self.people_at(stamp):
                    self.unanswered.append(stamp)

    def people_at(self, stamp: int, timeout: float = 3.0) -> PersonArray | None:
        """The people of the image with that stamp, or None."""

        def found() -> PersonArray | None:
            heard = reversed(self.heard["people"])
            return next((message for message in heard if nanoseconds(message) == stamp), None)

        return self.wait(found, timeout, fail=False)
