# SPDX-License-Identifier: Apache-2.0
"""Storage readers of a bag: rosbags by its index, or the mcap records one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
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
    """Whether this is an mcap file without chunks, which rosbags cannot read in time order."""
    return getattr(storage, "chunks", None) == [] and storage.metadata.message_count > 0
