# SPDX-License-Identifier: Apache-2.0
"""Reads an mcap file without its index: a file that was truncated or written without an index.

rosbags (0.11) rejects a file without its end magic and requires unindexed messages in time order.
Records are read one after the other (https://mcap.dev/spec). The complete messages of a truncated
chunk are used as well.
"""

from __future__ import annotations

import heapq
import io
import struct
from array import array
from binascii import crc32
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from hrnet_pose_ros.replay import zstd
from hrnet_pose_ros.replay.definitions import BagError

MAGIC = b"\x89MCAP0\r\n"
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
READ = {SCHEMA, CHANNEL, MESSAGE, CHUNK}
# Read limit for a record whose length field points beyond the end of the file.
LARGEST_CUT_CHUNK = 256 * 2**20
LATEST = 2**64 - 1

_FORMATS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}


@dataclass(frozen=True)
class Channel:
    """A topic of the file with its type and the type's definition."""

    topic: str
    type: str
    definition: MessageDefinition


@dataclass(frozen=True)
class _Message:
    channel: int
    time: int
    data: bytes


class McapStream:
    """The messages of an mcap file in order of log time.

    The first pass counts them and records the earliest time of each block (a chunk, or one message
    outside chunks). The second pass sorts them and keeps only blocks that overlap in time in
    memory.

    Raises
    ------
    BagError
        The file is not an mcap file, or has no messages of ROS 2.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._damaged_chunks = self._orphans = 0
        self._cut_at: int | None = None
        self._declared: set[int] = set()
        self._foreign: set[str] = set()
        self._schemas: dict[int, tuple[str, MessageDefinition]] = {}
        self.channels: dict[int, Channel] = {}
        self.counts: Counter[str] = Counter()
        earliest = array("Q")
        for block in self._blocks():
            earliest.append(min((message.time for message in block), default=LATEST))
            self.counts.update(self.channels[message.channel].topic for message in block)
        # The earliest time of this block and all later ones.
        for place in range(len(earliest) - 2, -1, -1):
            earliest[place] = min(earliest[place], earliest[place + 1])
        if self._foreign and not self.channels:
            raise BagError(
                f"'{path}' has no messages of ROS 2: their encoding is "
                f"{', '.join(sorted(self._foreign))}, expected cdr"
                + ("; convert it with rosbags-convert" if "ros1" in self._foreign else "")
            )
        self._earliest = earliest
        self.loss = self._loss()

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, str, int, bytes]]:
        """``(topic, type, time in ns, data)`` of the topics, in order of time."""
        waiting: list[tuple[int, int, Channel, bytes]] = []
        number = 0
        for place, block in enumerate(self._blocks()):
            for message in block:
                channel = self.channels[message.channel]
                if channel.topic in topics:
                    heapq.heappush(waiting, (message.time, number, channel, message.data))
                    number += 1
            later = self._earliest[place + 1] if place + 1 < len(self._earliest) else LATEST
            while waiting and waiting[0][0] <= later:
                time, _, channel, data = heapq.heappop(waiting)
                yield channel.topic, channel.type, time, data
        assert not waiting

    def _loss(self) -> str:
        parts = []
        if self._cut_at is not None:
            parts.append(f"it is truncated (the last complete record ends at byte {self._cut_at})")
        if self._damaged_chunks:
            parts.append(f"{self._damaged_chunks} of its chunks or records are damaged")
        if self._orphans:
            parts.append(f"the topics of {self._orphans} messages were declared in a damaged part")
        if not parts:
            return ""
        used = f"{self.counts.total()} complete messages are used"
        return f"{self._path.name}: {' and '.join(parts)}; {used}, the rest are lost"

    def _blocks(self) -> Iterator[list[_Message]]:
        self._damaged_chunks = self._orphans = 0
        self._cut_at = None
        with self._path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise BagError(
                    f"'{self._path}' is not an mcap file: the magic bytes at its start are missing"
                )
            for kind, content, whole in self._records(file):
                if kind == CHUNK:
                    yield self._chunk(content, whole)
                elif message := self._take(kind, content):
                    yield [message]

    def _records(self, file: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
        """``(kind, content, complete)``; only the last record may be incomplete."""
        size = file.seek(0, io.SEEK_END)
        place = file.seek(len(MAGIC))
        while True:
            head = file.read(9)
            kind, length = struct.unpack("<BQ", head) if len(head) == 9 else (0, 0)
            if kind in (FOOTER, DATA_END):
                return
            end = place + 9 + length
            if kind == 0 or end > size:  # 0: zeros that some file systems leave after a power loss
                self._cut_at = place
                if kind == CHUNK:
                    yield kind, file.read(min(length, LARGEST_CUT_CHUNK)), False
                return
            if kind in READ:
                yield kind, file.read(length), True
            place = file.seek(end)

    def _chunk(self, content: bytes, whole: bool) -> list[_Message]:
        try:
            records = _decompressed(content, whole)
        except (struct.error, zstd.ZstdError, RuntimeError, ValueError):
            self._damaged_chunks += whole
            return []
        found, place = [], 0
        while place + 9 <= len(records):
            kind, length = struct.unpack_from("<BQ", records, place)
            place += 9
            if kind == 0 or place + length > len(records):
                break
            if message := self._take(kind, records[place : place + length]):
                found.append(message)
            place += length
        return found

    def _take(self, kind: int, content: bytes) -> _Message | None:
        """Store a schema or channel, or return a message of a known channel."""
        try:
            if kind == SCHEMA:
                (schema,), (name, encoding, text) = _strings(content, "<H", 3)
                shape = MessageDefinition(
                    _FORMATS.get(encoding, MessageDefinitionFormat.NONE), text
                )
                self._schemas[schema] = (name, shape)
            elif kind == CHANNEL:
                (number, schema), (topic, encoding) = _strings(content, "<HH", 2)
                self._declared.add(number)
                if encoding != "cdr":
                    self._foreign.add(encoding)
                elif schema in self._schemas:
                    self.channels[number] = Channel(topic, *self._schemas[schema])
            elif kind == MESSAGE:
                channel, _, time, _ = struct.unpack_from("<HIQQ", content)
                if channel in self.channels:
                    return _Message(channel, time, content[22:])
                self._orphans += channel not in self._declared
        except (struct.error, UnicodeDecodeError):
            self._damaged_chunks += 1
        return None


def _strings(content: bytes, head: str, count: int) -> tuple[tuple[int, ...], list[str]]:
    """Unpack the leading numbers and the strings after them."""
    numbers = struct.unpack_from(head, content)
    place, texts = struct.calcsize(head), []
    for _ in range(count):
        (length,) = struct.unpack_from("<I", content, place)
        texts.append(content[place + 4 : place + 4 + length].decode())
        place += 4 + length
    return numbers, texts


def _decompressed(content: bytes, whole: bool) -> bytes:
    """The records of a chunk, or the first part of them; a damaged chunk raises various errors."""
    size, crc, length = struct.unpack_from("<QII", content, 16)
    compression = content[32 : 32 + length].decode()
    data = content[32 + length + 8 :]
    if compression == "zstd":
        records = zstd.ZstdDecompressor().decompress(data)
    elif compression == "lz4":
        records = LZ4FrameDecompressor().decompress(data)
    elif compression == "":
        records = data
    else:
        raise ValueError(f"unknown compression {compression!r}")
    if whole and (len(records) != size or (crc and crc32(records) != crc)):
        raise ValueError("size or checksum does not match")
    return records
