# SPDX-License-Identifier: Apache-2.0
"""Pictures and clips of findings: both runs drawn into the images of the bag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.files import scratch_folder
from hrnet_pose_ros.fleet.bags import FleetBag
from hrnet_pose_ros.fleet.comparison.bag_comparison import BagPair
from hrnet_pose_ros.fleet.comparison.persons import PersonFinding
from hrnet_pose_ros.fleet.folder import FleetFolder
from hrnet_pose_ros.fleet.storage import is_url
from hrnet_pose_ros.pipeline.image_transport import TRANSPORT_OF_TYPE
from hrnet_pose_ros.pipeline.images import ImageError
from hrnet_pose_ros.pipeline.stamps import stamp_of, time_fields
from hrnet_pose_ros.pose.drawing import draw_poses
from hrnet_pose_ros.replay.answers import SkeletonFrame, read_answers
from hrnet_pose_ros.replay.bags import BagReader, BagWriter
from hrnet_pose_ros.replay.definitions import BagError, typestore
from hrnet_pose_ros.replay.offline import SKELETONS
from hrnet_pose_ros.replay.worst_frames import WorstFrame, draw_worst_frame

CLIPS = "clips"
AROUND_NS = 1_000_000_000  # what a clip shows before and after the finding
LONGEST_NS = 6_000_000_000  # of a clip, about the frame that is drawn
COMPRESSED = "sensor_msgs/msg/CompressedImage"
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 80]


@dataclass(frozen=True)
class FindingPicture:
    """A finding with its picture, and its clip as a path relative to the report.

    ``clip`` is empty, and ``problem`` says why, where the bag's images could not be read.
    """

    finding: PersonFinding
    tags: Mapping[str, str]
    picture: WorstFrame
    clip: str = ""
    problem: str = ""


def draw_findings(
    chosen: Iterable[tuple[BagPair, PersonFinding]],
    bags: Mapping[str, FleetBag],
    baseline: FleetFolder,
    candidate: FleetFolder,
    output: Path,
    cache: Path,
) -> list[FindingPicture]:
    """Draw the frames of findings, and write a clip of each into ``output/clips``.

    Parameters
    ----------
    bags
        Where the bags lie, by name.
    cache
        Folder for copies of remote bags.
    """
    by_bag: dict[str, list[tuple[int, BagPair, PersonFinding]]] = {}
    for number, (pair, finding) in enumerate(chosen, 1):
        by_bag.setdefault(pair.name, []).append((number, pair, finding))
    drawn: dict[int, FindingPicture] = {}
    for name, items in by_bag.items():
        try:
            with scratch_folder(cache) as folder:
                bag = bags[name]
                remote = is_url(bag.location)
                path = bag.copy_to(folder) if remote else Path(bag.location)
                pair = items[0][1]
                assert pair.baseline is not None and pair.candidate is not None
                runs = {
                    "baseline": baseline.skeletons(pair.baseline.key),
                    "candidate": candidate.skeletons(pair.candidate.key),
                }
                for number, pair, finding in items:
                    clip = f"{CLIPS}/{number:02d}.mcap"
                    image = _write_clip(output / clip, path, runs, finding)
                    problem = "" if image is not None else "the bag has no image of this stamp"
                    picture = _picture(finding, image)
                    drawn[number] = FindingPicture(
                        finding, pair.tags, picture, "" if problem else clip, problem
                    )
        except (ValueError, OSError, KeyError, ImportError) as error:
            problem = f"its images cannot be read: {' '.join(str(error).split())}"
            for number, pair, finding in items:
                picture = _picture(finding, None)
                drawn[number] = FindingPicture(finding, pair.tags, picture, problem=problem)
    return [drawn[number] for number in sorted(drawn)]


def _picture(finding: PersonFinding, image: np.ndarray | None) -> WorstFrame:
    row, frame = finding.worst.row, finding.worst.frame
    assert frame is not None  # only such findings are chosen
    return draw_worst_frame(frame, image, np.array([row.x, row.y, row.width, row.height]))


def _write_clip(
    path: Path, bag: Path, runs: Mapping[str, Path], finding: PersonFinding
) -> np.ndarray | None:
    """Write an mcap file of the time about a finding; returns the RGB image of its worst frame.

    It has the images with either run drawn into them, and the skeletons of both. Without the image
    nothing is written.
    """
    row = finding.row
    low = max(row.start_ns - AROUND_NS, row.worst_ns - LONGEST_NS // 2)
    high = min(row.end_ns + AROUND_NS, row.worst_ns + LONGEST_NS // 2)
    worst: np.ndarray | None = None
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path.parent) as folder:
        with BagWriter(folder / path.stem) as writer:
            answers = {name: read_answers(skeletons) for name, skeletons in runs.items()}
            for time, stamp, frame_id, image in _images(bag, low, high):
                frames = {name: run.frames.get(stamp) for name, run in answers.items()}
                sizes = {frame.size for frame in frames.values() if frame is not None}
                if image.shape[1::-1] not in sizes:
                    continue  # another camera's
                if stamp == row.worst_ns:
                    worst = image
                for name, frame in frames.items():
                    message = _drawn(image, frame, stamp, frame_id)
                    writer.write(f"/{name}/image/compressed", COMPRESSED, time, message)
            for name, skeletons in runs.items():
                with BagReader(skeletons) as reader:
                    for item in reader.messages([SKELETONS[0]]):
                        if low <= stamp_of(item.message) <= high:
                            writer.write(f"/{name}{item.topic}", item.type, item.time, item.data)
        if worst is not None:
            next((folder / path.stem).glob("*.mcap")).replace(path)
    return worst


def _images(bag: Path, low: int, high: int) -> Iterator[tuple[int, int, str, np.ndarray]]:
    """Log time, stamp, frame and RGB pixels of the images with a stamp in a range, ns."""
    with BagReader(bag) as reader:
        kinds = {n: i.type for n, i in reader.topics.items() if i.type in TRANSPORT_OF_TYPE}
        for item in reader.messages(list(kinds)) if kinds else ():
            try:
                stamp = stamp_of(item.message)
                if stamp > high + LONGEST_NS:
                    return  # stamps may be a little out of order, not that much
                if low <= stamp <= high:
                    image = TRANSPORT_OF_TYPE[kinds[item.topic]].read(item.message)
                    frame_id = item.message.header.frame_id
                    yield item.time, stamp, frame_id, np.ascontiguousarray(image)
            except (ImageError, BagError):
                continue


def _drawn(image: np.ndarray, frame: SkeletonFrame | None, stamp: int, frame_id: str) -> Any:
    """A CompressedImage with a run's skeletons drawn into an image."""
    drawn = image.copy()
    if frame is not None:
        draw_poses(drawn, frame.poses, frame.boxes, frame.ids)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), JPEG)
    types = typestore().types
    time = types["builtin_interfaces/msg/Time"](**time_fields(stamp))
    return types[COMPRESSED](
        header=types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id),
        format="jpeg",
        data=data.ravel(),
    )
