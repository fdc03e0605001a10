# SPDX-License-Identifier: Apache-2.0
"""`skeletons_smoothed` as its users meet it: the installed node, over DDS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ros_robot import RELIABLE, nanoseconds

from hrnet_pose_ros.fusion.smoothing import SkeletonSmoother
from hrnet_pose_ros.msg import SkeletonArray
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of

# Slow machines must not fail a test of something else.
PATIENT = {"max_age_ms": 10000.0, "max_wait_ms": 2000.0}
BOXES = np.array([[300.0, 200.0, 60.0, 150.0], [500.0, 180.0, 50.0, 130.0]])
FIELDS = ("id", "detection_index", "class_id", "detection_score", "bbox")


def test_smoothed_skeletons(
    robot: Any, start: Callable[..., Any], street_frames: list[np.ndarray]
) -> None:
    node = start(precision="float32", **PATIENT)
    robot.wait(lambda: "active" in node.log or node.process.poll() is not None, 30)
    assert node.process.poll() is None, node.log
    robot.wait(lambda: robot.images.get_subscription_count(), 20)
    robot.listen(SkeletonArray, "skeletons_smoothed", RELIABLE)
    robot.wait(lambda: robot.node.count_publishers("skeletons_smoothed"), 20)
    raw, smoothed = robot.heard["skeletons"], robot.heard["skeletons_smoothed"]

    def send(count: int) -> None:
        """The same image with boxes that move a little: skeletons that jitter."""
        for n in range(count):
            robot.answered_pair(street_frames[2], (BOXES + [n % 3, n % 2, 0, 0]).tolist())

    send(3)
    assert smoothed == []  # not unless asked for
    assert robot.set_parameters(smoothing=True)[0].successful
    send(8)
    robot.wait(lambda: smoothed and nanoseconds(smoothed[-1]) == nanoseconds(raw[-1]))
    time.sleep(0.7)  # longer than a person is remembered
    send(2)
    robot.wait(lambda: nanoseconds(smoothed[-1]) == nanoseconds(raw[-1]))

    by_stamp = {nanoseconds(message): message for message in raw}
    assert len(smoothed) >= 9
    smoother, begun, calmer = SkeletonSmoother(), 0, 0
    for message in smoothed:
        source = by_stamp[nanoseconds(message)]
        assert message.header == source.header
        assert message.detections_stamp == source.detections_stamp
        assert (message.image_width, message.image_height) == (768, 576)
        assert message.times == source.times
        for one, other in zip(message.skeletons, source.skeletons, strict=True):
            assert [getattr(one, f) for f in FIELDS] == [getattr(other, f) for f in FIELDS]
            assert [k.score for k in one.keypoints] == [k.score for k in other.keypoints]
        poses, boxes = poses_of(source)
        ids = [skeleton.id for skeleton in source.skeletons]
        expected = smoother.step(nanoseconds(source), ids, poses, boxes)
        answer = poses_of(message)[0]
        np.testing.assert_array_equal(answer.valid, expected.valid)
        # The same filter on the same numbers, but for float32 in the message.
        np.testing.assert_allclose(answer.keypoints, expected.keypoints, atol=1e-3)
        np.testing.assert_allclose(answer.covariances, expected.covariances, rtol=1e-3, atol=1e-3)
        same = np.array_equal(answer.keypoints, poses.keypoints, equal_nan=True)
        begun, calmer = begun + same, calmer + (not same)
    assert begun >= 2 and calmer >= 5  # as they are at the beginning and after the pause

    heard = len(smoothed)
    assert robot.set_parameters(smoothing=False)[0].successful
    send(2)
    assert len(smoothed) == heard
    assert "Traceback" not in node.log
