# SPDX-License-Identifier: Apache-2.0
"""Assigned ids as users meet them: the node over DDS, its SkeletonInfo, and the same replayed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bag_maker import DETECTIONS, IMAGES, Row, write_bag
from clip_messages import clip_pairs
from injector import Injector
from rclpy.serialization import serialize_message
from ros_robot import RELIABLE, SimulatedClock, nanoseconds

from hrnet_pose_ros.msg import SkeletonArray
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.replay.offline import replay
from hrnet_pose_ros.replay.parameter_file import settings_of

FRAMES = 6
# By a clock that stands, so that the stamps advance like this however slow the machine is.
PERIOD_NS, NOW = 100_000_000, 1_700_000_000 * 10**9
SETTINGS = {"precision": "float32", "max_batch": 2, "image_transport": "compressed"}
TYPES = {IMAGES: "sensor_msgs/msg/CompressedImage", DETECTIONS: "vision_msgs/msg/Detection2DArray"}


def ids_of(message: Any) -> list[str]:
    return [skeleton.id for skeleton in message.skeletons]


def test_assigned_ids_and_their_replay(inject: Callable[..., Injector], tmp_path: Path) -> None:
    injector = inject(
        "-p", "use_sim_time:=true", compressed=True, precision="float32", smoothing=True
    )
    robot = injector.robot
    SimulatedClock(robot).set(NOW)
    stamps = itertools.count(NOW - 5 * 10**9, PERIOD_NS)
    robot.listen(SkeletonArray, "skeletons_smoothed", RELIABLE)
    pairs = clip_pairs(FRAMES)
    for _, detections in pairs:
        for detection in detections.detections:
            detection.id = ""
    rows: list[Row] = []
    live: dict[int, list[str]] = {}
    for image, detections in pairs:
        stamp = injector.messages(next(stamps), image, detections)
        live[stamp] = ids_of(injector.answer_to(stamp))
        for topic, message in ((IMAGES, image), (DETECTIONS, detections)):
            rows.append((topic, TYPES[topic], stamp, bytes(serialize_message(message))))
    first = next(iter(live.values()))
    assert sorted(first) == [f"hrnet_{n + 1}" for n in range(len(first))]
    assert all(len(set(ids)) == len(ids) for ids in live.values())
    for ids in live.values():
        assert len(set(ids) & set(first)) >= len(first) - 1  # a person may be missed

    # The smoother follows the assigned ids: from the second image that it sees of a person, it
    # changes key points.
    image, detections = pairs[-1]
    heard = robot.heard["skeletons_smoothed"]

    def smoothed() -> Any:
        """The second one that is heard; the node has to find this subscriber first."""
        injector.answer_to(injector.messages(next(stamps), image, detections))
        return robot.wait(lambda: len(heard) >= 2 and heard[-1], 1.0, fail=False)

    message = robot.wait(smoothed)
    raw = next(m for m in robot.heard["skeletons"] if m.header == message.header)
    assert ids_of(message) == ids_of(raw)
    assert message.skeletons != raw.skeletons

    heard_before = len(robot.heard["skeleton_info"])
    assert robot.set_parameters(assign_ids="never")[0].successful
    robot.wait(lambda: len(robot.heard["skeleton_info"]) > heard_before)  # it says whose ids
    assert not robot.set_parameters(assign_ids="always")[0].successful
    answer = injector.answer_to(injector.messages(next(stamps), image, detections))
    assert set(ids_of(answer)) == {""}

    replay(write_bag(tmp_path / "in", rows), tmp_path / "out", settings_of(None, SETTINGS))
    with BagReader(tmp_path / "out") as bag:
        offline = {nanoseconds(m.message): m.message for m in bag.messages(["/skeletons"])}
    assert {stamp: ids_of(message) for stamp, message in offline.items()} == live
