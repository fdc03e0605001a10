# SPDX-License-Identifier: Apache-2.0
"""Runs the fusion of people on bags without ROS and without a real clock: bags in, people out.

It is the node's own code (`FusionRun`), with the log times of the bags as the clock: messages are
as late as they were recorded. No message depends on when the run takes place, so two runs write
identical bytes.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from hrnet_pose_ros.fusion.person import PeopleStatus
from hrnet_pose_ros.fusion.refusals import Refusal, Tally
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.fusion_run import TICK, FusionRun
from hrnet_pose_ros.pipeline.people.person_markers import person_markers
from hrnet_pose_ros.pipeline.people.person_messages import (
    PERSON_ARRAY,
    PeopleOutput,
    person_array,
)
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.replay.bags import BagMessage, BagReader, BagWriter
from hrnet_pose_ros.replay.definitions import BagError, typestore
from hrnet_pose_ros.replay.fusion_topics import FusionTopics

PEOPLE = ("/people", PERSON_ARRAY)
MARKERS = ("/people/markers", "visualization_msgs/msg/MarkerArray")
_TICK_NS = round(TICK * 1e9)
# In a pause of the recording, ticks end after this time, ns.
_LONGEST_PAUSE = 10_000_000_000


@dataclass(frozen=True)
class FuseResult:
    """The result of an offline run.

    Attributes
    ----------
    account
        What became of all messages, by input.
    topics
        Which topics each input was read from.
    statuses
        How many PersonArrays were written, by status.
    persons
        In all of them.
    seconds, bag_seconds
        Processing time, and duration of the recording.
    problems
        The last explanation of a refusal, by input.
    loss
        Which data of the bags was lost; empty if they are complete.
    """

    account: Mapping[Input, Tally]
    topics: Mapping[Input, list[str]]
    statuses: Mapping[str, int]
    persons: int
    seconds: float
    bag_seconds: float
    problems: Mapping[Input, str]
    loss: str

    def summary(self) -> str:
        """Some lines for the terminal: the account of each input."""
        speed = self.bag_seconds / max(self.seconds, 1e-9)
        counts = ", ".join(f"{name} {n}" for name, n in self.statuses.items()) or "none"
        lines = [f"people: {counts}; {self.persons} persons, {speed:.1f} times real time"]
        for what, names in self.topics.items():
            lines.append(f"{account_line(what, self.account[what])}  <- {', '.join(names)}")
            if self.account[what].refused and what in self.problems:
                lines.append(f"    last: {self.problems[what]}")
        if self.loss:
            lines.append(f"incomplete: {self.loss}")
        return "\n".join(lines)


def account_line(what: Input, tally: Tally) -> str:
    """Return ``points: 300 received = 290 used + 10 refused (late 3, not_needed 7)``."""
    reasons = ", ".join(
        f"{one.value} {tally.reasons[one]}" for one in Refusal if tally.reasons[one]
    )
    refused = f"{tally.refused} refused" + (f" ({reasons})" if reasons else "")
    waiting = f" + {tally.waiting} waiting" if tally.waiting else ""
    return f"{what.value}: {tally.received} received = {tally.used} used + {refused}{waiting}"


def fuse(
    bags: Sequence[str | Path],
    output: str | Path,
    settings: PersonFusionSettings,
    *,
    topics: Mapping[Input, str | Sequence[str]] | None = None,
    without: Collection[Input] = (),
    warn: Callable[[str], None] | None = None,
) -> FuseResult:
    """Write the people of one or several bags into a new bag, topics `PEOPLE` and `MARKERS`.

    Parameters
    ----------
    bags
        Read together in the order of their log times, as a recording of sensors and the bag that
        `replay` made of its images. A topic that is in several is read from the last.
    topics, without
        See `FusionTopics`.
    warn
        Called with one line for each topic that cannot be read at all.

    Raises
    ------
    BagError
        A bag cannot be read or has no skeletons, or the output already exists.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(BagReader(bag)) for bag in bags]
        for reader in readers:
            for name, problem in reader.other_versions.items():
                if warn is not None:
                    warn(f"not read: {name}: {problem}")
        found = FusionTopics(readers, topics, without)
        writer = stack.enter_context(BagWriter(output))
        return _BagFusion(readers, found, writer, settings).run()


class _BagFusion:
    """One offline run with its counters."""

    def __init__(
        self,
        readers: Sequence[BagReader],
        topics: FusionTopics,
        writer: BagWriter,
        settings: PersonFusionSettings,
    ) -> None:
        self._readers, self._topics, self._writer = readers, topics, writer
        self._run = FusionRun(settings)
        self._types = typestore().types
        self._statuses: Counter[str] = Counter()
        self._unreadable: Counter[Input] = Counter()
        self._persons = 0
        self._first = self._last = self._next_tick = -1

    def run(self) -> FuseResult:
        begun = time.monotonic()
        [skeletons] = self._topics.topics_of(Input.SKELETONS)
        total = self._readers[self._topics.bag_of[skeletons]].topics[skeletons].count
        with progress("fuse", "image", total) as bar:
            for message in self._messages():
                self._take(message)
                bar.update(message.topic == skeletons)
        if self._first < 0:
            raise BagError("; ".join(["no message can be read", *self._losses()]))
        self._run.finish()
        account = self._run.account()
        for what, count in self._unreadable.items():
            account[what].received += count
            account[what].reasons[Refusal.MALFORMED] += count
        return FuseResult(
            account=account,
            topics={one: names for one in Input if (names := self._topics.topics_of(one))},
            statuses={
                s.name: self._statuses[s.name] for s in PeopleStatus if self._statuses[s.name]
            },
            persons=self._persons,
            seconds=time.monotonic() - begun,
            bag_seconds=(self._last - self._first) / 1e9,
            problems=self._run.problems,
            loss="; ".join(self._losses()),
        )

    def _messages(self) -> Iterator[BagMessage]:
        """The messages of all bags by log time; equal times in the order of the bags."""
        streams = []
        for number, reader in enumerate(self._readers):
            names = [n for n in self._topics.inputs if self._topics.bag_of[n] == number]
            if names:
                streams.append(reader.messages(names))
        return heapq.merge(*streams, key=attrgetter("time"))

    def _take(self, message: BagMessage) -> None:
        now, what = message.time, self._topics.inputs[message.topic]
        if self._first < 0:
            self._first, self._next_tick = now, now + _TICK_NS
            self._run.open(now)
        self._last = now
        if now - self._next_tick > _LONGEST_PAUSE:
            for _ in range(_LONGEST_PAUSE // _TICK_NS):
                self._tick()
            self._next_tick = now
        while self._next_tick <= now:
            self._tick()
        try:
            content = message.message
        except BagError as error:
            self._unreadable[what] += 1
            self._run.problems[what] = str(error)
            return
        self._write(self._run.take(what, content, now, message.topic), now)

    def _tick(self) -> None:
        self._write(self._run.tick(self._next_tick), self._next_tick)
        self._next_tick += _TICK_NS

    def _write(self, outputs: list[PeopleOutput], now: int) -> None:
        for output in outputs:
            self._writer.write(*PEOPLE, now, person_array(self._types, output))
            self._writer.write(*MARKERS, now, person_markers(self._types, output))
            self._statuses[output.status.name] += 1
            self._persons += len(output.people)

    def _losses(self) -> list[str]:
        return [reader.loss for reader in self._readers if reader.loss]
