# SPDX-License-Identifier: Apache-2.0
"""What other software takes of people, over DDS: made only while somebody subscribes to it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from ros_robot import RELIABLE, Robot
from some_people import TYPES, output, person

from hrnet_pose_ros.fusion.person import PeopleStatus
from hrnet_pose_ros.nodes.people import outputs
from hrnet_pose_ros.nodes.people.outputs import OUTPUTS, PeopleOutputs
from hrnet_pose_ros.pipeline.message_types import RclpyClasses
from hrnet_pose_ros.ros.log import ThrottledWarnings


class Warnings(ThrottledWarnings):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, kind: str, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many messages have been made, by topic."""
    counts: Counter[str] = Counter()

    def counted(one: outputs.Output) -> outputs.Output:
        def make(*arguments: Any) -> Any:
            counts[one.topic] += 1
            return one.make(*arguments)

        return replace(one, make=make)

    monkeypatch.setattr(outputs, "OUTPUTS", tuple(map(counted, OUTPUTS)))
    return counts


@pytest.fixture
def publishing(robot: Robot) -> Iterator[Callable[..., None]]:
    """``publishing(people)``: publishes them on the robot's own node, as the fusion node does."""
    warnings = Warnings()
    publishers = PeopleOutputs(robot.node, TYPES, warnings)

    def publish(*people: Any, **fields: Any) -> list[str]:
        publishers.publish(output(*people, **fields))
        return warnings.texts

    return publish


def test_each_is_made_only_while_somebody_subscribes(
    robot: Robot, made: Counter[str], publishing: Callable[..., list[str]]
) -> None:
    publishing(person())
    assert not made  # nobody subscribes
    consumer = Robot(robot.namespace)
    topics = []
    for one in OUTPUTS:
        consumer.listen(TYPES[one.message], one.topic, RELIABLE)
        topics.append(one.topic)

        def heard(topic: str = one.topic) -> list[Any]:
            publishing(person())
            return consumer.heard[topic]

        consumer.wait(heard, what=one.topic)
        assert sorted(made) == sorted(topics)
    consumer.close()

    def left_alone() -> bool:
        before = made.total()
        publishing(person())
        return made.total() == before

    robot.wait(left_alone, what="nothing is made any more")


def settled(robot: Robot, topics: list[str]) -> dict[str, int]:
    """How many messages each topic has brought, once half a second has brought no more."""
    while True:
        before = {topic: len(robot.heard[topic]) for topic in topics}
        time.sleep(0.5)  # a busy machine delivers late
        if before == {topic: len(robot.heard[topic]) for topic in topics}:
            return before


def test_a_fault_is_silence(robot: Robot, publishing: Callable[..., list[str]]) -> None:
    """A consumer's watchdog must stop the robot: no message, not even an empty one."""
    for one in OUTPUTS:
        robot.listen(TYPES[one.message], one.topic, RELIABLE)
    topics = [one.topic for one in OUTPUTS]
    robot.wait(lambda: publishing() or all(robot.heard[topic] for topic in topics), what="all")
    before = settled(robot, topics)
    publishing(status=PeopleStatus.ERROR)
    robot.wait(lambda: len(robot.heard["people/markers"]) > before["people/markers"])
    time.sleep(0.2)
    # Markers are deleted: that is how RViz shows a fault.
    assert [topic for topic in topics if len(robot.heard[topic]) > before[topic]] == [
        "people/markers"
    ]


def test_an_output_that_fails_takes_nothing_from_the_others(
    robot: Robot, publishing: Callable[..., list[str]]
) -> None:
    for one in OUTPUTS:
        robot.listen(TYPES[one.message], one.topic, RELIABLE)
    lost = person("9", std=(300.0, 300.0))
    others = [one.topic for one in OUTPUTS if one.topic != "people/cloud"]
    robot.wait(lambda: publishing(lost) and all(robot.heard[topic] for topic in others))
    assert not robot.heard["people/cloud"]
    assert any("no people/cloud: person 9 may be anywhere" in text for text in publishing(lost))


def test_an_output_without_its_package_is_off(
    robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vision_msgs.msg", raising=False)
    monkeypatch.setitem(sys.modules, "vision_msgs", None)  # an import of it raises ImportError
    said: list[str] = []
    logger = type("Logger", (), {"info": staticmethod(said.append)})
    monkeypatch.setattr(robot.node, "get_logger", lambda: logger)
    made = PeopleOutputs(robot.node, RclpyClasses(), Warnings())
    assert len(made.for_consumers) == 2  # without markers
    assert said == [
        "people/detections3d is off: vision_msgs is not installed "
        "(apt install ros-$ROS_DISTRO-vision-msgs)"
    ]
