# SPDX-License-Identifier: Apache-2.0
"""The offline fusion on a simulated drive in which every sensor dies and returns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_drive import FAULTS, write_drive, wrong_status

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.replay.bags import BagReader, BagWriter
from hrnet_pose_ros.replay.definitions import BagError
from hrnet_pose_ros.replay.fuse import FuseResult, fuse
from hrnet_pose_ros.replay.fusion_topics import FusionTopics
from hrnet_pose_ros.replay.people_answers import read_people
from hrnet_pose_ros.replay.people_comparison import compare_people

SETTINGS = PersonFusionSettings()


def contents(path: Path) -> list[tuple[str, int, bytes]]:
    with BagReader(path) as bag:
        return [(one.topic, one.time, one.data) for one in bag.messages()]


def arrays(path: Path) -> Iterator[tuple[int, Any]]:
    with BagReader(path) as bag:
        for one in bag.messages(["/people"]):
            yield one.time, one.message


def test_every_message_is_accounted_for(
    fault_bag: Path, fused_drive: tuple[Path, FuseResult]
) -> None:
    account, topics = fused_drive[1].account, fused_drive[1].topics
    with BagReader(fault_bag) as bag:
        counts = {name: info.count for name, info in bag.topics.items()}
    assert set(topics) == set(Input)  # the drive has all of them
    for what, names in topics.items():
        tally = account[what]
        assert tally.received == sum(counts[name] for name in names), what
        assert tally.received == tally.used + tally.refused, what
        assert tally.waiting == 0, what
        assert tally.used > 0, what
    summary = fused_drive[1].summary()
    assert "points: " in summary and "in_future" in summary


def test_the_status_is_right_in_time(fused_drive: tuple[Path, FuseResult]) -> None:
    wrong, seen = [], set()
    for time, message in arrays(fused_drive[0]):
        wrong += [text] if (text := wrong_status(time, message.reasons)) else []
        seen.update(message.reasons)
        expected = 0 if not message.reasons else 1
        if {"skeletons_silent", "skeletons_refused"} & set(message.reasons):
            expected = 2
            assert not message.people
        assert message.status == expected
        assert message.header.frame_id == "base_link"
    assert not wrong
    assert seen == {one.word for one in FAULTS}


def test_the_people_are_where_the_truth_has_them(
    fault_bag: Path, fused_drive: tuple[Path, FuseResult]
) -> None:
    truth, found = read_people(fault_bag), read_people(fused_drive[0])
    assert truth.topic == "/people/truth" and found.errors > 5
    comparison = compare_people(truth, found, within=1.0, within_part=0.1)
    errors = comparison.joined("errors")
    assert len(errors) > 100 and sum(frame.missed for frame in comparison.frames) <= 2
    assert sorted(errors)[int(0.95 * len(errors))] < 0.5  # depth and LIDAR: aim 0.25 m each
    again = sum(frame.seen_again for frame in comparison.frames)
    assert sum(frame.kept_ids for frame in comparison.frames) >= 0.97 * again > 50


def test_two_runs_write_the_same(
    fault_bag: Path, fused_drive: tuple[Path, FuseResult], tmp_path: Path
) -> None:
    fuse([fault_bag], tmp_path / "again", SETTINGS)
    assert contents(tmp_path / "again") == contents(fused_drive[0])


def rewritten(source: Path, target: Path, names: dict[str, str], keep: Any = None) -> Path:
    """Copy a bag with other topic names."""
    with BagReader(source) as bag, BagWriter(target) as writer:
        for one in bag.messages():
            if keep is None or keep(one):
                writer.write(names.get(one.topic, one.topic), one.type, one.time, one.data)
    return target


def test_topics_are_found_whatever_their_names(fault_bag: Path, tmp_path: Path) -> None:
    names = {
        "/skeletons": "/front/pose/skeletons",
        "/camera_info": "/front/info",
        "/depth": "/stereo/image",
        "/depth/camera_info": "/stereo/info",
        "/points": "/lidar/points",
        "/tf_static": "/robot/tf_static",
    }
    short = rewritten(fault_bag, tmp_path / "bag", names, lambda one: one.time % 7 == 0)
    with BagReader(short) as bag:
        found = FusionTopics([bag]).inputs
    assert found["/front/pose/skeletons"] is Input.SKELETONS
    assert found["/front/info"] is Input.CAMERA_INFO
    assert found["/stereo/image"] is Input.DEPTH
    assert found["/stereo/info"] is Input.DEPTH_INFO
    assert found["/robot/tf_static"] is Input.TF_STATIC and found["/tf"] is Input.TF
    assert sum(what is Input.RANGE for what in found.values()) == 4


def test_choosing_and_leaving_out(fault_bag: Path, tmp_path: Path) -> None:
    names = {"/scan": "/rear/scan"}
    other = rewritten(fault_bag, tmp_path / "bag", names, lambda one: one.topic == "/scan")
    with BagReader(fault_bag) as bag, BagReader(other) as second:
        with pytest.raises(BagError, match=r"2 topics for scan: /rear/scan, /scan; .* --without"):
            FusionTopics([bag, second])
        chosen = FusionTopics([bag, second], {Input.SCAN: "rear/scan"})
        assert chosen.topics_of(Input.SCAN) == ["/rear/scan"]
        assert not FusionTopics([bag, second], without=[Input.SCAN]).topics_of(Input.SCAN)
        with pytest.raises(BagError, match="scan must be"):
            FusionTopics([bag], {Input.SCAN: "/points"})
        with pytest.raises(BagError, match="hrnet_pose replay"):
            FusionTopics([second])


def test_several_topics_of_an_input(fault_bag: Path, tmp_path: Path) -> None:
    names = {"/tf": "/other/tf"}
    other = rewritten(fault_bag, tmp_path / "bag", names, lambda one: one.topic == "/tf")
    with BagReader(fault_bag) as bag, BagReader(other) as second:
        sides = ["/range/left", "range/right"]
        chosen = FusionTopics([bag, second], {Input.RANGE: sides, Input.TF: "/tf"})
        assert chosen.topics_of(Input.RANGE) == ["/range/left", "/range/right"]
        assert chosen.topics_of(Input.TF) == ["/tf"]  # not the other vehicle's
        with pytest.raises(BagError, match="2 topics are chosen for points"):
            FusionTopics([bag], {Input.POINTS: ["/points", "/other"]})
        with pytest.raises(BagError, match=r"points is both chosen \(/points\) and left out"):
            FusionTopics([bag], {Input.POINTS: "/points"}, [Input.POINTS])
        with pytest.raises(BagError, match="skeletons cannot be left out"):
            FusionTopics([bag], without=[Input.SKELETONS])


def test_sensors_and_skeletons_in_two_bags(tmp_path: Path) -> None:
    """As a recording, and what ``replay`` made of its images."""
    whole = write_drive(tmp_path / "whole", 1.0)
    of_pose = ("/skeletons", "/skeleton_info")
    sensors = rewritten(whole, tmp_path / "sensors", {}, lambda one: one.topic not in of_pose)
    pose = rewritten(whole, tmp_path / "pose", {}, lambda one: one.topic in of_pose)
    fuse([whole], tmp_path / "one", SETTINGS)
    fuse([sensors, pose], tmp_path / "two", SETTINGS)
    assert len(contents(tmp_path / "one")) > 10
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    # Of a topic that is in both, the last bag's messages are used.
    done = fuse([whole, pose], tmp_path / "three", SETTINGS)
    assert done.account[Input.SKELETONS].received == len(
        [1 for topic, _, _ in contents(pose) if topic == "/skeletons"]
    )


def test_the_verbs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """``fuse`` with one sensor, parameters from a file, and ``compare`` with the truth."""
    file = tmp_path / "parameters.yaml"
    file.write_text("/**:\n  ros__parameters: {sensor_tolerance_ms: 80.0, model: other}\n")
    first = write_drive(tmp_path / "short", 1.5)
    words = ["fuse", str(first), "-o", str(tmp_path / "out"), "--params-file", str(file)]
    assert main([*words, "--without", "points", "--without", "depth"]) == 0
    printed = capfd.readouterr().out
    assert "skeletons: " in printed and "points" not in printed
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        "name: drive\nof: people\nposition: {at_most_m: 0.3, at_most_part: 0.1, fraction: 0.9}\n"
        "missed_people: {count: 2}\n"
    )
    words = ["compare", str(first), str(tmp_path / "out"), "-o", str(tmp_path / "result")]
    assert main([*words, "--scenario", str(scenario)]) == 0, capfd.readouterr().out
    scenario.write_text(scenario.read_text().replace("0.3, at_most_part: 0.1", "0.0001"))
    assert main([*words, "--scenario", str(scenario)]) == 1
    assert "fail: position: " in capfd.readouterr().out
    assert (tmp_path / "result" / "junit.xml").is_file()
    assert main(["fuse", str(first), "-o", str(tmp_path / "x"), "--without", "sonar"]) == 2
    assert "there is no input 'sonar'" in capfd.readouterr().err
