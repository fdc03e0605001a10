# SPDX-License-Identifier: Apache-2.0
"""The node over DDS and `replay` give the same skeletons for the images that both processed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from ros_robot import nanoseconds
from sensor_msgs.msg import CompressedImage
from udp_model import udp_model
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.pipeline.skeleton_messages import poses_of
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.replay.offline import replay
from hrnet_pose_ros.replay.parameter_file import settings_of

IMAGES, DETECTIONS = "/camera/image/compressed", "/detections"
FRAMES = 12
SETTINGS = {"precision": "float32", "image_transport": "compressed", "max_wait_ms": 2000.0}
# The same engine and code: float32 all the way. Only the order of additions in the network's
# threads could differ.
PIXELS, SCORES = 1e-3, 1e-5


def clip(root: Path) -> list[tuple[int, Any, Any]]:
    """``(stamp, image, detections)`` of the bundled clip's first images."""
    kinds = {IMAGES: CompressedImage, DETECTIONS: Detection2DArray}
    found: dict[int, dict[str, Any]] = {}
    with BagReader(root / "demo" / "street_bag") as bag:
        for message in bag.messages(list(kinds)):
            live = deserialize_message(message.data, kinds[message.topic])
            found.setdefault(nanoseconds(live), {})[message.topic] = live
            if len(found) > FRAMES:
                break
    rows = [
        (stamp, pair[IMAGES], pair[DETECTIONS]) for stamp, pair in found.items() if len(pair) == 2
    ]
    return rows[:FRAMES]


@pytest.mark.parametrize("model", ["bundled", "udp"])
def test_live_against_offline(
    model: str, robot: Any, start: Callable[..., Any], root: Path, tmp_path: Path
) -> None:
    given = {**SETTINGS}
    if model == "udp":
        given |= {"model": str(udp_model(tmp_path)[1]), "decoding": "dark", "flip_test": True}
    node = start(**given, max_age_ms=10000.0)
    robot.wait(lambda: "active" in node.log or node.process.poll() is not None, 60)
    voices = (robot.compressed, robot.detections)
    robot.wait(lambda: all(voice.get_subscription_count() for voice in voices), 20)
    robot.wait_for("skeleton_info")
    answers = {}  # by the clip's stamps
    for stamp, image, detections in clip(root):
        now = robot.now()
        for message in (image, detections):
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
        robot.compressed.publish(image)
        robot.detections.publish(detections)
        heard = robot.wait(
            lambda now=now: [m for m in robot.heard["skeletons"] if nanoseconds(m) == now],
            10,
            fail=False,  # a best effort image may be lost
        )
        if heard:
            answers[stamp] = heard[0]
        time.sleep(0.01)
    assert len(answers) >= FRAMES - 2

    settings = settings_of(None, given)
    replay(root / "demo" / "street_bag", tmp_path / "out", settings)
    compared = 0
    with BagReader(tmp_path / "out") as bag:
        [info] = bag.messages(["/skeleton_info"])
        assert info.message.checksum == robot.heard["skeleton_info"][-1].checksum
        for one in bag.messages(["/skeletons"]):
            offline, live = one.message, answers.get(nanoseconds(one.message))
            if live is None:
                continue
            compared += 1
            assert offline.header.frame_id == live.header.frame_id
            assert offline.omitted == live.omitted
            for name in ("id", "detection_index", "class_id", "detection_score"):
                expected = [getattr(skeleton, name) for skeleton in live.skeletons]
                assert [getattr(skeleton, name) for skeleton in offline.skeletons] == expected
            (poses, boxes), (live_poses, live_boxes) = poses_of(offline), poses_of(live)
            np.testing.assert_array_equal(boxes, live_boxes)
            np.testing.assert_array_equal(poses.valid, live_poses.valid)
            np.testing.assert_allclose(poses.keypoints, live_poses.keypoints, rtol=0, atol=PIXELS)
            np.testing.assert_allclose(poses.scores, live_poses.scores, rtol=0, atol=SCORES)
    assert compared == len(answers)
