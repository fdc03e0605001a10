# SPDX-License-Identifier: Apache-2.0
"""Outputs of the demo: video, contact sheet, bag with the skeletons, and statistics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from demo.clips import Clip
from demo.play import Recording
from hrnet_pose_ros.image_files import write_image_file
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of, skeleton_of
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.pose.boxes import PADDING, iou
from hrnet_pose_ros.pose.drawing import draw_close_up, draw_poses
from hrnet_pose_ros.pose.oks import oks
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.replay.bags import BagWriter
from hrnet_pose_ros.skeleton import COCO17
from hrnet_pose_ros.video import VideoWriter

VIDEO, SHEET = "skeletons.mp4", "skeletons.png"
SHEET_IMAGES = 6
PERCENTILES = (50, 95, 99)
STAGES = ("arrival", "pairing", "queue", "conversion", "inference", "age")
CLOSE_UP = (240, 360)  # width, height: eight of them are as wide as three images


# The demo fails if a smaller fraction of the images was answered.
MIN_ANSWERED = 0.1


@dataclass(frozen=True)
class Answer:
    """The skeletons of one image, with a stamp in clip time."""

    stamp: int
    poses: Poses
    boxes: np.ndarray
    ids: list[str]
    times: Any


def answers_of(recording: Recording) -> dict[int, Answer]:
    """The skeletons by clip stamp (ns)."""
    answers = {}
    info = recording.of("/skeleton_info")
    skeleton = skeleton_of(info[-1]) if info else COCO17
    for message in recording.of("/skeletons"):
        stamp = stamp_of(message) - recording.offset
        poses, boxes = poses_of(message, skeleton)
        ids = [skeleton.id for skeleton in message.skeletons]
        answers[stamp] = Answer(stamp, poses, boxes, ids, message.times)
    return answers


def write_bag(recording: Recording, folder: Path) -> None:
    """Write the received messages into a new rosbag2 (mcap)."""
    with BagWriter(folder) as bag:
        for topic, arrival, data in recording.messages:
            kind = recording.types[topic]
            bag.write(topic, f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}", arrival, data)


def figures(clip: Clip, recording: Recording, answers: dict[int, Answer]) -> dict[str, Any]:
    """The summary of a run; times in milliseconds."""
    persons = sum(len(answer.poses) for answer in answers.values())
    inside = total = 0
    for answer in answers.values():
        within, valid = joints_inside(answer)
        inside, total = inside + within, total + valid
    last = max(
        (arrival for topic, arrival, _ in recording.messages if topic == "/skeletons"), default=0
    )
    begin = clip.start + recording.offset
    seconds = max((last - begin) / 1e9, 1e-9)
    info = recording.of("/skeleton_info")
    return {
        "model": info[-1].model if info else None,
        "engine": f"{info[-1].engine} {info[-1].precision}, {info[-1].device}" if info else None,
        "frames_played": clip.images or recording.images,
        "frames_answered": len(answers),
        "persons": persons,
        "persons_per_second": round(persons / seconds, 1) if persons else 0.0,
        "valid_joints": total,
        "valid_joints_inside_crop": round(inside / total, 4) if total else None,
        "times_ms": {
            stage: percentiles_ms([getattr(a.times, stage) for a in answers.values()])
            for stage in STAGES
            if answers
        },
        "drops": _drops(recording),
    }


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """The `PERCENTILES` of at least one duration, milliseconds."""
    values = np.percentile(seconds, PERCENTILES)
    return {f"p{p}": round(1e3 * float(v), 1) for p, v in zip(PERCENTILES, values, strict=True)}


def joints_inside(answer: Answer) -> tuple[int, int]:
    """Number of valid joints inside their person's box enlarged by 1.25, and in total."""
    centres = (answer.boxes[:, :2] + answer.boxes[:, 2:] / 2)[:, None]
    reach = (answer.boxes[:, 2:] * PADDING / 2)[:, None]
    inside = (np.abs(answer.poses.keypoints - centres) <= reach).all(axis=2)
    return int((inside & answer.poses.valid).sum()), int(answer.poses.valid.sum())


def labelled_oks(path: Path, clip: Clip, answers: dict[int, Answer]) -> dict[str, Any]:
    """OKS of the answers on the frames labelled by hand; a missing skeleton counts as 0."""
    labels = json.loads(path.read_text())
    # A file_name is "PLACE_SECONDS.NANOSECONDS"; see dev/label_aid.py.
    stamps = {
        image["id"]: int(image["file_name"].split("_")[1].replace(".", ""))
        for image in labels["images"]
    }
    values, unanswered = [], 0
    for label in labels["annotations"]:
        truth = np.array(label["keypoints"], np.float64).reshape(-1, 3)
        answer = answers.get(stamps[label["image_id"]])
        if answer is None or not len(answer.poses):
            unanswered += answer is None
            values.append(0.0)
            continue
        overlaps = iou(np.array([label["bbox"]], np.float64), answer.boxes)[0]
        best = int(overlaps.argmax())
        if overlaps[best] < 0.3:
            values.append(0.0)
            continue
        similarity = oks(
            answer.poses.keypoints[best : best + 1],
            truth[None, :, :2],
            np.array([label["area"]]),
            (truth[None, :, 2] > 0),
        )
        values.append(float(np.nan_to_num(similarity[0])))
    return {
        "persons": len(values),
        "frames": len({label["image_id"] for label in labels["annotations"]}),
        "unanswered": unanswered,
        "mean": round(float(np.mean(values)), 3),
        "mean_of_answered": round(float(np.sum(values)) / max(len(values) - unanswered, 1), 3),
        "median": round(float(np.median(values)), 3),
        "above_0.5": round(float(np.mean(np.array(values) > 0.5)), 3),
    }


