# SPDX-License-Identifier: Apache-2.0
"""The node `pedestrian_guard` over DDS: people, every fault of its inputs, lifecycle, parameters.

One node for most tests of this module, in their order.
"""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from geometry_msgs.msg import Point, Twist
from guard_robot import FORWARD, NODE, PARAMETERS, STEP, YAW_RATE, GuardRobot, twist
from lifecycle_msgs.msg import Transition
from node_fixtures import Nodes
from rclpy.parameter import Parameter
from ros_robot import RELIABLE, header
from std_srvs.srv import Trigger

from hrnet_pose_ros.msg import Person, PersonArray
from hrnet_pose_ros.nodes import pedestrian_guard_node
from hrnet_pose_ros.pipeline.guard.speed_limits import SLOWEST, speed_limit

CRAWL = 0.2  # m/s: the default
EXECUTABLE = "pedestrian_guard_node"


@pytest.fixture(scope="module")
def nodes(ros: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path_factory.mktemp("nodes"))
    yield nodes
    nodes.close()


@pytest.fixture(scope="module")
def guard(nodes: Nodes) -> Iterator[tuple[GuardRobot, Any]]:
    robot = GuardRobot("/guarded")
    node = nodes.start(robot.namespace, executable=EXECUTABLE, **PARAMETERS)
    robot.begin(node)
    yield robot, node
    robot.close()


@pytest.fixture
def robot(guard: tuple[GuardRobot, Any]) -> GuardRobot:
    """The robot, which drives freely; what failed before has been mended."""
    robot, _ = guard
    robot.reset()
    robot.advance_until(lambda: robot.speeds[-1] == FORWARD, "free")
    return robot


def report(robot: GuardRobot) -> dict[str, str]:
    """The values of a report that is made from now on."""
    count = len(robot.reports())
    robot.wait(lambda: len(robot.reports()) > count + 1, what="reports")
    return robot.values()


def test_nothing_moves_before_people_have_come(guard: tuple[GuardRobot, Any]) -> None:
    robot, node = guard
    robot.people = None
    speeds = robot.advance_until(lambda: "no_people" in robot.label, "named")
    assert max(speeds) <= CRAWL
    robot.advance_until(lambda: robot.speeds[-1] == 0.0, "stopped")
    assert "This is not a safety function" in node.log


def test_a_person_ahead_limits_the_speed_on_the_same_arc(robot: GuardRobot) -> None:
    robot.who = [(1.6, 0.1)]
    robot.advance_until(lambda: "separation (0)" in robot.label, "limited")
    slow = robot.twists[-1]
    assert 0 < slow.linear.x < FORWARD
    assert slow.angular.z / slow.linear.x == pytest.approx(YAW_RATE / FORWARD)
    robot.who = [(1.0, 0.0)]
    robot.advance_until(lambda: robot.speeds[-1] == 0.0, "stopped")
    robot.advance_until(lambda: robot.label.startswith("stop: "), "named")
    robot.advance(12)  # until the vehicle is believed to stand
    values = report(robot)
    assert values["action"] == "stop" and values["person_id"] == "0"
    terms = {key: float(value) for key, value in values.items() if key.startswith("separation.")}
    total = terms.pop("separation.total_m")
    assert set(terms) == {
        f"separation.{one}_m"
        for one in ("human", "reaction", "braking", "intrusion", "uncertainty", "child")
    }
    assert total == pytest.approx(sum(terms.values()), abs=0.01)
    assert float(values["distance_m"]) == pytest.approx(1.0 - 0.3 - 0.65, abs=0.02)
    assert float(values["latency_ms.p50"]) > 0
    robot.who = []
    gone = robot.now
    robot.advance_until(lambda: robot.speeds[-1] == FORWARD, "free again")
    assert robot.now - gone >= 150_000_000, "hysteresis"


def sends(**fields: Any) -> Callable[[GuardRobot], None]:
    """Changes what the robot sends."""
    return lambda robot: vars(robot).update(fields)


def jumps(seconds: float) -> Callable[[GuardRobot], None]:
    """The clock jumps, and people do not come again."""

    def jump(robot: GuardRobot) -> None:
        robot.now += round(seconds * 1e9)
        robot.people = None

    return jump


def stalls(robot: GuardRobot) -> None:
    """Time passes that the node does not have."""
    robot.now += 8 * STEP


