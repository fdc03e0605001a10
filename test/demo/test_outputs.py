# SPDX-License-Identifier: Apache-2.0
"""What the demo writes and reports, also when few or no images were answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from demo.clips import TimedMessage
from demo.outputs import STAGES, Answer, problem_of, write_video_and_sheet
from demo.run import _summary_text
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17
from hrnet_pose_ros.video import VideoReader

IMAGES = 8
PERIOD_NS = 100_000_000


class GreyClip:
    """A clip of grey images without messages."""

    start, rate, images = 0, 10.0, IMAGES
    topics: dict[str, type] = {}  # noqa: RUF012
    image_transport, image_topic, has_detections = "raw", "/camera/image", True
    listeners = 1

    def events(self) -> Iterator[TimedMessage]:
        return iter(())

    def frames(self) -> Iterator[tuple[int, np.ndarray]]:
        for number in range(IMAGES):
            yield number * PERIOD_NS, np.full((240, 320, 3), 128, np.uint8)


def answer(number: int, persons: int = 1) -> Answer:
    points = np.random.default_rng(number).uniform(80, 160, (persons, COCO17.joints, 2))
    poses = Poses(
        keypoints=points.astype(np.float32),
        scores=np.ones((persons, COCO17.joints), np.float32),
        covariances=np.tile(np.eye(2, dtype=np.float32), (persons, COCO17.joints, 1, 1)),
        valid=np.ones((persons, COCO17.joints), bool),
    )
    boxes = np.tile([70.0, 70.0, 100.0, 100.0], (persons, 1))
    ids = [str(person) for person in range(persons)]
    return Answer(number * PERIOD_NS, poses, boxes, ids, None)


@pytest.mark.parametrize(
    ("answers", "sheet_height"),
    [
        ([], None),
        ([answer(3, persons=0)], None),
        ([answer(99)], None),  # not an image of the clip
        ([answer(3)], 480 + 360),
        ([answer(1), answer(2), answer(5), answer(7, persons=0)], 480 + 360),
        ([answer(n, persons=2) for n in range(IMAGES)], 2 * 480 + 360),
    ],
)
def test_files_for_any_number_of_answers(
    answers: list[Answer], sheet_height: int | None, tmp_path: Path
) -> None:
    written = write_video_and_sheet(GreyClip(), {a.stamp: a for a in answers}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written)
    assert sum(1 for _ in VideoReader(tmp_path / "skeletons.mp4")) == IMAGES
    if sheet_height is None:
        assert written == ["skeletons.mp4"]
    else:
        sheet = cv2.imread(str(tmp_path / "skeletons.png"))
        assert sheet is not None and sheet.shape == (sheet_height, 1920, 3)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"frames_answered": 0, "persons": 0}, "only 0 of 125 images .* overloaded"),
        ({"frames_answered": 12, "persons": 30}, "only 12 of 125 images .* overloaded"),
        ({"frames_answered": 13, "persons": 30}, ""),
        ({"persons": 0}, "120 of 125 images were answered, but none of them contains a person"),
        ({"exit_codes": {"hrnet_pose_node": -9}}, r"hrnet_pose_node \(-9\)"),
    ],
)
def test_problems_of_a_run(changed: dict[str, Any], words: str) -> None:
    summary = {
        "frames_played": 125,
        "frames_answered": 120,
        "persons": 500,
        "exit_codes": {"hrnet_pose_node": 0},
    }
    problem = problem_of(summary | changed)
    assert bool(problem) == bool(words)
    assert not words or re.search(words, problem)


def test_the_summary_keeps_its_columns_apart() -> None:
    summary = {
        "model": "m",
        "engine": "e",
        "frames_answered": 1,
        "frames_played": 2,
        "persons": 3,
        "persons_per_second": 4.0,
        "drops": {},
        "valid_joints_inside_crop": None,
        "times_ms": {stage: {"p50": 12345.6, "p95": 1.0} for stage in STAGES},
    }
    lines = _summary_text(summary).splitlines()
    for stage in STAGES:
        (line,) = (line for line in lines if line.split()[0] == stage)
        assert line.split() == [stage, "p50", "12345.6", "p95", "1.0", "ms"]
