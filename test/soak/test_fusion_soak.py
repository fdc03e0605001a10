# SPDX-License-Identifier: Apache-2.0
"""The fusion node while its sensors die and return, with stamps off, NaN, nothing, and no TF.

`make soak` plays ten drives of one minute, `make test` one of 15 s (HRNET_POSE_SOAK_SECONDS). Each
has faults of its own and a node of its own, which is ended by another signal. The time is
simulated: a slow machine takes longer, and finds nothing else.
"""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import pytest
from fault_drive import CAMERA_LATENCY, answered, random_faults, write_drive, wrong_status
from node_fixtures import Nodes
from ros_robot import SimulatedClock, nanoseconds
from sensor_robot import SensorRobot

from hrnet_pose_ros.msg import PersonArray

SECONDS = float(os.environ.get("HRNET_POSE_SOAK_SECONDS", "30"))
DRIVE = min(60.0, SECONDS / 2)
LIVES = max(1, round(SECONDS / 60))
ENDINGS = itertools.cycle([signal.SIGINT, signal.SIGTERM, signal.SIGKILL])


@pytest.mark.timeout(10 * SECONDS + 300)
def test_sensors_die_and_return(ros: None, tmp_path: Path) -> None:
    for life in range(LIVES):
        print(f"soak: drive {life}: {_drive(tmp_path / str(life), life)}")


def _drive(folder: Path, seed: int) -> str:
    folder.mkdir()
    faults = random_faults(seed, DRIVE)
    bag = write_drive(folder / "bag", DRIVE, faults)
    nodes, robot = Nodes(folder), SensorRobot(f"/people_soak_{seed}", bag)
    try:
        node = nodes.start(
            robot.namespace,
            *robot.arguments(),
            *robot.reliable(),
            executable="person_fusion_node",
            use_sim_time=True,
        )
        clock = SimulatedClock(robot)
        robot.wait_until_heard(node)
        first = robot.messages[0][0]
        clock.set(first - 1)
        robot.wait(lambda: "active" in node.log, 20, "active")
        robot.play(clock, lambda at: answered(at, faults), until=first + 4 * 10**9)
        early = node.memory()
        robot.play(clock, lambda at: answered(at, faults), since=first + 4 * 10**9)
        heard = list(robot.heard["people"])
        assert heard and node.process.poll() is None, node.log
        wrong = [
            text
            for one, at in ((one, _time_of(one)) for one in heard)
            # What comes late is answered late, when other sensors may have returned.
            if (one.status == PersonArray.ERROR or answered(at, faults))
            and (text := wrong_status(at, list(one.reasons), faults))
        ]
        assert not wrong, wrong
        assert len(robot.unanswered) <= 2, (robot.unanswered, node.log)
        seen = {reason for one in heard for reason in one.reasons}
        assert {one.word for one in faults if one.word} <= seen
        reports = len(robot.reports())
        robot.wait(lambda: len(robot.reports()) > reports + 1, 20, "reports")
        robot.reckon()
        growth = node.memory() / early - 1
        # The bag begins again: the stamps go back.
        clock.set(first)
        robot.play(clock, lambda at: False, until=first + 1_400_000_000)
        reports = len(robot.reports())
        robot.wait(lambda: len(robot.reports()) > reports + 1, 20, "reports")
        robot.reckon()
        ending = next(ENDINGS)
        code = node.signal(ending)
        assert code == (-signal.SIGKILL if ending is signal.SIGKILL else 0), node.log
        assert "Traceback" not in node.log
    finally:
        robot.close()
        nodes.close()
    refused = sum(one["refused"] for one in robot.accounts().values())
    received = sum(one["received"] for one in robot.accounts().values())
    return (
        f"{len(faults)} faults, {len(heard)} messages with {len(seen)} reasons, {received} received"
        f" ({refused} refused), {len(robot.unanswered)} unanswered, memory {growth:+.1%}"
    )


def _time_of(people: PersonArray) -> int:
    """When a message was made, in the time of the drive, ns."""
    error = people.status == PersonArray.ERROR
    return int(nanoseconds(people)) + (0 if error else CAMERA_LATENCY)
