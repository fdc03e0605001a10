# SPDX-License-Identifier: Apache-2.0
"""Poses of pictures and videos without ROS: pictures with skeletons, and COCO results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.coco.results import coco_results
from hrnet_pose_ros.detector.box_ids import BoxIds
from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.pose.boxes import usable_boxes
from hrnet_pose_ros.pose.drawing import draw_poses
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.video import VideoReader, VideoWriter

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
RESULTS = "results.json"

# Boxes [N, 4] and scores [N] of the persons in an RGB frame.
Detect = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass
class Estimates:
    """What came out: COCO results, and the inputs that could not be read with the reasons."""

    results: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    skipped: list[str] = field(default_factory=list)


def whole_frame(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Detect nothing: the whole frame is one person."""
    height, width = frame.shape[:2]
    return np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32)


def estimate_path(path: Path, output: Path, engine: PoseEngine, detect: Detect) -> Estimates:
    """Estimate a picture, a video or a folder of pictures, and write what was found.

    A picture is written under its own name with ``_pose`` added, a video as H.264, and the results
    of all as ``results.json`` in COCO's key point result format: ``image_id`` is the file's name
    where that is a number (as COCO's are), else a running number; for a video the number of the
    frame, from 0. Beside COCO's fields stand ``file_name`` and ``box``, the detector's: x, y,
    width, height in image pixels (not called ``bbox``, see `coco_results`).

    Raises
    ------
    ValueError
        The path is neither a picture nor a video, a folder has no picture, or nothing in it could
        be read.
    FileNotFoundError
        There is no such path.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    output.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
        if not pictures:
            raise ValueError(f"{path} holds no picture ({', '.join(PICTURES)})")
        estimates = _pictures(pictures, output, engine, detect)
    elif path.suffix.lower() in PICTURES:
        estimates = _pictures([path], output, engine, detect)
    else:
        estimates = _video(path, output, engine, detect)
    if not estimates.images:
        raise ValueError("; ".join(estimates.skipped) or f"{path} holds no image")
    (output / RESULTS).write_text(json.dumps(estimates.results) + "\n")
    return estimates


def _pictures(paths: list[Path], output: Path, engine: PoseEngine, detect: Detect) -> Estimates:
    estimates = Estimates()
    names = [path.stem for path in paths]
    numbered = all(name.isdigit() for name in names) and len({*map(int, names)}) == len(names)
    for place, path in enumerate(progress("estimating", "image", len(paths), paths)):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            estimates.skipped.append(f"{path} is not a picture that can be read")
            continue
        frame = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        image_id = int(path.stem) if numbered else place
        boxes, poses = _estimate(frame, engine, detect, estimates, image_id, path.name)
        draw_poses(frame, poses, boxes, [""] * len(poses))
        drawn = output / f"{path.stem}_pose{path.suffix}"
        cv2.imwrite(str(drawn), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return estimates


def _video(path: Path, output: Path, engine: PoseEngine, detect: Detect) -> Estimates:
    estimates, ids = Estimates(), BoxIds()
    reader = VideoReader(path)
    with VideoWriter(output / f"{path.stem}_pose.mp4", reader.rate) as video:
        for number, (seconds, frame) in enumerate(
            progress("estimating", "image", reader.frames, reader)
        ):
            drawn = np.ascontiguousarray(frame)
            boxes, poses = _estimate(drawn, engine, detect, estimates, number, path.name)
            draw_poses(drawn, poses, boxes, ids.assign(boxes, round(seconds * 1e9)))
            video.write(drawn)
    return estimates


def _estimate(
    frame: np.ndarray,
    engine: PoseEngine,
    detect: Detect,
    estimates: Estimates,
    image_id: int,
    file_name: str,
) -> tuple[np.ndarray, Poses]:
    """Boxes and poses of one frame; adds its results."""
    boxes, scores = detect(frame)
    usable = usable_boxes(boxes, (frame.shape[1], frame.shape[0]))
    boxes, scores = boxes[usable], scores[usable]
    poses = engine.estimate(frame, boxes)
    estimates.images += 1
    estimates.results += [
        {
            "image_id": image_id,
            "file_name": file_name,
            **result,
            "box": [round(float(side), 2) for side in box],
        }
        for result, box in zip(coco_results(poses, scores), boxes, strict=True)
    ]
    return boxes, poses
