# SPDX-License-Identifier: Apache-2.0
"""rosbag2 in and out: every storage and compression, truncated anywhere, never overwritten."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import struct
import tracemalloc
from pathlib import Path

import lz4.frame
import pytest
import yaml
from bag_maker import CAMERA_INFO, DETECTIONS, IMAGES, Row, clip_rows, write_bag
from rosbags.rosbag2 import CompressionMode, Reader, StoragePlugin

from hrnet_pose_ros.replay import definitions
from hrnet_pose_ros.replay.bags import (
    ZSTD_MAGIC,
    BagError,
    BagReader,
    BagWriter,
    TopicInfo,
    message_types,
)

NONE, FILE, MESSAGE, STORAGE = (
    CompressionMode.NONE,
    CompressionMode.FILE,
    CompressionMode.MESSAGE,
    CompressionMode.STORAGE,
)
MCAP, SQLITE3 = StoragePlugin.MCAP, StoragePlugin.SQLITE3


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return clip_rows(120)  # more than one chunk of an mcap file


def contents(path: Path) -> list[Row]:
    with BagReader(path) as bag:
        assert bag.loss == ""
        return [(m.topic, m.type, m.time, m.data) for m in bag.messages()]


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize(
    ("storage", "compression"),
    [(MCAP, NONE), (MCAP, FILE), (MCAP, MESSAGE), (MCAP, STORAGE)]
    + [(SQLITE3, NONE), (SQLITE3, FILE), (SQLITE3, MESSAGE)],
)
def test_all_kinds_of_bags(
    storage: StoragePlugin,
    compression: CompressionMode,
    metadata: bool,
    rows: list[Row],
    tmp_path: Path,
) -> None:
    folder = write_bag(tmp_path / "bag", rows, storage, compression)
    if not metadata:  # the recorder lost its power before it wrote them
        (folder / "metadata.yaml").unlink()
    assert contents(folder) == rows


@pytest.mark.parametrize("storage", [MCAP, SQLITE3])
def test_single_file(storage: StoragePlugin, rows: list[Row], tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", rows, storage)
    [file] = (path for path in folder.iterdir() if path.suffix in (".mcap", ".db3"))
    assert contents(file) == rows


def test_topics_and_messages(rows: list[Row], tmp_path: Path) -> None:
    with BagReader(write_bag(tmp_path / "bag", rows)) as bag:
        assert bag.topics == {
            CAMERA_INFO: TopicInfo("sensor_msgs/msg/CameraInfo", 40),
            IMAGES: TopicInfo("sensor_msgs/msg/CompressedImage", 40),
            DETECTIONS: TopicInfo("vision_msgs/msg/Detection2DArray", 40),
        }
        [*messages] = bag.messages([DETECTIONS])
        assert len(messages) == 40
        assert messages[0].message.detections[0].results[0].hypothesis.class_id == "person"
        with pytest.raises(BagError, match="no topic /detection; it has /camera/camera_info, "):
            list(bag.messages(["/detection"]))


def test_order_of_time(rows: list[Row], tmp_path: Path) -> None:
    mixed = rows[60:] + rows[:60]
    assert contents(write_bag(tmp_path / "indexed", mixed)) == rows
    folder = write_bag(tmp_path / "cut", mixed, MCAP, STORAGE)
    cut_off(folder, whole_data(folder))
    with BagReader(folder) as bag:
        assert [message.time for message in bag.messages()] == [row[2] for row in rows]


def whole_data(folder: Path) -> int:
    """Where the last chunk of an mcap ends: all messages lie before."""
    content = (folder / f"{folder.name}.mcap").read_bytes()
    place, end = 8, 0
    while content[place] != 0x0F:
        (length,) = struct.unpack_from("<Q", content, place + 1)
        place += 9 + length
        end = place if content[place - 9 - length] == 0x06 else end
    return end


def cut_off(folder: Path, size: int) -> None:
    """As a power loss leaves it."""
    (folder / "metadata.yaml").unlink()
    with (folder / f"{folder.name}.mcap").open("r+b") as file:
        file.truncate(size)


@pytest.mark.parametrize("compression", [NONE, STORAGE, MESSAGE])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.63, 0.77, 0.9, 0.999, 1.0])
def test_cut_off_anywhere(
    share: float, compression: CompressionMode, rows: list[Row], tmp_path: Path
) -> None:
    folder = write_bag(tmp_path / "bag", rows, MCAP, compression)
    data = whole_data(folder)
    cut_off(folder, 8 + int(share * (data - 8)))
    with BagReader(folder) as bag:
        found = [(m.topic, m.type, m.time, m.data) for m in bag.messages()]
        assert found == rows[: len(found)]  # complete messages, none left out before the last one
        assert sum(info.count for info in bag.topics.values()) == len(found)
        assert "bag.mcap: it is truncated" in bag.loss
        assert f"{len(found)} complete messages" in bag.loss
    if compression is not STORAGE:  # every message that is there as a whole, also of half a chunk
        size = sum(len(row[3]) for row in rows)
        allowed = max(len(row[3]) for row in rows) / size + 0.03
        assert len(found) / len(rows) >= (share - allowed if compression is NONE else 0.0)
    if share == 1.0:
        assert found == rows


def test_every_cut_of_a_small_bag(tmp_path: Path) -> None:
    rows = [row for row in clip_rows(12) if row[0] != IMAGES]
    folder = write_bag(tmp_path / "bag", rows)
    file = folder / "bag.mcap"
    content, data = file.read_bytes(), whole_data(folder)
    (folder / "metadata.yaml").unlink()
    last = 0
    for size in range(8, data + 1, 97):
        file.write_bytes(content[:size])
        with BagReader(folder) as bag:
            found = [(m.topic, m.type, m.time, m.data) for m in bag.messages()]
        assert found == rows[: len(found)]
        assert len(found) >= last
        last = len(found)
    assert last >= len(rows) - 1


def test_zeros_after_the_cut(rows: list[Row], tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", rows)
    size = whole_data(folder)
    cut_off(folder, size)
    with (folder / "bag.mcap").open("ab") as file:
        file.write(bytes(4096))
    with BagReader(folder) as bag:
        assert len(list(bag.messages())) == len(rows)
        assert f"the last complete record ends at byte {size}" in bag.loss


def test_metadata_of_another_size(rows: list[Row], tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", rows)
    with (folder / "bag.mcap").open("r+b") as file:
        file.truncate(whole_data(folder) // 2)
    with BagReader(folder) as bag:
        assert 0 < len(list(bag.messages())) < len(rows)
        assert bag.loss.startswith("metadata.yaml does not match")


@pytest.mark.parametrize(("chunk", "says"), [(0, "the topics of"), (1, "1 of its chunks")])
def test_damaged_chunk_is_left_out(chunk: int, says: str, rows: list[Row], tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", rows, MCAP, STORAGE)
    cut_off(folder, whole_data(folder))
    content = (folder / "bag.mcap").read_bytes()
    begin = [found.start() for found in re.finditer(re.escape(ZSTD_MAGIC), content)][chunk]
    with (folder / "bag.mcap").open("r+b") as file:
        file.seek(begin)
        file.write(b"power")
    with BagReader(folder) as bag:
        found = len(list(bag.messages()))
        assert found == (0 if chunk == 0 else sum(info.count for info in bag.topics.values()))
        assert found < len(rows)
        assert "damaged" in bag.loss
        assert says in bag.loss


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "no bag at"),
        (lambda path: path.mkdir(), "does not contain a bag"),
        (lambda path: path.write_text("hello"), "does not contain a bag"),
    ],
)
def test_no_bag(make, expected: str, tmp_path: Path) -> None:
    make(tmp_path / "thing")
    with pytest.raises(BagError, match=expected), BagReader(tmp_path / "thing"):
        pass


@pytest.mark.parametrize(
    ("suffix", "expected"), [(".mcap", "not an mcap file"), (".db3", "recover")]
)
def test_no_such_storage(suffix: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / f"thing{suffix}"
    file.write_bytes(b"hello" * 1000)
    with pytest.raises(BagError, match=expected), BagReader(file):
        pass


def test_bytes_that_are_no_message(rows: list[Row], tmp_path: Path) -> None:
    topic, kind, time, data = rows[2]
    folder = write_bag(tmp_path / "bag", [(topic, kind, time, data[: len(data) // 2])])
    with BagReader(folder) as bag:
        [message] = bag.messages()
        with pytest.raises(BagError, match=f"bytes are not a {kind}"):
            _ = message.message


def test_written_bag(rows: list[Row], tmp_path: Path) -> None:
    types = message_types()
    header = types.Header(stamp=types.Time(sec=1, nanosec=2), frame_id="camera")
    folder = tmp_path / "bag"
    with BagWriter(folder) as bag:
        bag.write("/header", "std_msgs/msg/Header", 5, header)
        bag.write("/detections", rows[2][1], 6, rows[2][3])
    assert contents(folder)[1] == (DETECTIONS, rows[2][1], 6, rows[2][3])
    with BagReader(folder) as bag:
        [message] = bag.messages(["/header"])
        assert (message.time, message.message.frame_id) == (5, "camera")
    information = yaml.safe_load((folder / "metadata.yaml").read_text())
    metadata = information["rosbag2_bagfile_information"]
    assert (metadata["version"], metadata["storage_identifier"]) == (9, "mcap")
    with Reader(folder) as reader:
        assert all(one.digest.startswith("RIHS01_") for one in reader.connections)
        assert all(one.ext.offered_qos_profiles for one in reader.connections)


def test_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    with pytest.raises(BagError, match="bag' already exists and will not be overwritten"):
        BagWriter(tmp_path / "bag")


def test_an_exception_leaves_a_whole_bag(rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), BagWriter(tmp_path / "bag") as bag:
        bag.write(*rows[0][:3], rows[0][3])
        raise KeyboardInterrupt
    assert contents(tmp_path / "bag") == rows[:1]


def test_definitions_come_from_the_first_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name / "share" / "hrnet_pose_ros" / "msg" for name in ("over", "under")]
    for folder in folders:
        folder.mkdir(parents=True)
    (folders[1] / "Keypoint.msg").write_text("")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'over'}:{tmp_path / 'under'}")
    assert definitions.definition_folders("hrnet_pose_ros")[0] == folders[1]


def test_definitions_that_are_nowhere() -> None:
    with pytest.raises(BagError, match="no message definitions of vision_msgs"):
        definitions.read_types(lambda package: [])


def test_chunks_of_lz4(rows: list[Row], tmp_path: Path) -> None:
    """As other recorders write them; the bag library itself does not."""
    folder = write_bag(tmp_path / "bag", rows)
    content = (folder / "bag.mcap").read_bytes()[: whole_data(folder)]
    written, place = [content[:8]], 8
    while place < len(content):
        kind, length = struct.unpack_from("<BQ", content, place)
        record = content[place + 9 : place + 9 + length]
        if kind == 0x06:
            packed = lz4.frame.compress(record[40:])
            record = record[:28] + struct.pack("<I3sQ", 3, b"lz4", len(packed)) + packed
        written += [struct.pack("<BQ", kind, len(record)), record]
        place += 9 + length
    file = tmp_path / "lz4.mcap"
    file.write_bytes(b"".join(written))
    with BagReader(file) as bag:
        assert [(m.topic, m.type, m.time, m.data) for m in bag.messages()] == rows


@pytest.mark.parametrize("whole", [True, False])
def test_memory_does_not_grow_with_the_bag(whole: bool, tmp_path: Path) -> None:
    size, count = 500_000, 120  # 60 MB
    kind = "std_msgs/msg/String"
    folder = write_bag(tmp_path / "bag", (("/big", kind, n, bytes(size)) for n in range(count)))
    if not whole:
        cut_off(folder, whole_data(folder))
    tracemalloc.start()
    try:
        with BagReader(folder) as bag:
            assert sum(1 for _ in bag.messages()) == count
        assert tracemalloc.get_traced_memory()[1] < 10e6  # a few chunks of 1 MB
    finally:
        tracemalloc.stop()


def split_bag(folder: Path, parts: list[list[Row]], storage: StoragePlugin = MCAP) -> Path:
    """A bag of several files, named as rosbag2 does, with the metadata of all."""
    folder.mkdir()
    informations = []
    for number, part in enumerate(parts):
        one = write_bag(folder.parent / f"{folder.name}_part_{number}", part, storage)
        content = yaml.safe_load((one / "metadata.yaml").read_text())
        informations.append(content["rosbag2_bagfile_information"])
        [file] = (path for path in one.iterdir() if path.suffix != ".yaml")
        file.rename(folder / f"{folder.name}_{number}{file.suffix}")
    merged = informations[0]
    files = sorted(path.name for path in folder.iterdir())
    merged["relative_file_paths"] = files
    merged["message_count"] = sum(one["message_count"] for one in informations)
    counts = {
        one["topic_metadata"]["name"]: one
        for information in reversed(informations)
        for one in information["topics_with_message_count"]
    }
    for topic, one in counts.items():
        one["message_count"] = sum(row[0] == topic for part in parts for row in part)
    merged["topics_with_message_count"] = [*counts.values()]
    merged["files"] = []
    times = [row[2] for part in parts for row in part]
    merged["starting_time"] = {"nanoseconds_since_epoch": min(times)}
    merged["duration"] = {"nanoseconds": max(times) - min(times)}
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": merged}))
    return folder


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("storage", [MCAP, SQLITE3])
def test_the_files_of_a_split_bag_are_merged_by_time(
    storage: StoragePlugin, metadata: bool, rows: list[Row], tmp_path: Path
) -> None:
    """In whatever order, and where they overlap."""
    count = len(rows) // 3
    for number, parts in enumerate(
        (
            [rows[:count], rows[count : 2 * count], rows[2 * count :]],
            [rows[2 * count :], rows[:count], rows[count : 2 * count]],
            [rows[::2], rows[1::2]],
        )
    ):
        folder = split_bag(tmp_path / f"bag{number}", parts, storage)
        if not metadata:
            (folder / "metadata.yaml").unlink()
        with BagReader(folder) as bag:
            found = [(m.topic, m.type, m.time, m.data) for m in bag.messages()]
            assert bag.loss == ""
        assert sorted(found, key=lambda row: row[2]) == found
        assert sorted(found) == sorted(rows)


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"nonsense" * 40])
@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("storage", [MCAP, SQLITE3])
def test_a_split_bag_whose_last_file_is_nothing(
    storage: StoragePlugin, metadata: bool, content: bytes, rows: list[Row], tmp_path: Path
) -> None:
    folder = split_bag(tmp_path / "bag", [rows[:20], rows[20:]], storage)
    suffix = ".mcap" if storage is MCAP else ".db3"
    (folder / f"bag_1{suffix}").write_bytes(content)
    if not metadata:
        (folder / "metadata.yaml").unlink()
    with BagReader(folder) as bag:
        assert [(m.topic, m.type, m.time, m.data) for m in bag.messages()] == rows[:20]
        assert f"bag_1{suffix}" in bag.loss


def test_a_bag_that_is_one_empty_file(tmp_path: Path) -> None:
    for name in ("bag.mcap", "bag.db3"):
        (tmp_path / name).touch()
        with pytest.raises(BagError, match=rf"{name}' is empty \(0 bytes\)"):
            BagReader(tmp_path / name).__enter__()


@pytest.mark.parametrize("statistics", [True, False])
def test_chunks_without_a_message_index(statistics: bool, rows: list[Row], tmp_path: Path) -> None:
    """As recorders with the option noMessageIndex write them."""
    folder = write_bag(tmp_path / "bag", rows)
    content = (folder / "bag.mcap").read_bytes()
    written, place = bytearray(content[:8]), 8
    chunk_places: dict[int, int] = {}
    summary = 0
    while place < len(content) - 8:
        kind, length = struct.unpack_from("<BQ", content, place)
        record = bytearray(content[place + 9 : place + 9 + length])
        moved = place
        place += 9 + length
        if kind == 0x07 or (kind == 0x0B and not statistics) or kind == 0x0E:
            continue  # message index, statistics, summary offset
        if kind == 0x06:
            chunk_places[moved] = len(written)
        if kind == 0x0F:  # the end of the data: the summary begins behind it
            summary = len(written) + 9 + length
        if kind == 0x08:
            (chunk,) = struct.unpack_from("<Q", record, 16)
            (size,) = struct.unpack_from("<I", record, 32)
            record = bytearray(
                record[:16]
                + struct.pack("<Q", chunk_places[chunk])
                + record[24:32]
                + struct.pack("<IQ", 0, 0)
                + record[36 + size + 8 :]
            )
        if kind == 0x02:
            record = bytearray(struct.pack("<QQI", summary, 0, 0))
        written += struct.pack("<BQ", kind, len(record)) + record
    file = tmp_path / "unindexed.mcap"
    file.write_bytes(bytes(written) + content[-8:])
    with BagReader(file) as bag:
        assert [(m.topic, m.type, m.time, m.data) for m in bag.messages()] == rows
        assert bag.loss == ""


def test_fewer_rows_than_the_metadata_count(rows: list[Row], tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", rows, SQLITE3)
    with contextlib.closing(sqlite3.connect(folder / "bag.db3")) as base:
        base.execute("DELETE FROM messages WHERE id > 10")
        base.commit()
    with BagReader(folder) as bag:
        assert len(list(bag.messages())) == 10
        lost = len(rows) - 10
        assert f"{lost} of {len(rows)} messages that it counts are not there" in bag.loss


def test_metadata_of_a_newer_version(rows: list[Row], tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", rows)
    text = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(text.replace("version: 9", "version: 12"))
    with BagReader(folder) as bag:
        assert len(list(bag.messages())) == len(rows)
        assert bag.loss == ""


def test_recordings_of_ros_1_are_named(rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "drive.bag").write_bytes(b"#ROSBAG V2.0\n")
    for place in (tmp_path, tmp_path / "drive.bag"):
        with pytest.raises(BagError, match="ROS 1 bag: convert it with rosbags-convert"):
            BagReader(place).__enter__()
    file = tmp_path / "drive.mcap"
    with file.open("wb") as written:
        written.write(b"\x89MCAP0\r\n")
        for kind, record in (
            (0x01, struct.pack("<I4sI", 4, b"ros1", 0)),
            (0x03, struct.pack("<HI1sI7sI", 1, 1, b"S", 7, b"ros1msg", 0)),
            (0x04, struct.pack("<HHI2sI4sI", 0, 1, 2, b"/s", 4, b"ros1", 0)),
            (0x05, struct.pack("<HIQQ", 0, 0, 1, 1) + b"data"),
            (0x0F, bytes(4)),
        ):
            written.write(struct.pack("<BQ", kind, len(record)) + record)
    with pytest.raises(BagError, match="no messages of ROS 2: their encoding is ros1"):
        BagReader(file).__enter__()
