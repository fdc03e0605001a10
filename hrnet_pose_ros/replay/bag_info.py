# SPDX-License-Identifier: Apache-2.0
"""What a bag contains and what the node would do with it: the first check when no skeletons appear.

Stamps go through the node's own gate, with the bag's log times as the clock.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hrnet_pose_ros.pipeline.detections import select_persons
from hrnet_pose_ros.pipeline.drop_reasons import Drops, Reason, Subject
from hrnet_pose_ros.pipeline.gate import FrameGate, PairedFrame
from hrnet_pose_ros.pipeline.image_transport import RAW, TRANSPORT_OF_TYPE
from hrnet_pose_ros.pipeline.images import ImageError, size_of
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.replay.answers import SKELETONS
from hrnet_pose_ros.replay.bag_advice import advice_of
from hrnet_pose_ros.replay.bag_report import BagReport, PairingReport, TopicReport
from hrnet_pose_ros.replay.bags import BagMessage, BagReader
from hrnet_pose_ros.replay.definitions import BagError
from hrnet_pose_ros.replay.fusion_check import fusion_check, nearest_distances
from hrnet_pose_ros.replay.fusion_topics import is_depth_topic
from hrnet_pose_ros.replay.log_clock import LogClock
from hrnet_pose_ros.replay.topics import (
    CAMERA_INFO,
    DETECTIONS,
    detection_candidates,
    detections_topic,
    image_candidates,
    image_topic,
)

# A pause longer than this many median periods between two messages counts as a gap.
GAP_PERIODS = 3.0
# Messages are in bursts if the median pause between them is below this part of the mean.
BURST = 0.25
INTERESTING = (*TRANSPORT_OF_TYPE, CAMERA_INFO, DETECTIONS)


class _Seen(NamedTuple):
    """A message that the node would accept: its stamp, and its content or, for images, the size."""

    stamp: int
    content: Any


class _Series:
    """Statistics of one topic."""

    def __init__(self, report: TopicReport) -> None:
        self.report = report
        self.times: list[int] = []
        self.stamps: list[int] = []
        self.delays: list[int] = []
        self.last_stamp: int | None = None
        self.formats: Counter[str] = Counter()
        self.frame_ids: Counter[str] = Counter()

    def take(self, message: BagMessage) -> _Seen | None:
        """Count a message; returns it if the node accepts its type and it can be read."""
        self.times.append(message.time)
        if message.type not in INTERESTING:
            return None
        try:
            content = message.message
        except ValueError:
            self.report.unreadable += 1
            return None
        stamp = stamp_of(content)
        self.stamps.append(stamp)
        self.delays.append(message.time - stamp)
        self.report.stamps_out_of_order += self.last_stamp is not None and stamp <= self.last_stamp
        self.last_stamp = stamp
        self.frame_ids[content.header.frame_id] += 1
        if message.type not in TRANSPORT_OF_TYPE:
            return _Seen(stamp, content)
        size = self._size(message.type, content)
        return None if size is None else _Seen(stamp, size)

    def _size(self, type_name: str, content: Any) -> tuple[int, int] | None:
        """Width and height of an image, the only data kept of it; None if it cannot be read."""
        transport = TRANSPORT_OF_TYPE[type_name]
        name = content.encoding if transport is RAW else content.format
        if self.report.is_depth:
            self.formats[f"{name} {content.width}x{content.height}"] += 1
            return None
        try:
            width, height = size_of(transport.read(content))
        except ImageError:
            self.report.unreadable += 1
            self.formats[f"{name} unreadable"] += 1
            return None
        self.formats[f"{name} {width}x{height}"] += 1
        return width, height

    def finish(self) -> TopicReport:
        """Compute the report."""
        report = self.report
        report.count = len(self.times)
        of_stamps, pauses = _pauses(self.stamps), _pauses(self.times)
        if _in_bursts(pauses) and len(of_stamps):
            pauses = of_stamps
        if len(pauses):
            in_bursts = _in_bursts(pauses)
            period = float(pauses.mean() if in_bursts else np.median(pauses))
            report.rate_hz = round(1 / period, 2)
            report.gaps = 0 if in_bursts else int((pauses > GAP_PERIODS * period).sum())
            report.longest_gap_s = round(float(pauses.max()), 3)
        if report.type in TRANSPORT_OF_TYPE and len(of_stamps) and not _in_bursts(of_stamps):
            periods = np.round(of_stamps / float(np.median(of_stamps)))
            report.missing = int(np.maximum(periods - 1, 0).sum())
        if self.delays:
            report.delay_ms = round(float(np.median(self.delays)) / 1e6, 1)
        report.formats, report.frame_ids = dict(self.formats), dict(self.frame_ids)
        return report


class _PairingSimulation:
    """The node's path from subscription to mailbox, run on image sizes instead of images."""

    def __init__(
        self, settings: Settings, image: str, type_name: str, detections: str | None
    ) -> None:
        self._settings, self._image, self._detections = settings, image, detections
        self._drops = Drops()
        self._processed = 0
        self._stamps: tuple[list[int], list[int]] = ([], [])
        self._classes: Counter[str] = Counter()
        self._clock = LogClock()
        transport = TRANSPORT_OF_TYPE[type_name]
        self._gate = FrameGate(settings, self._clock, transport, self._drops.add)
        self._gate.open()

    def take(self, topic: str, log_time: int, seen: _Seen | None) -> None:
        """Process one message of the bag; None if it could not be read."""
        if topic not in (self._image, self._detections):
            return
        is_image = topic == self._image
        for _ in self._clock.advance(log_time, self._settings.max_wait_ms / 1e3):
            self._count(self._gate.expire())
        subject = Subject.IMAGE if is_image else Subject.DETECTIONS
        if seen is None:
            self._drops.add(subject, Reason.UNREADABLE)
            return
        self._stamps[0 if is_image else 1].append(seen.stamp)
        if not is_image:
            for detection in seen.content.detections:
                self._classes.update({r.hypothesis.class_id for r in detection.results})
        self._count(self._gate.admit(subject, seen.stamp, seen.content))

    def finish(self) -> PairingReport:
        for _ in self._clock.run_out(self._settings.max_wait_ms / 1e3):
            self._count(self._gate.expire())
        images = np.array(self._stamps[0], np.int64)
        distances = nearest_distances(images, np.array(self._stamps[1], np.int64))
        tolerance = self._settings.sync_tolerance_ms * 1e6
        return PairingReport(
            image=self._image,
            detections=self._detections,
            exact=_fraction(distances == 0),
            within_tolerance=_fraction(distances <= tolerance),
            nearest_ms=round(float(np.median(distances)) / 1e6, 3) if len(distances) else None,
            processed=self._processed,
            drops=self._drops.counts(),
            class_ids=dict(self._classes.most_common()),
        )

    def _count(self, frames: list[PairedFrame]) -> None:
        for frame in frames:
            self._processed += 1
            image_size = frame.pair.image.message
            select_persons(frame.pair.detections_message, image_size, self._settings, self._drops)


