# SPDX-License-Identifier: Apache-2.0
"""The frames in which two runs differ most, drawn side by side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.pipeline.image_transport import TRANSPORT_OF_TYPE
from hrnet_pose_ros.pipeline.images import ImageError
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.pose.drawing import draw_close_up, draw_poses
from hrnet_pose_ros.replay.answers import SkeletonFrame
from hrnet_pose_ros.replay.comparison import Comparison, FrameComparison

MOST_FRAMES = 6
# OKS values closer to 1 than this show no visible difference.
VISIBLE = 1e-3
DRAWN_WIDTH = 640
CLOSE_UP = (200, 300)  # width, height
JPEG_QUALITY = 85
CANVAS = 60  # grey level used if the image of a frame is missing
LARGEST_CANVAS = 4096


@dataclass(frozen=True)
class WorstFrame:
    """One frame as JPEG data: the whole images, and close-ups of the person that differs most."""

    frame: FrameComparison
    golden: bytes
    new: bytes
    golden_close: bytes
    new_close: bytes


def worst_frames(comparison: Comparison) -> list[FrameComparison]:
    """Up to six frames that differ visibly, worst first.

    Frames with the most unmatched persons alternate with frames with the lowest OKS, so both kinds
    are shown.
    """
    alone = [f for f in comparison.frames if f.missed + f.extra]
    alone.sort(key=lambda f: (f.missed + f.extra, f.oks_shortfall), reverse=True)
    unlike = [f for f in comparison.frames if f.oks_shortfall > VISIBLE]
    unlike.sort(key=lambda f: f.oks_shortfall, reverse=True)
    turns = [f for pair in zip_longest(alone, unlike) for f in pair if f is not None]
    return list({f.stamp: f for f in turns}.values())[:MOST_FRAMES]


def images_of(path: Path, frames: list[FrameComparison]) -> dict[int, np.ndarray]:
    """The RGB images of these frames, by stamp (ns), from the raw and compressed images of a bag.

    Images that cannot be read, or whose size differs from that of the skeletons, are left out.
    """
    from hrnet_pose_ros.replay.bags import BagReader

    sizes = {frame.stamp: frame.golden.size for frame in frames}
    images: dict[int, np.ndarray] = {}
    with BagReader(path) as bag:
        kinds = {
            name: info.type for name, info in bag.topics.items() if info.type in TRANSPORT_OF_TYPE
        }
        if not kinds:
            topics = ", ".join(sorted(bag.topics)) or "none"
            raise ValueError(f"{path} has no image topic; its topics are {topics}")
        for item in bag.messages(list(kinds)) if frames else ():
            at = stamp_of(item.message)
            if at in sizes and at not in images:
                image = _read(kinds[item.topic], item.message)
                if image is not None and image.shape[1::-1] == sizes[at]:
                    images[at] = image
                    if len(images) == len(sizes):
                        break
    return images


def _read(kind: str, message: Any) -> np.ndarray | None:
    try:
        return np.ascontiguousarray(TRANSPORT_OF_TYPE[kind].read(message))
    except ImageError:
        return None


def draw_worst_frame(
    frame: FrameComparison, image: np.ndarray | None, box: np.ndarray | None = None
) -> WorstFrame:
    """Draw both runs into the image, or onto a plain canvas of its size.

    The close-ups show the person with the box ``[4]``; None: the one that differs most.
    """
    if image is None:
        width, height = (int(np.clip(side, 16, LARGEST_CANVAS)) for side in frame.golden.size)
        image = np.full((height, width, 3), CANVAS, np.uint8)
    if box is None:
        box = _worst_box(frame)
    images = []
    for run in (frame.golden, frame.new):
        images.append(_draw_run(image, run))
        images.append(draw_close_up(image, box, run.poses, CLOSE_UP))
    golden, golden_close, new, new_close = map(_jpeg, images)
    return WorstFrame(frame, golden, new, golden_close, new_close)


def _worst_box(frame: FrameComparison) -> np.ndarray:
    """The box ``[4]`` of an unmatched person, otherwise of the pair with the lowest OKS."""
    for run, places in ((frame.golden, frame.pairs[:, 0]), (frame.new, frame.pairs[:, 1])):
        alone = np.setdiff1d(np.arange(len(run.poses)), places)
        if len(alone):
            return run.boxes[alone[0]]
    lowest = int(np.nan_to_num(frame.oks, nan=1.0).argmin())
    return frame.golden.boxes[frame.pairs[lowest, 0]]


def _draw_run(image: np.ndarray, run: SkeletonFrame) -> np.ndarray:
    drawn = image.copy()
    draw_poses(drawn, run.poses, run.boxes, run.ids)
    height = max(round(DRAWN_WIDTH * image.shape[0] / image.shape[1]), 1)
    return cv2.resize(drawn, (DRAWN_WIDTH, height), interpolation=cv2.INTER_AREA)


def _jpeg(drawn: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG image")
    return data.tobytes()