def write_video_and_sheet(clip: Clip, answers: dict[int, Answer], folder: Path) -> list[str]:
    """Write ``skeletons.mp4``, every image of the clip, and the contact sheet ``skeletons.png``.

    The sheet shows up to six whole images over the clip and, below them, close-ups of up to eight
    persons. It is not written if no image of the clip has a skeleton.

    Returns
    -------
    The names of the files that were written.
    """
    with_persons = sorted(stamp for stamp, answer in answers.items() if len(answer.poses))
    chosen = np.linspace(0, len(with_persons) - 1, min(SHEET_IMAGES, len(with_persons)))
    sheet_stamps = {with_persons[i] for i in chosen.round().astype(int)}
    sightings = _typical_sightings(answers)
    images, close_ups = [], []
    first: int | None = None
    with VideoWriter(folder / VIDEO, clip.rate) as video:
        for stamp, frame in progress("drawing", "image", clip.images, clip.frames()):
            answer = answers.get(stamp)
            drawn = np.ascontiguousarray(frame)
            if answer is None:
                font = cv2.FONT_HERSHEY_SIMPLEX
                cv2.putText(drawn, "no answer", (8, 24), font, 0.7, (255, 80, 80), 2)
            else:
                close_ups += [
                    draw_close_up(drawn, answer.boxes[n], answer.poses, CLOSE_UP)
                    for at, n in sightings
                    if at == stamp
                ]
                draw_poses(drawn, answer.poses, answer.boxes, answer.ids)
            first = stamp if first is None else first
            video.write(drawn, (stamp - first) / 1e9)
            if stamp in sheet_stamps:
                images.append(drawn.copy())
    if not images:
        return [VIDEO]
    write_image_file(folder / SHEET, contact_sheet(images, close_ups))
    return [VIDEO, SHEET]


def contact_sheet(images: list[np.ndarray], close_ups: list[np.ndarray]) -> np.ndarray:
    """Arrange at least one RGB image, three in a row, with a row of close-ups below them."""
    rows = grid(images, columns=3, width=640)
    strip = np.zeros((CLOSE_UP[1], rows.shape[1], 3), np.uint8)
    for place, close_up in enumerate(close_ups):
        strip[:, place * CLOSE_UP[0] : (place + 1) * CLOSE_UP[0]] = close_up
    return np.vstack([rows, strip])


def grid(images: Sequence[np.ndarray], columns: int, width: int) -> np.ndarray:
    """Arrange at least one RGB image in rows, all scaled to the shape of the first one.

    ``width`` is that of one image, px.
    """
    height = max(round(width * images[0].shape[0] / images[0].shape[1]), 1)
    cells = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)])


def _typical_sightings(answers: dict[int, Answer]) -> list[tuple[int, int]]:
    """``(stamp, index)`` of the eight largest persons, each at its median size."""
    sightings: dict[str, list[tuple[float, int, int]]] = {}
    for answer in answers.values():
        for person, name in enumerate(answer.ids):
            size = float(answer.boxes[person, 3])
            sightings.setdefault(name, []).append((size, answer.stamp, person))
    usual = [sorted(seen)[len(seen) // 2] for seen in sightings.values()]
    return [(stamp, person) for _, stamp, person in sorted(usual, reverse=True)[:8]]


def problem_of(summary: dict[str, Any]) -> str:
    """Why the demo failed, in one sentence; empty if it succeeded."""
    answered, played = summary["frames_answered"], summary["frames_played"]
    if not answered or answered < MIN_ANSWERED * played:
        return (
            f"only {answered} of {played} images were answered with skeletons. This machine is "
            "probably overloaded, so that images expired before they were processed: stop other "
            "programs and run the demo again; the counts after 'dropped' above name the reasons"
        )
    if not summary["persons"]:
        return (
            f"{answered} of {played} images were answered, but none of them contains a person: "
            "check that people are visible in the input"
        )
    return failed_nodes(summary["exit_codes"])


def failed_nodes(exit_codes: Mapping[str, int]) -> str:
    """A sentence about the nodes that did not end with 0; empty if all did."""
    failed = [f"{name} ({code})" for name, code in exit_codes.items() if code]
    if not failed:
        return ""
    return f"these nodes failed (exit code): {', '.join(failed)}; see their log above"


def _drops(recording: Recording) -> dict[str, int]:
    """The dropped inputs counted by the node, from its last diagnostics."""
    for message in reversed(recording.of("/diagnostics")):
        for status in message.status:
            if status.name.endswith("hrnet_pose: input"):
                return {
                    v.key.removeprefix("dropped."): int(v.value)
                    for v in status.values
                    if v.key.startswith("dropped.")
                }
    return {}