NOWHERE = Person(id="9", position=Point(x=math.nan), existence=0.9)


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (sends(people=None), "people_too_old"),
        (sends(people=PersonArray(status=PersonArray.ERROR)), "people_error"),
        (sends(people=PersonArray(status=7)), "people_invalid"),
        (sends(frame="map"), "people_invalid"),
        (sends(people=PersonArray(people=[NOWHERE])), "person_invalid"),
        (sends(people_age=600_000_000), "people_too_old"),
        (sends(people_age=-600_000_000), "people_in_future"),
        (sends(command=twist(math.nan, 0.0)), "command_invalid"),
        (sends(command=twist(FORWARD, math.inf)), "command_invalid"),
        (sends(command=None), "command_too_old"),
        (jumps(-5.0), "clock_jumped_back"),
        (jumps(20.0), "clock_jumped_forwards"),
    ],
)
def test_every_fault_leads_to_a_crawl_and_to_zero(
    robot: GuardRobot, fail: Callable[[GuardRobot], None], reason: str
) -> None:
    before = int(robot.values().get(f"decided.{reason}", 0))
    fail(robot)
    begin = len(robot.twists)
    robot.advance_until(lambda: robot.speeds[-1] == 0.0, "stopped")
    robot.advance(3)
    assert robot.speeds[-1] == 0.0
    slow = [one for one in robot.twists[begin:] if one.linear.x < 0.99]
    crawling = [one for one in slow if one.linear.x > 0]
    assert crawling and max(one.linear.x for one in crawling) <= CRAWL
    for one in crawling:
        assert one.angular.z / one.linear.x == pytest.approx(YAW_RATE / FORWARD)
    robot.wait(lambda: int(robot.values().get(f"decided.{reason}", 0)) > before, what=reason)


def test_overload_is_named_and_slow(robot: GuardRobot) -> None:
    stalls(robot)
    speed = robot.advance_until(lambda: robot.speeds[-1] < FORWARD, "slow", most=3)[-1]
    assert speed <= CRAWL
    robot.wait(lambda: int(robot.values().get("decided.overload", 0)) > 0, what="overload")
    assert robot.statuses()["input"].level != b"\x00"


def test_degraded_people_limit_the_speed(robot: GuardRobot) -> None:
    robot.people = PersonArray(status=PersonArray.DEGRADED)
    robot.advance_until(lambda: "people_degraded" in robot.label, "named")
    assert 0.3 < robot.speeds[-1] <= 0.5


def test_planners_are_told_what_is_allowed(robot: GuardRobot) -> None:
    """On the topic and in the type of nav2's controllers, once somebody subscribes."""
    nav2 = pytest.importorskip("nav2_msgs.msg")
    robot.listen(nav2.SpeedLimit, "speed_limit", RELIABLE)

    def last() -> float:
        heard = robot.heard["speed_limit"]
        assert all(one.header.frame_id == "base_link" and not one.percentage for one in heard)
        return heard[-1].speed_limit if heard else math.nan

    robot.advance_until(lambda: last() == 0.0, "told that there is no limit")
    robot.who = [(3.0, 0.0)]
    robot.advance_until(lambda: 0.1 < last() < 1.5, "told a limit")
    robot.who = [(1.0, 0.0)]
    robot.advance_until(lambda: last() == SLOWEST, "told to stop: 0 would be no limit")
    robot.who = []
    robot.advance_until(lambda: last() == 0.0, "told that it is over")
    robot.who = [(1.0, 0.0)]
    robot.advance_until(lambda: last() == SLOWEST, "told to stop")
    assert robot.transition(Transition.TRANSITION_DEACTIVATE)
    robot.wait(lambda: last() == 0.0, what="told that the guard limits nothing any more")
    robot.who = []
    assert robot.transition(Transition.TRANSITION_ACTIVATE)


