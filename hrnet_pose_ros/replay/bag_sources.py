# SPDX-License-Identifier: Apache-2.0
"""Storage readers of a bag: rosbags by its index, or the mcap records one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from rosbags.interfaces import MessageDefinition
from rosbags.rosbag2 import Reader

from hrnet_pose_ros.replay.mcap_stream import McapStream


class BagStorage(Protocol):
    """One storage file, or a folder with metadata.yaml."""

    loss: str

    def topics(self) -> Iterator[tuple[str, str, int, MessageDefinition, str]]:
        """``(topic, type, count, definition, type hash)``; the hash may be empty."""

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, str, int, bytes]]:
        """``(topic, type, time, data)`` in order of time."""


class IndexedStorage:
    """Storage that rosbags can read; ``reader`` must be open already."""

    loss = ""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def topics(self) -> Iterator[tuple[str, str, int, MessageDefinition, str]]:
        for one in self._reader.connections:
            yield one.topic, one.msgtype, one.msgcount, one.msgdef, one.digest

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, str, int, bytes]]:
        wanted = [one for one in self._reader.connections if one.topic in topics]
        if not wanted:  # rosbags treats an empty list as "all"
            return
        expected, found = sum(one.msgcount for one in wanted), 0
        try:
            for connection, time, data in self._reader.messages(wanted):
                found += 1
                yield connection.topic, connection.msgtype, time, data
        except GeneratorExit:
            raise
        except Exception as error:  # the underlying libraries raise errors of their own
            self.loss = f"reading stopped after {found} of {expected} messages: {error}"
            return
        if found < expected:
            self.loss = f"{expected - found} of {expected} messages that it counts are not there"


class UnindexedMcap:
    """An mcap file that only `McapStream` can read."""

    def __init__(self, path: Path) -> None:
        self._stream = McapStream(path)
        self.loss = self._stream.loss

    def topics(self) -> Iterator[tuple[str, str, int, MessageDefinition, str]]:
        counts = Counter(self._stream.counts)
        for channel in self._stream.channels.values():
            count = counts.pop(channel.topic, 0)
            yield channel.topic, channel.type, count, channel.definition, ""

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, str, int, bytes]]:
        return self._stream.messages(topics)


def is_unindexed(storage: Any) -> bool:
    """Whether this is an mcap file that rosbags reads only in part: messages outside of chunks, or
    in chunks without a message index."""
    chunks = getattr(storage, "chunks", None)
    if chunks is None:
        return False
    if any(not chunk.channel_count and chunk.uncompressed_size for chunk in chunks):
        return True
    indexed: int = sum(sum(chunk.channel_count.values()) for chunk in chunks)
    return bool(indexed != storage.metadata.message_count)


def in_order_of_time(storages: Sequence[Any]) -> bool:
    """Whether the files of a split bag, which rosbags reads one after the other, do not overlap."""
    used = [one.metadata for one in storages if one.metadata.message_count]
    return all(a.end_time <= b.start_time + 1 for a, b in pairwise(used))
