# SPDX-License-Identifier: Apache-2.0
"""The node over DDS and `replay` give the same skeletons for the same images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_maker import clip_rows, write_bag
from clip_messages import clip_pairs
from injector import Injector
from ros_robot import nanoseconds
from udp_model import udp_model

from hrnet_pose_ros.pipeline.skeleton_messages import poses_of
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.replay.offline import replay
from hrnet_pose_ros.replay.parameter_file import settings_of

FRAMES = 6
TOPICS = 3  # images, camera_info and detections by turns
# The same engine and code: float32 all the way. Only the order of additions in the network's
# threads could differ.
PIXELS, SCORES = 1e-3, 1e-5


@pytest.mark.parametrize("model", ["bundled", "udp"])
def test_live_against_offline(model: str, inject: Callable[..., Injector], tmp_path: Path) -> None:
    given: dict[str, Any] = {"precision": "float32", "max_batch": 2}
    if model == "udp":
        given |= {"model": str(udp_model(tmp_path)[1]), "decoding": "dark", "flip_test": True}
    injector = inject(compressed=True, **given)
    robot = injector.robot
    answers = {}  # by the clip's stamps
    for image, detections in clip_pairs(FRAMES):
        stamp = nanoseconds(image)
        answers[stamp] = injector.answer_to(injector.messages(robot.now(), image, detections))

    bag = write_bag(tmp_path / "in", clip_rows(TOPICS * FRAMES))
    settings = settings_of(None, given | {"image_transport": "compressed", "max_wait_ms": 2000.0})
    replay(bag, tmp_path / "out", settings)
    with BagReader(tmp_path / "out") as out:
        [info] = out.messages(["/skeleton_info"])
        assert info.message.checksum == robot.heard["skeleton_info"][-1].checksum
        replayed = [one.message for one in out.messages(["/skeletons"])]
    assert [nanoseconds(one) for one in replayed] == list(answers)
    for offline in replayed:
        live = answers[nanoseconds(offline)]
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
