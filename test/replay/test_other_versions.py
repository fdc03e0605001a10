# SPDX-License-Identifier: Apache-2.0
"""Bags of another version of the messages: a clear error instead of misread numbers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from bag_maker import clip_rows
from rosbags.rosbag2 import StoragePlugin, Writer

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.replay.definitions import (
    EARLIER_HASHES,
    OURS,
    BagError,
    definition_folders,
    read_types,
    typestore,
)

ARRAY = "hrnet_pose_ros/msg/SkeletonArray"
BEFORE = ("Keypoint[] keypoints", "Keypoint[17] keypoints")
LATER = ("uint32 omitted", "uint32 omitted\nuint32 crossed")
SCENARIO = "name: any\nmissing_frames: {count: 0}\n"


def store_with(folder: Path, file: str, change: tuple[str, str]) -> Any:
    """The message types, one of ours changed."""
    messages = folder / "msg"
    shutil.copytree(definition_folders(OURS)[0], messages)
    path = messages / file
    text = path.read_text()
    assert change[0] in text
    path.unlink()  # it may be a link into the installation
    path.write_text(text.replace(*change))
    return read_types(
        lambda package: [messages] if package == OURS else definition_folders(package)
    )


def write(folder: Path, store: Any, storage: StoragePlugin, images: bool = False) -> Path:
    """A bag with one empty SkeletonArray of the store's types."""
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"](sec=1, nanosec=0)
    fields = store.fielddefs[ARRAY][1]
    values: dict[str, Any] = {name: 0 for name, _ in fields}
    values |= {
        "header": types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera"),
        "detections_stamp": stamp,
        "times": types["hrnet_pose_ros/msg/StageTimes"](*([0.0] * 6)),
        "skeletons": [],
    }
    with Writer(folder, version=9, storage_plugin=storage) as bag:
        connection = bag.add_connection("/skeletons", ARRAY, typestore=store)
        data = store.serialize_cdr(types[ARRAY](**values), ARRAY)
        bag.write(connection, 1, data)
        if images:
            connections: dict[str, Any] = {}
            for topic, kind, time, content in clip_rows(6):
                if topic not in connections:
                    connections[topic] = bag.add_connection(topic, kind, typestore=store)
                bag.write(connections[topic], time, content)
    return folder


@pytest.fixture
def old(tmp_path: Path) -> Any:
    return store_with(tmp_path, "Skeleton.msg", BEFORE)


def test_the_earlier_hash_is_known(old: Any) -> None:
    assert EARLIER_HASHES[old.hash_rihs01(ARRAY)] == "a version before 0.1.0"
    assert typestore().hash_rihs01(ARRAY) not in EARLIER_HASHES


@pytest.mark.parametrize("storage", StoragePlugin)
def test_reading_names_the_version(old: Any, tmp_path: Path, storage: StoragePlugin) -> None:
    with BagReader(write(tmp_path / "bag", old, storage)) as bag:
        assert "/skeletons" in bag.other_versions
        (message,) = bag.messages()
        with pytest.raises(BagError, match=r"before 0\.1\.0.*replay the images.*migration"):
            _ = message.message


def test_every_verb_says_so(old: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = str(write(tmp_path / "bag", old, StoragePlugin.MCAP))
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(SCENARIO)
    out = ["--scenario", str(scenario), "-o", str(tmp_path / "out")]
    assert main(["compare", bag, bag, *out]) == 2
    assert "recorded by a version before 0.1.0" in capsys.readouterr().err
    assert main(["replay", bag, "-o", str(tmp_path / "answers")]) == 2
    assert "recorded by a version before 0.1.0" in capsys.readouterr().err
    assert main(["bag-info", bag]) == 0
    assert "recorded by a version before 0.1.0" in capsys.readouterr().out


def test_replay_needs_only_images_and_detections(
    old: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write(tmp_path / "bag", old, StoragePlugin.MCAP, images=True)
    engine = ["--engine", "openvino", "--precision", "float32", "--max-batch", "2"]
    assert main(["replay", str(bag), "-o", str(tmp_path / "answers"), *engine]) == 0
    assert "not read: /skeletons: " in capsys.readouterr().err
    with BagReader(tmp_path / "answers") as answers:
        assert not answers.other_versions and answers.topics["/skeletons"].count


def test_a_later_version_is_named_by_its_hash(tmp_path: Path) -> None:
    store = store_with(tmp_path, "SkeletonArray.msg", LATER)
    with BagReader(write(tmp_path / "bag", store, StoragePlugin.MCAP)) as bag:
        assert store.hash_rihs01(ARRAY) in bag.other_versions["/skeletons"]