def test_no_limit_follows_the_last_word(ros: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planners would keep a limit that comes after the guard has said that there is none."""
    values = [Parameter("autostart", value=False)]
    node = pedestrian_guard_node.PedestrianGuardNode(parameter_overrides=values)
    said: list[float] = []
    ends: list[threading.Thread] = []

    class Planner:
        def get_subscription_count(self) -> int:
            return 1

        def publish(self, message: Any) -> None:
            said.append(message.speed_limit)

    def interrupted(*arguments: Any) -> Any:
        if not ends:  # the node is deactivated while it makes a limit
            ends.append(threading.Thread(target=node.on_deactivate, args=(None,)))
            ends[0].start()
            ends[0].join(0.3)
        return speed_limit(*arguments)

    monkeypatch.setattr(node, "_limits", Planner())
    monkeypatch.setattr(pedestrian_guard_node, "speed_limit", interrupted)
    try:
        node.on_activate(None)
        node._on_show()
        assert not said  # no limit at all would be wrong
        node._on_tick()
        node._on_show()  # nobody has sent people: the vehicle may crawl
        ends[0].join(5.0)
        assert said == [CRAWL, 0.0]
    finally:
        node.stop()
        node.destroy_node()


def test_people_of_a_second_node_are_told_of(robot: GuardRobot) -> None:
    robot.people_age += 200_000_000
    robot.send_people()
    robot.wait(lambda: "older than the one" in robot.statuses()["input"].message, what="told")


def test_every_message_is_accounted_for(robot: GuardRobot) -> None:
    values = report(robot)
    for name in ("people", "cmd_vel_in"):
        refused = sum(int(v) for k, v in values.items() if k.startswith(f"refused.{name}."))
        assert int(values[f"received.{name}"]) == int(values[f"used.{name}"]) + refused
        assert refused > 0
    status = json.loads(robot.call(Trigger, f"{NODE}/get_status", Trigger.Request()).message)
    assert status["state"] == "active" and status["output"]["values"]["published"] > 100


def test_parameters(robot: GuardRobot) -> None:
    refused = robot.set_parameters(human_speed=99.0)[0]
    assert not refused.successful
    assert all(word in refused.reason for word in ("human_speed", "99.0", "0.1", "10"))
    refused = robot.set_parameters(crawl_speed=0.4)[0]
    assert not refused.successful
    assert "crawl_speed is 0.4; allowed: up to blind_speed, which is 0.3" in refused.reason
    refused = robot.set_parameters(footprint="round")[0]
    assert not refused.successful and "allowed: corners like" in refused.reason
    start_only = robot.set_parameters(enable_stamped_cmd_vel=True)[0]
    assert not start_only.successful and "at start only" in start_only.reason
    # A vehicle that is longer stops for a person further away; nothing pauses for the change.
    robot.who = [(5.5, 0.0)]
    robot.advance(4)
    assert robot.speeds[-1] > CRAWL
    longer = "[[4.9, 0.3], [4.9, -0.3], [-0.3, -0.3], [-0.3, 0.3]]"
    assert robot.set_parameters(footprint=longer)[0].successful
    robot.advance_until(lambda: robot.speeds[-1] == 0.0, "stopped")
    default = "[[0.65, 0.3], [0.65, -0.3], [-0.35, -0.3], [-0.35, 0.3]]"
    assert robot.set_parameters(footprint=default)[0].successful


def test_inactive_it_says_zero_and_then_nothing(robot: GuardRobot) -> None:
    assert robot.speeds[-1] == FORWARD
    assert robot.transition(Transition.TRANSITION_DEACTIVATE)
    robot.wait(lambda: robot.speeds[-1] == 0.0, what="zero")
    count = len(robot.speeds)
    robot.send_command()
    robot.send_people()
    robot.wait(lambda: "refused.cmd_vel_in.not_active" in robot.values(), what="the count")
    robot.wait(lambda: robot.statuses()["input"].message == "not active", what="no old fault")
    assert len(robot.speeds) == count
    assert robot.transition(Transition.TRANSITION_ACTIVATE)
    robot.advance_until(lambda: robot.speeds[-1] == FORWARD, "free")


def test_the_last_word_is_zero(robot: GuardRobot, guard: tuple[GuardRobot, Any]) -> None:
    assert robot.speeds[-1] == FORWARD
    assert guard[1].signal(signal.SIGINT) == 0, guard[1].log
    robot.wait(lambda: robot.speeds[-1] == 0.0, what="zero")
    assert "Traceback" not in guard[1].log


def test_stamped_commands(ros: None, nodes: Nodes) -> None:
    robot = GuardRobot("/stamped", stamped=True)
    try:
        node = nodes.start(
            robot.namespace, executable=EXECUTABLE, enable_stamped_cmd_vel=True, **PARAMETERS
        )
        robot.begin(node)
        robot.advance_until(lambda: robot.speeds[-1] == FORWARD, "free")
        answer = robot.heard["cmd_vel"][-1]
        assert answer.header == header(robot.now, "base_link"), "that of the command"
        # Its own watchdog's answers have the time of the clock.
        robot.command = None
        robot.advance_until(lambda: robot.speeds[-1] == 0.0, "stopped")
        assert robot.heard["cmd_vel"][-1].header.frame_id == "base_link"
        # Stamps of another clock are not taken for a robot that is idle.
        robot.reset()
        robot.command_age = 3_600_000_000_000
        robot.advance(5)
        late = "command_too_old (stamped 3600"
        robot.wait(lambda: late in robot.statuses()["input"].message, what="told")
        # On a shutdown by a lifecycle manager, zero comes as well.
        robot.reset()
        robot.advance_until(lambda: robot.speeds[-1] == FORWARD, "free")
        assert robot.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        robot.wait(lambda: robot.speeds[-1] == 0.0, what="zero")
        assert node.signal(signal.SIGTERM) == 0, node.log
    finally:
        robot.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-p", "human_speed:=99.0"), "human_speed out of range Min: 0.1, Max: 10.0, value: 99.0"),
        (("-p", "footprint:='[[1, 2]]'"), "parameter footprint is '[[1, 2]]'"),
    ],
)
def test_a_wrong_parameter_is_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    nodes = Nodes(tmp_path)
    try:
        node = nodes.start("/wrong", *words, executable=EXECUTABLE)
        assert node.process.wait(60) == 1
        assert said in node.log and "Traceback" not in node.log
    finally:
        nodes.close()


def test_twists_are_what_the_base_takes() -> None:
    """Of all six numbers, none is lost."""
    from hrnet_pose_ros.guard.decision import Decision
    from hrnet_pose_ros.guard.inputs import VelocityCommand
    from hrnet_pose_ros.guard.reasons import GuardAction, GuardReason
    from hrnet_pose_ros.nodes.pedestrian_guard_node import twist_message

    command = VelocityCommand((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    message: Twist = twist_message(Decision(command, 1.0, GuardAction.NONE, GuardReason.NONE))
    assert VelocityCommand.of_message(message) == command
