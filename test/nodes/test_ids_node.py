# SPDX-License-Identifier: Apache-2.0
"""Assigned ids as users meet them: the node over DDS, its SkeletonInfo, and the same replayed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bag_maker import DETECTIONS, IMAGES, Row, write_bag
from clip_messages import clip_pairs
from injector import Injector
from rclpy.serialization import serialize_message
from ros_robot import RELIABLE, nanoseconds

from hrnet_pose_ros.msg import SkeletonArray
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.replay.offline import replay
from hrnet_pose_ros.replay.parameter_file import settings_of

FRAMES = 6
# The stamps advance like this however slow the machine is: the clip is from seconds ago.
PERIOD_NS = 100_000_000
SETTINGS = {"precision": "float32", "image_transport": "compressed", "max_wait_ms": 2000.0}
TYPES = {IMAGES: "sensor_msgs/msg/CompressedImage", DETECTIONS: "vision_msgs/msg/Detection2DArray"}


def ids_of(message: Any) -> list[str]:
    return [skeleton.id for skeleton in message.skeletons]


def test_assigned_ids_and_their_replay(inject: Callable[..., Injector], tmp_path: Path) -> None:
    injector = inject(compressed=True, precision="float32", smoothing=True)
    robot = injector.robot
    robot.listen(SkeletonArray, "skeletons_smoothed", RELIABLE)
    pairs = clip_pairs(FRAMES)
    for _, detections in pairs:
        for detection in detections.detections:
            detection.id = ""
    rows: list[Row] = []
    live: dict[int, list[str]] = {}
    begun = robot.now() - FRAMES * PERIOD_NS
    for n, (image, detections) in enumerate(pairs):
        stamp = injector.messages(begun + n * PERIOD_NS, image, detections)
        live[stamp] = ids_of(injector.answer_to(stamp))
        for topic, message in ((IMAGES, image), (DETECTIONS, detections)):
            rows.append((topic, TYPES[topic], stamp, bytes(serialize_message(message))))
    first = next(iter(live.values()))
    assert sorted(first) == [f"hrnet_{n + 1}" for n in range(len(first))]
    assert all(len(set(ids)) == len(ids) for ids in live.values())
    for ids in live.values():
        assert len(set(ids) & set(first)) >= len(first) - 1  # a person may be missed

    replay(write_bag(tmp_path / "in", rows), tmp_path / "out", settings_of(None, SETTINGS))
    with BagReader(tmp_path / "out") as bag:
        offline = {nanoseconds(m.message): m.message for m in bag.messages(["/skeletons"])}
    assert {stamp: ids_of(message) for stamp, message in offline.items()} == live

    # The smoother follows the assigned ids: from the second image that it sees of a person, it
    # changes key points. The node has found this subscriber at some moment.
    image, detections = pairs[-1]

    def smoothed() -> Any:
        stamp = nanoseconds(image) + PERIOD_NS
        injector.messages(stamp, image, detections)
        injector.answer_to(stamp)
        heard = robot.heard["skeletons_smoothed"]
        return robot.wait(lambda: len(heard) >= 2 and heard[-1], 1.0, fail=False)

    message = robot.wait(smoothed)
    raw = next(m for m in robot.heard["skeletons"] if m.header == message.header)
    assert ids_of(message) == ids_of(raw)
    assert message.skeletons != raw.skeletons

    heard_before = len(robot.heard["skeleton_info"])
    assert robot.set_parameters(assign_ids="never")[0].successful
    robot.wait(lambda: len(robot.heard["skeleton_info"]) > heard_before)  # it says whose ids
    assert not robot.set_parameters(assign_ids="always")[0].successful
    answer = injector.answer_to(injector.messages(robot.now(), image, detections))
    assert set(ids_of(answer)) == {""}
