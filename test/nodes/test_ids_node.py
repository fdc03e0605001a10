# SPDX-License-Identifier: Apache-2.0
"""Assigned ids as users meet them: the node over DDS, its SkeletonInfo, and the same replayed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bag_maker import CLIP, DETECTIONS, IMAGES, Row, write_bag
from rclpy.serialization import deserialize_message, serialize_message
from ros_robot import RELIABLE, nanoseconds
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.msg import SkeletonArray
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.replay.offline import replay
from hrnet_pose_ros.replay.parameter_file import settings_of

FRAMES = 6
# The stamps advance like this however slow the machine is: the clip is from seconds ago.
PERIOD_NS = 100_000_000
SETTINGS = {"precision": "float32", "image_transport": "compressed", "max_wait_ms": 2000.0}
KINDS = {IMAGES: CompressedImage, DETECTIONS: Detection2DArray}
TYPES = {IMAGES: "sensor_msgs/msg/CompressedImage", DETECTIONS: "vision_msgs/msg/Detection2DArray"}


def clip_pairs() -> list[tuple[Any, Any]]:
    """The clip's first images and their detections, without ids."""
    found: dict[int, dict[str, Any]] = {}
    with BagReader(CLIP) as bag:
        for message in bag.messages(list(KINDS)):
            live = deserialize_message(message.data, KINDS[message.topic])
            found.setdefault(nanoseconds(live), {})[message.topic] = live
            if len(found) > FRAMES:
                break
    pairs = [(pair[IMAGES], pair[DETECTIONS]) for pair in found.values() if len(pair) == 2]
    for _, detections in pairs:
        for detection in detections.detections:
            detection.id = ""
    return pairs[:FRAMES]


def ids_of(message: Any) -> list[str]:
    return [skeleton.id for skeleton in message.skeletons]


def test_assigned_ids_and_their_replay(
    robot: Any, start: Callable[..., Any], tmp_path: Path
) -> None:
    node = start(**SETTINGS, max_age_ms=10000.0, smoothing=True)
    robot.wait(lambda: "active" in node.log or node.process.poll() is not None, 60)
    voices = (robot.compressed, robot.detections)
    robot.wait(lambda: all(voice.get_subscription_count() for voice in voices), 20)
    robot.listen(SkeletonArray, "skeletons_smoothed", RELIABLE)
    robot.wait(lambda: robot.node.count_publishers("skeletons_smoothed"), 20)
    rows: list[Row] = []
    live: dict[int, list[str]] = {}
    begun = robot.now() - FRAMES * PERIOD_NS
    for n, (image, detections) in enumerate(clip_pairs()):
        now = begun + n * PERIOD_NS
        for message in (image, detections):
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
        robot.compressed.publish(image)
        robot.detections.publish(detections)
        heard = robot.wait(
            lambda now=now: [m for m in robot.heard["skeletons"] if nanoseconds(m) == now],
            3,
            fail=False,  # a best effort image may be lost
        )
        if heard:
            live[now] = ids_of(heard[0])
            for topic, message in ((IMAGES, image), (DETECTIONS, detections)):
                rows.append((topic, TYPES[topic], now, bytes(serialize_message(message))))
    assert len(live) >= FRAMES - 2
    first = next(iter(live.values()))
    assert sorted(first) == [f"hrnet_{n + 1}" for n in range(len(first))]
    assert all(len(set(ids)) == len(ids) for ids in live.values())
    for ids in live.values():
        assert len(set(ids) & set(first)) >= len(first) - 1  # a person may be missed
    # The smoother follows the assigned ids: from the second image on, it changes key points.
    robot.wait(lambda: len(robot.heard["skeletons_smoothed"]) >= 2)
    smoothed = robot.heard["skeletons_smoothed"][-1]
    raw = next(m for m in robot.heard["skeletons"] if m.header == smoothed.header)
    assert ids_of(smoothed) == ids_of(raw)
    assert smoothed.skeletons != raw.skeletons

    replay(write_bag(tmp_path / "in", rows), tmp_path / "out", settings_of(None, SETTINGS))
    with BagReader(tmp_path / "out") as bag:
        offline = {nanoseconds(m.message): m.message for m in bag.messages(["/skeletons"])}
    assert {stamp: ids_of(message) for stamp, message in offline.items()} == live

    heard_before = len(robot.heard["skeleton_info"])
    assert robot.set_parameters(assign_ids="never")[0].successful
    robot.wait(lambda: len(robot.heard["skeleton_info"]) > heard_before)  # it says whose ids
    assert not robot.set_parameters(assign_ids="always")[0].successful
    image, detections = clip_pairs()[0]
    for _ in range(5):
        now = robot.now()
        for message in (image, detections):
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
        robot.compressed.publish(image)
        robot.detections.publish(detections)
        if robot.wait(
            lambda now=now: [m for m in robot.heard["skeletons"] if nanoseconds(m) == now],
            10,
            fail=False,
        ):
            break
    assert set(ids_of(robot.heard["skeletons"][-1])) == {""}
