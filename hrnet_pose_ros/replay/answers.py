# SPDX-License-Identifier: Apache-2.0
"""The skeletons recorded in a bag, with the model and the diagnostics of the run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hrnet_pose_ros.pipeline.skeleton_messages import SkeletonMismatch, poses_of, skeleton_of
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition

if TYPE_CHECKING:
    from hrnet_pose_ros.replay.bags import BagReader

SKELETONS = "hrnet_pose_ros/msg/SkeletonArray"
INFO = "hrnet_pose_ros/msg/SkeletonInfo"
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
USUAL_NAME = "skeletons"

# Keys of the status "...: input" (nodes/pose/diagnostics.py).
RECEIVED_IMAGES = "received.images"
DROPPED_IMAGES = "dropped.images."


@dataclass(frozen=True)
class SkeletonFrame:
    """The skeletons of one image.

    Attributes
    ----------
    stamp
        The image's stamp, nanoseconds.
    poses, boxes, ids
        N poses, their boxes float64 ``[N, 4]`` (x, y, width, height in pixels), their N ids.
    person_scores
        float ``[N]``, as published.
    size
        Width and height of the image, pixels.
    age
        Image stamp to publication, seconds; NaN where it was not recorded.
    """

    stamp: int
    poses: Poses
    boxes: np.ndarray
    ids: tuple[str, ...]
    person_scores: np.ndarray
    size: tuple[int, int]
    age: float = math.nan


@dataclass(frozen=True)
class Status:
    """One status of one diagnostics message; ``time`` is when it was recorded, nanoseconds."""

    time: int
    name: str
    level: int
    text: str
    values: dict[str, str]


@dataclass(frozen=True)
class Answers:
    """All frames of a bag in ascending order of stamps, with model and diagnostics of the run."""

    name: str
    frames: dict[int, SkeletonFrame]
    model: str = ""
    statuses: list[Status] = field(default_factory=list)
    repeated: int = 0  # frames whose stamp occurred before; the first one is used
    loss: str = ""
    skeleton: SkeletonDefinition = COCO17

    def drops(self) -> tuple[int, int] | None:
        """Number of images that the node received, and how many of them it dropped for any reason.

        None if the bag has no input diagnostics. A restarted node counts from 0 again; its runs are
        summed.
        """
        earlier, last = [0, 0], None
        for status in self.statuses:
            if RECEIVED_IMAGES in status.values and status.name.endswith("hrnet_pose: input"):
                drops = [v for key, v in status.values.items() if key.startswith(DROPPED_IMAGES)]
                counts = [int(status.values[RECEIVED_IMAGES]), sum(map(int, drops))]
                if last is not None and counts[0] < last[0]:
                    earlier = [a + b for a, b in zip(earlier, last, strict=True)]
                last = counts
        return None if last is None else (earlier[0] + last[0], earlier[1] + last[1])


def frame_of(message: Any, skeleton: SkeletonDefinition = COCO17) -> SkeletonFrame:
    """The frame of a SkeletonArray of rclpy or rosbags, with the joints of a skeleton."""
    poses, boxes = poses_of(message, skeleton)
    return SkeletonFrame(
        stamp=stamp_of(message),
        poses=poses,
        boxes=boxes,
        ids=tuple(skeleton.id for skeleton in message.skeletons),
        person_scores=np.array([skeleton.score for skeleton in message.skeletons], np.float64),
        size=(int(message.image_width), int(message.image_height)),
        age=float(message.times.age),
    )


def statuses_of(message: Any, time: int) -> Iterable[Status]:
    """The statuses of a DiagnosticArray that was recorded at ``time`` (ns)."""
    for one in message.status:
        level = one.level[0] if isinstance(one.level, bytes) else int(one.level)
        values = {pair.key: pair.value for pair in one.values}
        yield Status(time, one.name, level, one.message, values)


def read_answers(path: Path, topic: str = "") -> Answers:
    """Read the answers of a bag.

    Parameters
    ----------
    topic
        The SkeletonArray topic. Empty: the only such topic, or the only one named "skeletons".

    Raises
    ------
    ValueError
        The bag has no such topic, or the topic is ambiguous; or the skeletons have other joints
        than their SkeletonInfo says, or two of them say different things; or the bag is of
        another version of the messages.
    """
    from hrnet_pose_ros.replay.bags import BagReader

    with BagReader(path) as bag:
        for name, problem in bag.other_versions.items():
            raise ValueError(f"{path}, {name}: {problem}")
        kinds = {name: info.type for name, info in bag.topics.items()}
        topic = skeleton_topic(kinds, topic, path)
        skeleton = _skeleton_in(bag, [name for name, kind in kinds.items() if kind == INFO])
        others = [name for name, kind in kinds.items() if kind in (INFO, DIAGNOSTICS)]
        frames: dict[int, SkeletonFrame] = {}
        statuses: list[Status] = []
        model, repeated = "", 0
        for item in bag.messages([topic, *others]):
            if item.topic == topic:
                try:
                    frame = frame_of(item.message, skeleton)
                except SkeletonMismatch as error:
                    raise ValueError(f"{path}, {topic}: {error}") from None
                repeated += frame.stamp in frames
                frames.setdefault(frame.stamp, frame)
            elif kinds[item.topic] == INFO:
                info = item.message
                model = f"{info.model}, {info.engine} {info.precision}, {info.decoding}"
            else:
                statuses += statuses_of(item.message, item.time)
        loss = bag.loss
    ordered = dict(sorted(frames.items()))
    return Answers(str(path), ordered, model, statuses, repeated, loss, skeleton)


def _skeleton_in(bag: BagReader, topics: list[str]) -> SkeletonDefinition:
    """The skeleton that a bag's SkeletonInfo defines; COCO's in a bag without one.

    A model may be replaced while the bag is recorded, but not by one of another skeleton.
    """
    found: SkeletonDefinition | None = None
    for item in bag.messages(topics) if topics else ():
        try:
            skeleton = skeleton_of(item.message)
        except ValueError as error:
            raise ValueError(f"{bag.path}, {item.topic}: {error}") from None
        if found is not None and (different := found.differences(skeleton)):
            raise ValueError(
                f"{bag.path} contains skeletons of two kinds, '{found.name}' and "
                f"'{skeleton.name}': {different}"
            )
        found = found or skeleton
    return found or COCO17


def skeleton_topic(kinds: dict[str, str], wanted: str, path: Path) -> str:
    """Select the SkeletonArray topic from topics and their types; see `read_answers`."""
    found = [name for name, kind in kinds.items() if kind == SKELETONS]
    if wanted:
        if wanted not in found:
            raise ValueError(
                f"{path} has no topic '{wanted}' of {SKELETONS}; it has {_listed(kinds)}"
            )
        return wanted
    if len(found) > 1:
        found = [name for name in found if name.rpartition("/")[2] == USUAL_NAME] or found
    if not found:
        raise ValueError(f"{path} has no topic of {SKELETONS}; it has {_listed(kinds)}")
    if len(found) > 1:
        raise ValueError(
            f"{path} has several topics of {SKELETONS}: {_listed(found)}; "
            "set 'topic' in the scenario to one of them"
        )
    return found[0]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
