# SPDX-License-Identifier: Apache-2.0
"""The node `person_fusion` over DDS: a drive in which every sensor dies and returns, then abuse.

One node for all tests of this module, in their order.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_drive import CAMERA_LATENCY, FAULTS, answered, wrong_status
from lifecycle_msgs.msg import Transition
from node_fixtures import Nodes
from ros_robot import RELIABLE, SimulatedClock, header, nanoseconds
from sensor_msgs.msg import Image, Imu, LaserScan, PointCloud2, PointField, Range
from sensor_robot import NODE, SensorRobot
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from hrnet_pose_ros.replay.bags import BagReader


class Drive:
    """The robot, its clock and the node, after the drive."""

    def __init__(self, robot: SensorRobot, node: Any, clock: SimulatedClock) -> None:
        self.robot, self.node, self.clock = robot, node, clock
        self.now = robot.messages[-1][0]

    def report(self) -> dict[str, str]:
        """The values of a report that is made from now on."""
        count = len(self.robot.reports())
        self.robot.wait(lambda: len(self.robot.reports()) > count + 1, what="reports")
        return self.robot.values()

    def advance(self, seconds: float) -> int:
        """Let the clock advance, with ticks of the node in between; returns the time, ns."""
        for _ in range(max(int(seconds / 0.05), 1)):
            self.now += 50_000_000
            self.clock.tick(self.now)
            time.sleep(0.06)
        return self.now


@pytest.fixture(scope="module")
def drive(ros: None, fault_bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    nodes = Nodes(tmp_path_factory.mktemp("nodes"))
    robot = SensorRobot("/people_drive", fault_bag)
    try:
        node = nodes.start(
            robot.namespace, *robot.arguments(), executable="person_fusion_node", use_sim_time=True
        )
        clock = SimulatedClock(robot)
        robot.wait_until_heard(node)
        clock.set(robot.messages[0][0] - 1)
        robot.wait(lambda: "active" in node.log, what="active")
        robot.play(clock, answered)
        yield Drive(robot, node, clock)
    finally:
        robot.close()
        nodes.close()


def test_the_status_is_right_in_time(drive: Drive) -> None:
    wrong, seen = [], set()
    for message in drive.robot.heard["people"]:
        time_of = nanoseconds(message) + (CAMERA_LATENCY if message.status != 2 else 0)
        wrong += [text] if (text := wrong_status(time_of, message.reasons)) else []
        seen.update(message.reasons)
        assert (message.status == 2) <= (not message.people)
        assert message.header.frame_id == "base_link"
    assert not wrong
    assert len(drive.robot.unanswered) <= 2, drive.node.log
    assert {one.word for one in FAULTS} <= seen


def test_every_message_is_accounted_for(drive: Drive) -> None:
    drive.advance(0.2)
    drive.report()
    drive.robot.reckon()
    output, cues = (
        {one.key: one.value for one in drive.robot.statuses()[name].values}
        for name in ("output", "cues")
    )
    assert int(cues["received.ground"]) > 100 and int(cues["used.lidar"]) > 50  # by person
    assert float(output["latency_ms.p50"]) >= 0 and float(output["age_ms.p50"]) > 50


def test_live_and_offline_agree(drive: Drive, fused_drive: tuple[Path, Any]) -> None:
    with BagReader(fused_drive[0]) as bag:
        offline = {nanoseconds(one.message): one.message for one in bag.messages(["/people"])}
    apart = []
    for message in drive.robot.heard["people"]:
        other = offline.get(nanoseconds(message))
        if message.status == 2 or other is None:
            continue
        places = {one.skeleton_index: one.position for one in other.people}
        for person in message.people:
            if person.skeleton_index >= 0:
                at = places[person.skeleton_index]
                apart.append(math.hypot(person.position.x - at.x, person.position.y - at.y))
    # Messages of different topics may overtake each other on the way.
    assert len(apart) > 100 and float(np.median(apart)) < 0.01
    assert float(np.percentile(apart, 95)) < 0.2


def test_markers_are_made_while_somebody_subscribes(drive: Drive) -> None:
    robot = drive.robot
    robot.listen(MarkerArray, "people/markers", RELIABLE)
    robot.wait(lambda: robot.node.count_publishers(f"{robot.namespace}/people/markers"), 10)
    drive.advance(1.0)  # ERROR: nobody sends skeletons
    robot.wait_for("people/markers")
    assert [one.action for one in robot.heard["people/markers"][0].markers] == [3]


def test_parameters(drive: Drive) -> None:
    robot = drive.robot
    assert robot.set_parameters(base_height=0.3)[0].successful
    refused = robot.set_parameters(base_height=99.0)[0]
    assert not refused.successful and "base_height" in refused.reason
    start_only = robot.set_parameters(base_frame="other")[0]
    assert not start_only.successful and "at start only" in start_only.reason
    assert robot.set_parameters(base_height=0.0)[0].successful
    answer = robot.call(Trigger, f"{NODE}/get_status", Trigger.Request())
    status = json.loads(answer.message)
    assert status["state"] == "active" and status["input"]["level"] == "ERROR"
    assert "skeletons_silent" in status["input"]["message"]


def test_garbage_is_counted_and_named(drive: Drive) -> None:
    robot = drive.robot
    now = drive.advance(0.1)
    before = drive.report()
    stamp = header(now, "lidar_link")
    fields = [PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
    clouds = [
        PointCloud2(header=stamp),
        PointCloud2(header=stamp, fields=fields, point_step=12, width=100, height=1, row_step=12),
        PointCloud2(header=stamp, fields=fields[:2], point_step=12, width=1, height=1),
    ]
    for cloud in clouds:
        robot.publish("/points", cloud)
    robot.publish("/depth", Image(header=header(now, "elsewhere"), encoding="bgr8"))
    robot.publish("/scan", LaserScan(header=header(now, "scan_link")))
    robot.publish("/range/left", Range(header=header(now, ""), range=math.nan))
    robot.publish("/imu", Imu(header=header(now, "imu_link")))

    def refused() -> bool:
        values = robot.values()

        def more(key: str) -> int:
            return int(values.get(key, 0)) - int(before.get(key, 0))

        points = sum(more(f"refused.points.{reason}") for reason in ("malformed", "empty"))
        others = ("depth.malformed", "scan.malformed", "range.no_extrinsics")
        return points == 3 and all(more(f"refused.{one}") == 1 for one in others)

    robot.wait(refused, what=f"the counts; {robot.values()}")
    assert "/depth: refused: the encoding of a depth image is 'bgr8'" in drive.node.log


def test_the_lifecycle(drive: Drive) -> None:
    robot = drive.robot
    assert robot.transition(Transition.TRANSITION_DEACTIVATE)
    count = len(robot.heard["people"])
    drive.advance(1.0)
    robot.publish("/points", PointCloud2(header=header(drive.now, "lidar_link")))
    robot.wait(lambda: "refused.points.not_active" in robot.values(), 20)
    assert len(robot.heard["people"]) == count, "an inactive node says nothing"
    assert robot.transition(Transition.TRANSITION_ACTIVATE)
    drive.advance(0.8)
    robot.wait(lambda: len(robot.heard["people"]) > count, what="an ERROR")


def test_time_jumps_back_and_the_drive_goes_on(drive: Drive) -> None:
    robot = drive.robot
    known = {person.id for message in robot.heard["people"] for person in message.people}
    robot.heard["people"].clear()
    first = robot.messages[0][0]
    drive.clock.set(first)
    robot.play(drive.clock, lambda at: False, until=first + 1_400_000_000)
    robot.wait(lambda: any(one.people for one in robot.heard["people"]), what="people again")
    again = {person.id for message in robot.heard["people"] for person in message.people}
    assert not known & again, "ids are never used twice"


def test_a_clean_end(drive: Drive) -> None:
    assert drive.node.signal(signal.SIGINT) == 0, drive.node.log
    assert "Traceback" not in drive.node.log


def test_a_wrong_parameter_is_one_line(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    try:
        words = ("-p", "extrinsics:=['camera 1 2 3']")
        node = nodes.start("/wrong", *words, executable="person_fusion_node")
        assert node.process.wait(30) == 1
        assert "FRAME X Y Z ROLL" in node.log and "Traceback" not in node.log
    finally:
        nodes.close()