def bag_info(
    path: str | Path,
    settings: Settings,
    *,
    image: str | None = None,
    detections: str | None = None,
    fusion: PersonFusionSettings | None = None,
) -> BagReport:
    """Read the bag and report.

    Parameters
    ----------
    settings
        The node's parameters that pairing depends on.
    image, detections
        Input topics of the node. None: the only topic of that type; if there are several, pairing
        is not simulated.
    fusion
        The parameters of the fusion, whose inputs are checked if the bag has skeletons.

    Raises
    ------
    BagError
        The bag cannot be read, or has no such topic.
    """
    with BagReader(path) as reader:
        topics = reader.topics
        depth = [name for name, info in topics.items() if is_depth_topic(reader, name, info)]
        cameras = {name: info for name, info in topics.items() if name not in depth}
        if image is not None or len(image_candidates(cameras)) == 1:
            image = image_topic(cameras, image)
        if detections is not None or len(detection_candidates(topics)) == 1:
            detections = detections_topic(topics, detections)
        series = {
            name: _Series(TopicReport(name, info.type, info.count, is_depth=name in depth))
            for name, info in topics.items()
        }
        simulation = (
            None
            if image is None
            else _PairingSimulation(settings, image, topics[image].type, detections)
        )
        count = sum(info.count for info in topics.values())
        first = last = None
        for message in progress("bag-info", "message", count, reader.messages()):
            seen = series[message.topic].take(message)
            first = message.time if first is None else first
            last = message.time
            if simulation is not None:
                simulation.take(message.topic, message.time, seen)
        report = BagReport(
            path=str(path),
            duration_s=round(((last or 0) - (first or 0)) / 1e9, 3),
            loss=reader.loss,
            topics=[one.finish() for one in series.values()],
            other_versions=reader.other_versions,
            pairing=None if simulation is None else simulation.finish(),
            advice=[],
        )
        if any(info.type == SKELETONS and info.count for info in topics.values()):
            try:
                report.sensors = fusion_check([reader], fusion or PersonFusionSettings())
            except BagError as error:
                report.advice.append(f"The fusion: {error}.")
    report.advice += advice_of(report, settings)
    return report


def _pauses(times: list[int]) -> np.ndarray:
    """The pauses between times of ns, in seconds; times that repeat or go back have none."""
    pauses = np.diff(np.array(times, np.int64)).astype(float) / 1e9
    return pauses[pauses > 0]


def _in_bursts(pauses: np.ndarray) -> bool:
    """Whether most pauses are far shorter than the mean one, as after a stalled recorder."""
    return bool(len(pauses)) and float(np.median(pauses)) < BURST * float(pauses.mean())


def _fraction(values: np.ndarray) -> float:
    return round(float(values.mean()), 4) if len(values) else 0.0
