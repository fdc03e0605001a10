# SPDX-License-Identifier: Apache-2.0
"""Reads and writes rosbag2 without ROS: mcap and sqlite3, also compressed or truncated."""

from __future__ import annotations

import heapq
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, StoragePlugin, Writer, WriterError

from hrnet_pose_ros.pipeline.message_types import MessageTypes
from hrnet_pose_ros.replay import zstd
from hrnet_pose_ros.replay.bag_sources import (
    BagStorage,
    IndexedStorage,
    UnindexedMcap,
    in_order_of_time,
    is_unindexed,
)
from hrnet_pose_ros.replay.definitions import BagError, BagTypes, typestore
from hrnet_pose_ros.yaml_config import read_yaml

STORAGES = (".mcap", ".db3")
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # no CDR message starts with these bytes
METADATA_VERSION = 9  # the newest that rosbags reads; also that of written bags
LATCHED_TYPES = {"hrnet_pose_ros/msg/SkeletonInfo"}
LATCHED_TOPICS = {"/tf_static"}
_NO_LIMIT = QosTime(9223372036, 854775807)  # rosbag2's infinite duration: the largest int64 of ns


@dataclass(frozen=True)
class TopicInfo:
    """The type of a topic, like ``sensor_msgs/msg/Image``, and how many messages it has."""

    type: str
    count: int


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag; ``time`` is the log time in ns, ``data`` its CDR bytes."""

    topic: str
    type: str
    time: int
    data: bytes
    _types: BagTypes = field(repr=False, compare=False)

    @cached_property
    def message(self) -> Any:
        """The deserialised message; BagError if the bytes are not a message of its type."""
        return self._types.deserialise(self.data, self.type)


class BagReader:
    """A rosbag2: a folder with or without metadata.yaml, or a single ``.mcap`` or ``.db3`` file.

    Used as a context manager. The messages of a split bag's files are merged by time.

    Attributes
    ----------
    topics
        ``{name: TopicInfo}`` in alphabetical order.

    Raises
    ------
    BagError
        There is no bag at the path, or nothing in it can be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.topics: dict[str, TopicInfo] = {}
        self._types = BagTypes()
        self._sources: list[BagStorage] = []
        self._notes: list[str] = []
        self._stack = ExitStack()

    def __enter__(self) -> BagReader:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def loss(self) -> str:
        """One sentence that says which data of the bag was lost; empty if the bag is complete.

        It grows when a file turns out to be damaged while it is read.
        """
        return "; ".join([*self._notes, *(one.loss for one in self._sources if one.loss)])

    @property
    def other_versions(self) -> dict[str, str]:
        """Topics with messages of another version of this package, and what to do about each."""
        problems = {
            name: self._types.other_version(info.type) for name, info in self.topics.items()
        }
        return {name: problem for name, problem in problems.items() if problem}

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """The messages of some topics, or of all, in order of log time.

        Raises
        ------
        BagError
            The bag has no such topic.
        """
        wanted = set(self.topics if topics is None else topics)
        if unknown := sorted(wanted - set(self.topics)):
            raise BagError(f"'{self.path}' has no topic {unknown[0]}; it has {self._topic_list()}")
        merged = heapq.merge(*(one.messages(wanted) for one in self._sources), key=itemgetter(2))
        for topic, type_name, time, data in merged:
            if data[:4] == ZSTD_MAGIC:  # message compression not declared in metadata.yaml
                try:
                    data = zstd.decompress(data)
                except zstd.ZstdError:
                    self._notes.append(f"a message of {topic} cannot be decompressed")
                    continue
            yield BagMessage(topic, type_name, time, bytes(data), self._types)

    def _topic_list(self) -> str:
        return ", ".join(self.topics) or "none"

    def _open(self) -> None:
        if not self.path.exists():
            raise BagError(f"there is no bag at '{self.path.absolute()}'")
        if not (self.path.is_dir() and self._open_by_metadata()):
            self._open_files()
        topics: dict[str, TopicInfo] = {}
        for source in self._sources:
            for topic, type_name, count, definition, type_hash in source.topics():
                before = topics[topic].count if topic in topics else 0
                topics[topic] = TopicInfo(type_name, before + count)
                self._types.add(type_name, definition, type_hash)
        self.topics = dict(sorted(topics.items()))

    def _open_files(self) -> None:
        """Open each file by itself; of a split bag, those that can be read."""
        failed = []
        for file in self._files():
            try:
                self._sources.append(self._source(file))
            except BagError as error:
                failed.append(error)
        if failed and not self._sources:
            raise failed[0]
        self._notes += map(str, failed)

    def _open_by_metadata(self) -> bool:
        """Whether rosbags can read the folder; a bag with truncated files is read file by file, as
        is one whose files are not in order of time or whose metadata are of a newer version."""
        if not (self.path / "metadata.yaml").is_file() or self._is_newer():
            return False
        reader = Reader(self.path)
        try:
            reader.open()
        except Exception as error:  # the underlying libraries raise errors of their own
            self._notes.append(f"metadata.yaml does not match the files ({error})")
            return False
        self._stack.callback(reader.close)
        storages = getattr(reader.storage, "storages", [])
        if any(map(is_unindexed, storages)) or not in_order_of_time(storages):
            return False
        self._sources.append(IndexedStorage(reader))
        return True

    def _is_newer(self) -> bool:
        """Whether metadata.yaml is of a version that rosbags does not know."""
        try:
            content = read_yaml(self.path / "metadata.yaml", "metadata")
            return int(content["rosbag2_bagfile_information"]["version"]) > METADATA_VERSION
        except Exception:  # of any other content, rosbags says what is wrong
            return False

    def _files(self) -> list[Path]:
        """The storage files, decompressed if necessary; BagError if there are none."""
        if self.path.is_file():
            files = [self.path]
        else:
            files = sorted(self.path.iterdir(), key=_natural_order)
        found = [file for file in files if file.name.removesuffix(".zstd").endswith(STORAGES)]
        if not found and any(file.suffix == ".bag" for file in files):
            raise BagError(
                f"'{self.path}' contains a ROS 1 bag: convert it with rosbags-convert (pip install "
                "rosbags)"
            )
        if not found:
            raise BagError(
                f"'{self.path}' does not contain a bag: there is no {' or '.join(STORAGES)} file "
                "in it"
            )
        return [self._decompressed(file) if file.suffix == ".zstd" else file for file in found]

    def _decompressed(self, file: Path) -> Path:
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="hrnet_pose_bag_")))
        target = folder / file.stem
        try:
            with zstd.open(file, "rb") as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
        except (EOFError, zstd.ZstdError):
            self._notes.append(f"{file.name} is truncated")
        return target

    def _source(self, file: Path) -> BagStorage:
        """The file read by its index or, if that fails, record by record."""
        if not file.stat().st_size:
            raise BagError(f"'{file}' is empty (0 bytes)")
        try:
            reader = Reader(file)
            reader.open()
        except Exception as error:  # the underlying libraries raise errors of their own
            if file.suffix == ".mcap":
                return UnindexedMcap(file)
            raise BagError(
                f"'{file}' cannot be read ({error}); sqlite3's .recover command may help"
            ) from None
        self._stack.callback(reader.close)
        return UnindexedMcap(file) if is_unindexed(reader.storage) else IndexedStorage(reader)


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts bag_2 before bag_10."""
    return [(int(n or 0), text) for n, text in re.findall(r"(\d+)|(\D+)", path.name)]


class BagWriter:
    """Writes a new rosbag2 folder (mcap) that ``ros2 bag info`` and ``ros2 bag play`` accept.

    Used as a context manager. The bag is valid even if the block ends with an exception.

    Raises
    ------
    BagError
        The folder already exists or cannot be created.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._connections: dict[tuple[str, str], Connection] = {}
        try:
            self._writer = Writer(
                self.path, version=METADATA_VERSION, storage_plugin=StoragePlugin.MCAP
            )
        except WriterError:
            raise BagError(
                f"'{self.path}' already exists and will not be overwritten; remove it or choose "
                "another path"
            ) from None

    def __enter__(self) -> BagWriter:
        try:
            self._writer.open()
        except (OSError, WriterError) as error:
            raise BagError(f"cannot write a bag at '{self.path}': {error}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, topic: str, type_name: str, time: int, message: Any) -> None:
        """Write a message, or its CDR bytes, with a log time in ns.

        Topics of a latched type and `LATCHED_TOPICS` offer transient local durability, all others
        volatile; all are reliable.
        """
        connection = self._connections.get((topic, type_name))
        if connection is None:
            connection = self._writer.add_connection(
                topic,
                type_name,
                typestore=typestore(),
                offered_qos_profiles=[_offered(topic, type_name)],
            )
            self._connections[topic, type_name] = connection
        raw = isinstance(message, (bytes, memoryview))
        data = message if raw else typestore().serialize_cdr(message, type_name)
        self._writer.write(connection, time, data)


def _offered(topic: str, type_name: str) -> Qos:
    latched = type_name in LATCHED_TYPES or topic in LATCHED_TOPICS
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_NO_LIMIT,
        lifespan=_NO_LIMIT,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_NO_LIMIT,
        avoid_ros_namespace_conventions=False,
    )


def message_types() -> MessageTypes:
    """The message classes of the bag library, for the node's conversions."""
    types = typestore().types
    packages = {
        "Header": "std_msgs",
        "Time": "builtin_interfaces",
        "BoundingBox2D": "vision_msgs",
        "Pose2D": "vision_msgs",
        "Point2D": "vision_msgs",
    }
    classes = {
        name: types[f"{packages.get(name, 'hrnet_pose_ros')}/msg/{name}"]
        for name in MessageTypes._fields
    }
    # The library requires arrays where rclpy accepts lists.
    info = classes["SkeletonInfo"]
    arrays = {
        **dict.fromkeys(("mirror_pairs", "limbs", "role_joints", "detail_joints"), np.uint16),
        "oks_sigmas": np.float32,
    }
    classes["SkeletonInfo"] = lambda **fields: info(
        **{
            name: np.asarray(value, arrays[name]) if name in arrays else value
            for name, value in fields.items()
        }
    )
    return MessageTypes(**classes)
