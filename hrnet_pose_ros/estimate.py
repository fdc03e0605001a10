# SPDX-License-Identifier: Apache-2.0
"""Estimates poses in images and videos without ROS; writes drawings and COCO results."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.coco.results import coco_results
from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.files import write_file
from hrnet_pose_ros.fusion.image_tracker import ImageTracker
from hrnet_pose_ros.image_files import ImageFileError, read_image_file, write_image_file
from hrnet_pose_ros.pose.boxes import usable_boxes
from hrnet_pose_ros.pose.drawing import draw_poses
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.video import VideoReader, VideoWriter

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
RESULTS = "results.json"

# Returns boxes [N, 4] and scores [N] of the persons in an RGB frame.
Detect = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass
class Estimates:
    """COCO results, and one sentence for each input that could not be read, or not completely."""

    results: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    skipped: list[str] = field(default_factory=list)


def whole_frame(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Treat the whole frame as one person."""
    height, width = frame.shape[:2]
    return np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32)


def estimate_path(
    path: Path, output: Path, engine: PoseEngine, detect: Detect, *, rate: float | None = None
) -> Estimates:
    """Estimate poses in an image, a video or a folder of images, and write the results.

    Images with skeletons are written under their own name with ``_pose`` appended, videos as H.264,
    and all results as ``results.json`` in COCO's key point result format. ``image_id`` is the file
    name if all file names are numbers (as in COCO), otherwise a sequential number; for a video, it
    is the frame number, from 0. In addition to COCO's fields there are ``file_name`` and ``box``,
    the detector's box: x, y, width, height in image pixels (not called ``bbox``, see
    `coco_results`). The persons of a video are followed from frame to frame (`ImageTracker`):
    ``track_id``, from 1, says who is who.

    Parameters
    ----------
    rate
        Images per second of a folder that contains a sequence; its persons are then followed like
        those of a video, in the order of the file names. None: the images have nothing to do with
        each other.

    Raises
    ------
    ValueError
        The path is neither an image nor a video, a folder contains no readable image, or the rate
        is not above 0 or given for something else than a folder.
    FileNotFoundError
        The path does not exist.
    OSError
        An image, the video or the results cannot be written.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if rate is not None and not (path.is_dir() and 0 < rate < math.inf):
        raise ValueError(f"a rate ({rate} images/s) must be above 0, and is for a folder of images")
    output.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not paths:
            raise ValueError(f"'{path}' contains no image files ({', '.join(IMAGE_SUFFIXES)})")
        estimates = _images(paths, output, engine, detect, rate)
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        estimates = _images([path], output, engine, detect, None)
    else:
        estimates = _video(path, output, engine, detect)
    if not estimates.images:
        raise ValueError("; ".join(estimates.skipped) or f"'{path}' contains no images")
    write_file(output / RESULTS, json.dumps(estimates.results, allow_nan=False) + "\n")
    return estimates


def _images(
    paths: list[Path], output: Path, engine: PoseEngine, detect: Detect, rate: float | None
) -> Estimates:
    estimates, tracker = Estimates(), None if rate is None else ImageTracker()
    names = [path.stem for path in paths]
    # Only 0 to 9: to Python, ² is a digit as well, but not one of a number.
    numbered = all(name.isascii() and name.isdigit() for name in names)
    numbered = numbered and len({*map(int, names)}) == len(names)
    for place, path in enumerate(progress("estimating", "image", len(paths), paths)):
        try:
            frame = read_image_file(path, upright=True)
        except ImageFileError as error:
            estimates.skipped.append(str(error))
            continue
        image_id = int(path.stem) if numbered else place
        stamp = 0 if rate is None else round(place / rate * 1e9)
        boxes, poses, names = _estimate(
            frame, engine, detect, estimates, image_id, path.name, tracker, stamp
        )
        draw_poses(frame, poses, boxes, names)
        write_image_file(output / f"{path.stem}_pose{path.suffix}", frame)
    return estimates


def _video(path: Path, output: Path, engine: PoseEngine, detect: Detect) -> Estimates:
    estimates, tracker = Estimates(), ImageTracker()
    reader = VideoReader(path)
    with VideoWriter(output / f"{path.stem}_pose.mp4", reader.rate) as video:
        for number, (seconds, frame) in enumerate(
            progress("estimating", "image", reader.frames, reader)
        ):
            drawn = np.ascontiguousarray(frame)
            stamp = round(seconds * 1e9)
            boxes, poses, names = _estimate(
                drawn, engine, detect, estimates, number, path.name, tracker, stamp
            )
            draw_poses(drawn, poses, boxes, names)
            video.write(drawn, seconds)
    if reader.loss:
        estimates.skipped.append(reader.loss)
    return estimates


def _estimate(
    frame: np.ndarray,
    engine: PoseEngine,
    detect: Detect,
    estimates: Estimates,
    image_id: int,
    file_name: str,
    tracker: ImageTracker | None,
    stamp: int,
) -> tuple[np.ndarray, Poses, list[str]]:
    """Boxes, poses and names of one frame; adds its results."""
    boxes, scores = detect(frame)
    usable = usable_boxes(boxes, (frame.shape[1], frame.shape[0]))
    boxes, scores = boxes[usable], scores[usable]
    poses = engine.estimate(frame, boxes)
    estimates.images += 1
    results = [
        {
            "image_id": image_id,
            "file_name": file_name,
            **result,
            "box": [round(float(side), 2) for side in box],
        }
        for result, box in zip(coco_results(poses, scores), boxes, strict=True)
    ]
    estimates.results += results
    if tracker is None:
        return boxes, poses, [""] * len(boxes)
    numbers = tracker.step(stamp, boxes, poses).tolist()
    for result, number in zip(results, numbers, strict=True):
        result["track_id"] = number
    return boxes, poses, [str(number) for number in numbers]
