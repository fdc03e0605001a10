# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose fleet-compare`` on real fleets: verdict, tables, page, pictures and clips."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet
import pytest
from fleet_runs import FOR_ALL

from demo.fleet.bags import damage
from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.fleet.folder import FleetFolder
from hrnet_pose_ros.replay.bags import BagReader

SCENARIO = "name: strict\noks: {at_least: 0.95, fraction: 0.99}\nmissed_skeletons: {count: 0}\n"
LENIENT = "name: lenient\nmissed_skeletons: {fraction: 0.5}\nmissing_frames: {count: 0}\n"
TABLES = ("bags", "persons", "findings", "slices")


@pytest.fixture(scope="module")
def manifest(bags: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bags with tags; drive4 is damaged."""
    folder = tmp_path_factory.mktemp("tagged")
    shutil.copytree(bags, folder / "bags")
    damage(folder / "bags" / "drive4", 0)
    rows = [f"bags/drive{n},{'yard' if n % 2 else 'gate'},{n}" for n in range(5)]
    (folder / "fleet.csv").write_text("path,site,run\n" + "\n".join(rows) + "\n")
    return folder / "fleet.csv"


def replayed(manifest: Path, output: Path, *options: str) -> Path:
    words = ["fleet", str(manifest), "-o", str(output), *FOR_ALL, "--retries", "0", *options]
    assert main(words) in (0, 1)
    return output


@pytest.fixture(scope="module")
def baseline(manifest: Path, small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("baseline") / "fleet"
    return replayed(manifest, output, "--model", str(small_model))


@pytest.fixture(scope="module")
def candidate(manifest: Path, other_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model, which also takes fewer detections for persons."""
    folder = tmp_path_factory.mktemp("candidate")
    parameters = folder / "candidate.yaml"
    parameters.write_text("hrnet_pose: {ros__parameters: {min_detection_score: 0.8}}\n")
    options = ("--model", str(other_model), "--params-file", str(parameters))
    return replayed(manifest, folder / "fleet", *options)


def compared(baseline: Path, candidate: Path, output: Path, *options: str) -> int:
    words = ["fleet-compare", str(baseline), str(candidate), "-o", str(output)]
    return main([*words, *options])


def rows(output: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table, which are the same in both of its files."""
    lines = (output / f"{table}.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert pyarrow.parquet.read_table(output / f"{table}.parquet").to_pylist() == found
    return found


@pytest.fixture(scope="module")
def report(
    baseline: Path, candidate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("report")
    (folder / "scenario.yaml").write_text(SCENARIO)
    options = ["--scenario", str(folder / "scenario.yaml"), "--bags-url", "https://b.example/f"]
    assert compared(baseline, candidate, folder / "report", *options) == 1
    yield folder / "report"


def test_a_fleet_is_as_good_as_itself(baseline: Path, tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    options = ["--scenario", str(tmp_path / "scenario.yaml"), "--judge", "bags"]
    assert compared(baseline, baseline, tmp_path / "report", *options) == 0
    assert rows(tmp_path / "report", "findings") == []
    assert "Nobody is lost" in (tmp_path / "report" / "report.html").read_text()
    assert not (tmp_path / "report" / "clips").exists()


def test_bags(report: Path) -> None:
    found = rows(report, "bags")
    assert [(row["bag"], row["state"], row["tag_site"]) for row in found] == [
        *((f"bags/drive{n}", "compared", "yard" if n % 2 else "gate") for n in range(4)),
        ("bags/drive4", "both failed", "gate"),
    ]
    assert found[4]["reason"] == "'bags/drive4/drive4.mcap' is empty (0 bytes)"
    for row in found[:4]:
        assert row["baseline_frames"] == row["candidate_frames"] == row["compared_frames"] == 3
        assert row["lost"] + row["moved"] <= row["baseline_persons"]
        assert row["seconds"] == pytest.approx(0.2)
    assert any(row["lost"] for row in found)
    assert any(row["verdict"] == "fail" for row in found)


def test_persons_and_findings_agree(report: Path) -> None:
    persons, findings, bags = (rows(report, name) for name in ("persons", "findings", "bags"))
    for kind in ("lost", "gained"):
        of_kind = [row for row in persons if row["kind"] == kind]
        in_findings = [row["frames"] for row in findings if row["kind"] == kind]
        assert len(of_kind) == sum(in_findings) == sum(row[kind] for row in bags)
    moved = [row for row in findings if row["kind"] == "moved"]
    assert sum(row["frames"] for row in moved) == sum(row["moved"] for row in bags)
    assert moved, "another model moves somebody"
    for row in findings:
        assert row["start_ns"] <= row["worst_ns"] <= row["end_ns"]
        query = parse_qs(urlsplit(row["link"]).query)
        name = row["bag"].rpartition("/")[2]
        assert query["ds.url"] == [f"https://b.example/f/{row['bag']}/{name}.mcap"]


def test_slices_add_up(report: Path) -> None:
    whole, *parts = rows(report, "slices")
    assert (whole["tag"], whole["bags"], whole["compared_bags"]) == ("", 5, 4)
    for tag, number in (("site", 2), ("run", 5)):
        of_tag = [row for row in parts if row["tag"] == tag]
        assert len(of_tag) == number
        for name in ("bags", "baseline_persons", "lost", "gained", "moved", "failing_bags"):
            assert sum(row[name] for row in of_tag) == whole[name], (tag, name)
    persons = rows(report, "persons")
    yard = next(row for row in parts if row["value"] == "yard")
    assert yard["lost"] == sum(
        row["tag_site"] == "yard" and row["kind"] == "lost" for row in persons
    )


class _Page(HTMLParser):
    """Checks that every element is closed; keeps addresses and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.texts = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.loaded += [value or "" for name, value in attrs if name in ("src", "srcset")]
        assert tag not in ("script", "link", "iframe", "object")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts += data


def test_the_page_loads_nothing(report: Path) -> None:
    text = (report / "report.html").read_text()
    page = _Page(text)
    assert page.loaded
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.loaded)
    assert not re.search(r"url\(|@import", text)
    clips = [link for link in page.links if link.startswith("clips/")]
    assert clips
    assert all((report / clip).is_file() for clip in clips)
    others = [link for link in page.links if not link.startswith("clips/")]
    assert all(link.startswith("https://app.foxglove.dev/~/view?ds=remote-file") for link in others)
    for said in ("bags/drive4", "both failed", "all bags: oks", "min_detection_score", "By site"):
        assert said in page.texts


def test_clips_show_both_runs(report: Path) -> None:
    clip = min((report / "clips").iterdir())
    with BagReader(clip) as bag:
        assert {name: info.type for name, info in bag.topics.items()} == {
            "/baseline/image/compressed": "sensor_msgs/msg/CompressedImage",
            "/candidate/image/compressed": "sensor_msgs/msg/CompressedImage",
            "/baseline/skeletons": "hrnet_pose_ros/msg/SkeletonArray",
            "/candidate/skeletons": "hrnet_pose_ros/msg/SkeletonArray",
        }
        assert {info.count for info in bag.topics.values()} == {3}


def test_junit(report: Path) -> None:
    suite = ElementTree.parse(report / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert suite.get("name") == "replay: strict"
    names = {case.get("name") for case in suite}
    assert {"bags", "all bags: oks", "site=yard: missed_skeletons"} <= names


def test_several_processes_write_the_same(
    baseline: Path, candidate: Path, report: Path, tmp_path: Path
) -> None:
    options = ["--jobs", "2", "--pictures", "0", "--bags-url", "https://b.example/f"]
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    options += ["--scenario", str(tmp_path / "scenario.yaml")]
    assert compared(baseline, candidate, tmp_path / "report", *options) == 1
    for table in TABLES:
        for suffix in (".jsonl", ".parquet"):
            name = table + suffix
            assert (tmp_path / "report" / name).read_bytes() == (report / name).read_bytes()


def test_a_lenient_scenario_and_its_judges(baseline: Path, candidate: Path, tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(LENIENT)
    options = ["--scenario", str(tmp_path / "scenario.yaml"), "--pictures", "0"]
    for judge in ("all", "slices"):
        assert compared(baseline, candidate, tmp_path / "report", *options, "--judge", judge) == 0
    (tmp_path / "scenario.yaml").write_text(LENIENT.replace("fraction: 0.5", "count: 0"))
    assert compared(baseline, candidate, tmp_path / "report", *options, "--judge", "all") == 1


def test_a_bag_that_the_candidate_lacks_fails(
    baseline: Path, candidate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Failed, not finished or not in its manifest: without a scenario, too."""
    lacking = tmp_path / "candidate"
    shutil.copytree(candidate, lacking)
    folder = FleetFolder(lacking)
    entries = {entry.name: entry for entry in folder.entries()}
    shutil.rmtree(lacking / "bags" / entries["bags/drive0"].key)
    shutil.rmtree(lacking / "bags" / entries["bags/drive1"].key)
    folder.write_failure(entries["bags/drive1"].key, "bags/drive1", "out of luck", 1)
    lines = (lacking / "bags.jsonl").read_text().splitlines(keepends=True)
    (lacking / "bags.jsonl").write_text("".join(line for line in lines if "drive2" not in line))
    skeletons = folder.skeletons(entries["bags/drive3"].key)
    next(skeletons.glob("*.mcap")).write_bytes(b"")
    assert compared(baseline, lacking, tmp_path / "report", "--pictures", "0") == 1
    found = {row["bag"]: (row["state"], row["reason"]) for row in rows(tmp_path / "report", "bags")}
    assert found["bags/drive0"] == ("candidate pending", "")
    assert found["bags/drive1"] == ("candidate failed", "out of luck")
    assert found["bags/drive2"] == ("candidate absent", "")
    assert found["bags/drive3"][0] == "not comparable"
    assert str(tmp_path) not in found["bags/drive3"][1]
    assert "4 are lacking" in capsys.readouterr().out
    assert compared(baseline, baseline, tmp_path / "same", "--pictures", "0") == 0


def test_bags_that_are_gone_are_drawn_on_grey(
    manifest: Path, baseline: Path, candidate: Path, tmp_path: Path
) -> None:
    moved = manifest.parent / "bags"
    moved.rename(manifest.parent / "elsewhere")
    try:
        assert compared(baseline, candidate, tmp_path / "report", "--pictures", "1") == 0
    finally:
        (manifest.parent / "elsewhere").rename(moved)
    text = (tmp_path / "report" / "report.html").read_text()
    assert "its images cannot be read: there is no bag at" in text
    assert text.count("data:image/jpeg;base64,") == 4


def test_what_is_refused(
    baseline: Path, candidate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, candidate, tmp_path / "report") == 2
    assert "is not the folder of a fleet" in capsys.readouterr().err
    assert compared(baseline, candidate, tmp_path / "report", "--slices", "site,colour") == 2
    assert "no bag has the tag 'colour'; the tags are run, site" in capsys.readouterr().err
    other = tmp_path / "other"
    shutil.copytree(candidate, other)
    text = (other / "bags.jsonl").read_text()
    (other / "bags.jsonl").write_text(text.replace("bags/", "b/"))
    assert compared(baseline, other, tmp_path / "report") == 2
    assert "have no bag in common: the first of the one is 'bags/drive0'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        compared(baseline, candidate, tmp_path / "report", "--moved-below", "2")
    assert not (tmp_path / "report").exists()
