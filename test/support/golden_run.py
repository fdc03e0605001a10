# SPDX-License-Identifier: Apache-2.0
"""A small run in memory, and ways to change it, for the tests of the comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.replay.answers import Answers, SkeletonFrame, Status

START = 1_750_000_000_000_000_000
STEP = 100_000_000
FRAMES, PERSONS = 20, 3
SIZE = (640, 480)


def frame_at(stamp: int, boxes: np.ndarray, ids: tuple[str, ...], seed: int = 1) -> SkeletonFrame:
    """A frame with a plausible skeleton in each box ``[N, 4]``: joints inside, scores high."""
    count = len(boxes)
    rng = np.random.default_rng(seed)
    inside = rng.uniform(0.1, 0.9, (count, 17, 2))
    poses = Poses(
        keypoints=(boxes[:, None, :2] + inside * boxes[:, None, 2:]).astype(np.float32),
        scores=rng.uniform(0.5, 0.9, (count, 17)).astype(np.float32),
        covariances=np.tile(np.eye(2, dtype=np.float32), (count, 17, 1, 1)),
        valid=np.ones((count, 17), bool),
    )
    scores = poses.person_scores().astype(np.float64)
    return SkeletonFrame(stamp, poses, boxes, ids, scores, SIZE, age=0.05)


def golden_run() -> Answers:
    """Twenty frames with the persons "1", "2", "3" who walk side by side; all is well."""
    frames = {}
    for number in range(FRAMES):
        stamp = START + number * STEP
        boxes = np.array([[50 + 150.0 * n + number, 100, 60, 160] for n in range(PERSONS)])
        frames[stamp] = frame_at(stamp, boxes, ("1", "2", "3"), seed=number)
    return Answers("golden", frames, "model", [input_status(0), input_status(100)])


def input_status(received: int, dropped: int = 0, level: int = 0, text: str = "ok") -> Status:
    values = {"received.images": str(received), "dropped.images.too_old": str(dropped)}
    return Status(START, "/hrnet_pose: input", level, text, values)


def changed(
    run: Answers, change: Callable[[SkeletonFrame], SkeletonFrame | None], every: int = 1
) -> Answers:
    """The run with every n-th frame changed, or left out where ``change`` returns None."""
    frames: dict[int, SkeletonFrame] = {}
    for number, frame in enumerate(run.frames.values()):
        new = change(frame) if number % every == 0 else frame
        if new is not None:
            frames[new.stamp] = new
    return dataclasses.replace(run, name="new", frames=frames)


def poses_with(poses: Poses, **arrays: Any) -> Poses:
    return dataclasses.replace(poses, **arrays)


def without_person(frame: SkeletonFrame, person: int) -> SkeletonFrame:
    left = np.arange(len(frame.ids)) != person
    return selected(frame, np.flatnonzero(left))


def selected(frame: SkeletonFrame, places: np.ndarray) -> SkeletonFrame:
    """The persons at these places, in this order."""
    poses = frame.poses
    return dataclasses.replace(
        frame,
        poses=Poses(
            keypoints=poses.keypoints[places],
            scores=poses.scores[places],
            covariances=poses.covariances[places],
            valid=poses.valid[places],
        ),
        boxes=frame.boxes[places],
        ids=tuple(frame.ids[place] for place in places),
        person_scores=frame.person_scores[places],
    )


def moved(frame: SkeletonFrame, pixels: float) -> SkeletonFrame:
    """Every key point to the right; the boxes stay."""
    keypoints = frame.poses.keypoints + np.array([pixels, 0], np.float32)
    return dataclasses.replace(frame, poses=poses_with(frame.poses, keypoints=keypoints))


def joint_scores_changed(frame: SkeletonFrame, by: float) -> SkeletonFrame:
    scores = frame.poses.scores + np.float32(by)
    return dataclasses.replace(frame, poses=poses_with(frame.poses, scores=scores))
