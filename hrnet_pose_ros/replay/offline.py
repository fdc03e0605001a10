# SPDX-License-Identifier: Apache-2.0
"""Runs the node's processing on a bag without ROS and without a real clock: bag in, skeletons out.

Pairing, conversion, engine, ids and messages are the node's own code. The differences are:

* The log times of the bag are the clock, and stamps are not compared with it: nothing is dropped
  because of its age or because of a clock offset.
* There is no mailbox: every pair is processed.
* All of `times` is NaN, and no message depends on when the run took place: on the same machine,
  with the same model and precision, two runs write identical bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_pose_ros.engines.engine import PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.pipeline.detections import select_persons
from hrnet_pose_ros.pipeline.drop_reasons import Drops, Reason, Subject
from hrnet_pose_ros.pipeline.engine_arguments import engine_arguments
from hrnet_pose_ros.pipeline.gate import FrameGate, PairedFrame
from hrnet_pose_ros.pipeline.image_transport import TRANSPORT_OF_TYPE
from hrnet_pose_ros.pipeline.images import ImageError, size_of
from hrnet_pose_ros.pipeline.pairing import Pair
from hrnet_pose_ros.pipeline.person_ids import PersonIds
from hrnet_pose_ros.pipeline.settings import IDS_NEVER, Settings
from hrnet_pose_ros.pipeline.skeleton_messages import Times, skeleton_array, skeleton_info
from hrnet_pose_ros.pipeline.stamps import seconds_text, time_fields
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.replay.bags import BagMessage, BagReader, BagWriter, message_types
from hrnet_pose_ros.replay.definitions import BagError
from hrnet_pose_ros.replay.log_clock import LogClock
from hrnet_pose_ros.replay.topics import detection_candidates, detections_topic, image_topic

SKELETONS = ("/skeletons", "hrnet_pose_ros/msg/SkeletonArray")
INFO = ("/skeleton_info", "hrnet_pose_ros/msg/SkeletonInfo")
WARNINGS = 5  # at most this many are printed; all are counted

Warn = Callable[[str], None]


@dataclass(frozen=True)
class ReplayResult:
    """The result of an offline run.

    Attributes
    ----------
    images, arrays, persons
        Number of images read from the bag, of SkeletonArrays written, and of skeletons in them.
    drops
        ``{"images.unmatched": 3, ...}``, as in the node's diagnostics.
    seconds, bag_seconds
        Processing time without engine creation, and duration of the recording.
    loss
        Which data of the bag was lost; empty if the bag is complete.
    """

    images: int
    arrays: int
    persons: int
    drops: dict[str, int]
    seconds: float
    bag_seconds: float
    loss: str

    def summary(self) -> str:
        """A few lines for the terminal."""
        rate = self.images / max(self.seconds, 1e-9)
        speed = self.bag_seconds / max(self.seconds, 1e-9)
        lines = [
            f"{self.arrays} of {self.images} images processed, {self.persons} skeletons; "
            f"{rate:.1f} images/s, {speed:.2f} times real time"
        ]
        if self.drops:
            counts = ", ".join(f"{name} {count}" for name, count in self.drops.items())
            lines.append(f"dropped: {counts}")
        if self.loss:
            lines.append(f"the bag is incomplete: {self.loss}")
        return "\n".join(lines)


def replay(
    bag: str | Path,
    output: str | Path,
    settings: Settings,
    *,
    image: str | None = None,
    detections: str | None = None,
    warn: Warn | None = None,
    engine: PoseEngine | None = None,
    show_progress: bool = True,
) -> ReplayResult:
    """Write the skeletons of a bag into a new bag, topics `SKELETONS` and `INFO`.

    Parameters
    ----------
    image, detections
        Topics. None: the only topic of that type. A bag needs no detections if
        ``whole_image_as_person`` is set.
    warn
        Called with one line for each of the first messages that cannot be used.
    engine
        One that `replay_engine` made for the same settings, for several bags; it stays open. None:
        one is made for this bag.
    show_progress
        Whether a bar shows on the terminal how far the run is.

    Raises
    ------
    BagError
        The bag cannot be read, lacks a topic, or the output already exists.
    ValueError, EngineError
        See `make_engine`.
    """
    with BagReader(bag) as reader:
        other_versions = [f"{name}: {why}" for name, why in reader.other_versions.items()]
        try:
            image = image_topic(reader.topics, image)
        except BagError as error:
            raise BagError("; ".join([str(error), *other_versions])) from None
        if warn is not None:
            for problem in other_versions:
                warn(f"not read: {problem}")
        if detections is not None or not settings.whole_image_as_person:
            detections = detections_topic(reader.topics, detections)
        elif detection_candidates(reader.topics):
            detections = detections_topic(reader.topics, None)
        writer = BagWriter(output)  # fails on an existing bag before the slow engine start
        used = engine or replay_engine(settings)
        try:
            with writer:
                run = _Run(reader, writer, used, settings, image, detections, warn)
                return run.run(show_progress)
        finally:
            if engine is None:
                used.close()


def replay_engine(settings: Settings) -> PoseEngine:
    """The engine that `replay` makes for these settings; errors as `make_engine`."""
    # A measurement at the start may choose other streams, and so other batches, in each run.
    return make_engine(**engine_arguments(settings) | {"streams": settings.streams or 1})


class _Run:
    """One offline run with its counters."""

    def __init__(
        self,
        reader: BagReader,
        writer: BagWriter,
        engine: PoseEngine,
        settings: Settings,
        image: str,
        detections: str | None,
        warn: Warn | None,
    ) -> None:
        self._reader, self._writer, self._engine = reader, writer, engine
        self._settings, self._image, self._detections = settings, image, detections
        self._warn, self._warnings = warn, 0
        self._transport = TRANSPORT_OF_TYPE[reader.topics[image].type]
        self._types = message_types()
        self._drops = Drops()
        self._clock = LogClock()
        self._ids = PersonIds()
        self._gate = FrameGate(
            settings,
            self._clock,
            self._transport,
            self._drops.add,
            refused=self._warn_refused,
            check_times=False,
        )
        self._gate.open()
        self._first: int | None = None
        self._last = 0
        self._images = self._arrays = self._persons = 0

    def run(self, show_progress: bool) -> ReplayResult:
        begun = time.monotonic()
        total = self._reader.topics[self._image].count
        with progress("replay", "image", total, show=show_progress) as bar:
            for frames, images in self._steps():
                for frame in frames:
                    self._process(frame.pair)
                bar.update(images)
        if self._first is None:
            raise BagError(f"no message in '{self._reader.path}' can be read: {self._reader.loss}")
        return ReplayResult(
            images=self._images,
            arrays=self._arrays,
            persons=self._persons,
            drops=self._drops.counts(),
            seconds=time.monotonic() - begun,
            bag_seconds=(self._last - self._first) / 1e9,
            loss=self._reader.loss,
        )

    def _steps(self) -> Iterator[tuple[list[PairedFrame], int]]:
        """Yield, for each step in time, the completed frames and the number of images received."""
        topics = [self._image] + ([self._detections] if self._detections else [])
        max_wait = self._settings.max_wait_ms / 1e3
        for message in self._reader.messages(topics):
            for _ in self._clock.advance(message.time, max_wait):
                yield self._gate.expire(), 0
            if self._first is None:
                self._begin(message.time)
            self._last = message.time
            is_image = message.topic == self._image
            self._images += is_image
            yield self._take(message, is_image), int(is_image)
        for _ in self._clock.run_out(max_wait):
            yield self._gate.expire(), 0

    def _take(self, message: BagMessage, is_image: bool) -> list[PairedFrame]:
        try:
            content = message.message
        except BagError as error:
            subject = Subject.IMAGE if is_image else Subject.DETECTIONS
            self._drops.add(subject, Reason.UNREADABLE)
            self._warn_refused(subject, Reason.UNREADABLE, str(error))
            return []
        return self._gate.image(content) if is_image else self._gate.detections(content)

    def _process(self, pair: Pair) -> None:
        """Estimate and write the skeletons of one pair, or count the drop reason."""
        try:
            rgb = self._transport.decode(pair.image.message)
        except ImageError as error:
            self._drops.add(Subject.IMAGE, Reason.UNREADABLE)
            stamp = seconds_text(pair.image.stamp)
            self._warn_first(f"{self._image}, stamp {stamp}, dropped: {error}")
            return
        image_size, detections = size_of(rgb), pair.detections_message
        try:
            persons = select_persons(detections, image_size, self._settings, self._drops)
        except AttributeError as error:
            raise BagError(
                f"{self._detections} uses a different version of vision_msgs than ROS 2 Jazzy: "
                f"{error}"
            ) from None
        poses = self._engine.estimate(rgb, persons.boxes)
        persons = self._ids.complete(persons, poses, pair, self._settings)
        array = skeleton_array(
            self._types,
            image=pair.image.message,
            detections=detections,
            image_size=image_size,
            persons=persons,
            poses=poses,
            times=Times(),
        )
        self._write(SKELETONS, array)
        self._arrays += 1
        self._persons += len(poses)

    def _begin(self, first: int) -> None:
        """Write the latched SkeletonInfo, stamped with the first log time."""
        self._first = first
        stamp = self._types.Time(**time_fields(first))
        header = self._types.Header(stamp=stamp, frame_id="")
        info = skeleton_info(
            self._types,
            header,
            self._engine.info,
            image_rectified=self._settings.image_rectified,
            assigned_ids=self._settings.assign_ids != IDS_NEVER,
        )
        self._write(INFO, info)

    def _write(self, topic: tuple[str, str], message: Any) -> None:
        self._writer.write(*topic, self._clock.now(), message)

    def _warn_refused(self, subject: Subject, reason: Reason, text: str) -> None:
        topic = self._image if subject is Subject.IMAGE else self._detections
        self._warn_first(f"{topic} at {seconds_text(self._clock.now())}: {text}")

    def _warn_first(self, text: str) -> None:
        self._warnings += 1
        if self._warn is not None and self._warnings <= WARNINGS:
            self._warn(
                text + ("; further ones are only counted" if self._warnings == WARNINGS else "")
            )
