# SPDX-License-Identifier: Apache-2.0
"""`skeletons_smoothed` as its users meet it: the installed node, over DDS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from injector import PERSON, Injector
from ros_robot import RELIABLE, SimulatedClock, nanoseconds

from hrnet_pose_ros.fusion.smoothing import SkeletonSmoother
from hrnet_pose_ros.msg import SkeletonArray
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of

BOXES = np.array([PERSON, [200.0, 40.0, 50.0, 130.0]])
FIELDS = ("id", "detection_index", "class_id", "detection_score", "bbox")
# By a clock that stands, so that the stamps advance like this however slow the machine is.
NOW = 1_700_000_000 * 10**9
PERIOD_NS, PAUSE_NS = 100_000_000, 700_000_000  # longer than a person is remembered


def test_smoothed_skeletons(inject: Callable[..., Injector]) -> None:
    injector = inject("-p", "use_sim_time:=true", precision="float32")
    robot = injector.robot
    SimulatedClock(robot).set(NOW)
    robot.listen(SkeletonArray, "skeletons_smoothed", RELIABLE)
    raw, smoothed = robot.heard["skeletons"], robot.heard["skeletons_smoothed"]
    last = NOW - 9 * 10**9

    def send(count: int, after: int = PERIOD_NS) -> None:
        """The same image with boxes that move a little: skeletons that jitter."""
        nonlocal last
        for n in range(count):
            last += PERIOD_NS if n else after
            injector.image(last)
            injector.detections(last, (BOXES + [n % 3, n % 2, 0, 0]).tolist())
            injector.answer_to(last)

    def begun() -> bool:
        send(1)  # until the node has found the subscriber
        return robot.wait(lambda: bool(smoothed), 1.0, fail=False)

    send(3)
    assert smoothed == []  # not unless asked for
    assert robot.set_parameters(smoothing=True)[0].successful
    robot.wait(begun)
    send(7)
    send(2, after=PAUSE_NS)
    robot.wait(lambda: nanoseconds(smoothed[-1]) == nanoseconds(raw[-1]))

    by_stamp = {nanoseconds(message): message for message in raw}
    assert len(smoothed) >= 10
    smoother, anew, calmer = SkeletonSmoother(), 0, 0
    for message in smoothed:
        source = by_stamp[nanoseconds(message)]
        assert message.header == source.header
        assert message.detections_stamp == source.detections_stamp
        assert (message.image_width, message.image_height) == (320, 240)
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
        anew, calmer = anew + same, calmer + (not same)
    assert anew >= 2 and calmer >= 5  # as they are at the beginning and after the pause

    heard = len(smoothed)
    assert robot.set_parameters(smoothing=False)[0].successful
    send(2)
    assert len(smoothed) == heard
