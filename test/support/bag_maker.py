# SPDX-License-Identifier: Apache-2.0
"""Small bags of every kind, made from the first messages of the bundled clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from hrnet_pose_ros.replay.bags import BagReader, typestore

CLIP = Path(__file__).resolve().parents[2] / "demo" / "street_bag"
IMAGES, CAMERA_INFO, DETECTIONS = (
    "/camera/image/compressed",
    "/camera/camera_info",
    "/detections",
)

Row = tuple[str, str, int, Any]  # topic, type, log time, message or CDR bytes


def clip_rows(count: int) -> list[Row]:
    """The first messages of the clip: image, camera_info and detections by turns."""
    with BagReader(CLIP) as bag:
        rows = []
        for message in bag.messages():
            rows.append((message.topic, message.type, message.time, message.data))
            if len(rows) == count:
                break
    return rows


def write_bag(
    folder: Path,
    rows: Iterable[Row],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """A bag of any kind, by the library itself; returns the folder."""
    writer = Writer(folder, version=9, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[tuple[str, str], Any] = {}
        for topic, kind, time, message in rows:
            if (topic, kind) not in connections:
                connections[topic, kind] = writer.add_connection(topic, kind, typestore=typestore())
            raw = isinstance(message, bytes)
            data = message if raw else typestore().serialize_cdr(message, kind)
            writer.write(connections[topic, kind], time, data)
    return folder


def changed(row: Row, change: Callable[[Any], None]) -> Row:
    """A row whose message ``change`` has altered."""
    topic, kind, time, data = row
    message = typestore().deserialize_cdr(data, kind)
    change(message)
    return topic, kind, time, bytes(typestore().serialize_cdr(message, kind))
