# SPDX-License-Identifier: Apache-2.0
"""Manifests: what they may be, the names of the bags, and what is refused."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hrnet_pose_ros.fleet.bags import FleetBag, bags_among
from hrnet_pose_ros.fleet.manifest import read_manifest

FILES = (
    *("north/a/metadata.yaml", "north/a/a_0.mcap", "north/a/a_1.mcap"),
    *("north/cut_off/cut_off_0.mcap", "north/notes.txt", "north/.hidden/metadata.yaml"),
    *("south/alone.mcap", "south/packed.db3.zstd", "south/old.bag"),
)
NAMES = ["north/a", "north/cut_off", "south/alone.mcap", "south/packed.db3.zstd"]


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """A folder of bags, as far as names go."""
    folder = tmp_path / "drives"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names(manifest: str | Path) -> list[str]:
    return [bag.name for bag in read_manifest(str(manifest))]


def test_a_folder_is_searched(drives: Path) -> None:
    bags = read_manifest(str(drives))
    assert [bag.name for bag in bags] == NAMES
    assert [bag.location for bag in bags] == [str(drives / name) for name in NAMES]
    assert names(f"{drives}/") == NAMES
    assert names(f"file://{drives}") == NAMES


def test_a_folder_named_from_elsewhere(drives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and places are the same from wherever a fleet is started."""
    wanted = read_manifest(str(drives))
    monkeypatch.chdir(drives)
    assert read_manifest(".") == wanted
    monkeypatch.chdir(drives / "north")
    assert read_manifest("..") == wanted
    assert read_manifest(os.path.relpath(drives)) == wanted


def test_patterns(drives: Path) -> None:
    assert names(drives / "*") == NAMES
    assert names(drives / "north" / "*") == ["a", "cut_off"]
    assert names(drives / "*" / "[ab]*") == ["north/a", "south/alone.mcap"]
    assert names(drives / "**" / "*.mcap") == [
        *("north/a/a_0.mcap", "north/a/a_1.mcap", "north/cut_off/cut_off_0.mcap"),
        "south/alone.mcap",
    ]


def test_one_bag(drives: Path) -> None:
    assert names(drives / "north" / "a") == ["a"]
    assert names(drives / "south" / "alone.mcap") == ["alone.mcap"]


def test_a_folder_with_a_bracket_in_its_name(drives: Path) -> None:
    (drives / "north").rename(drives / "n[1]")
    assert names(drives / "n[1]") == ["a", "cut_off"]


def test_results_of_a_fleet_are_no_bags(drives: Path) -> None:
    skeletons = drives / "results" / "bags" / "0f" / "skeletons"
    skeletons.mkdir(parents=True)
    (skeletons / "metadata.yaml").touch()
    (drives / "results" / "fleet.json").touch()
    assert names(drives) == NAMES


def test_a_list(drives: Path) -> None:
    path = drives / "bags.txt"
    path.write_text("# drives\nnorth/a\n\n  south/*.mcap\n")
    assert names(path) == ["north/a", "south/alone.mcap"]
    elsewhere = drives.parent / "other" / "bags.txt"
    elsewhere.parent.mkdir()
    elsewhere.write_text(f"../drives/north/a\n{drives}/south\n")
    found = names(elsewhere)
    assert found == [f"{drives}/{n}"[1:] for n in NAMES if n != "north/cut_off"]


TABLE = "path,name,site,light\nnorth/a,A,yard,night\nsouth/alone.mcap,,,day\n"
TREE = {
    "tags": ["site", "light"],
    "bags": [
        {"path": "north/a", "name": "A", "tags": {"site": "yard", "light": "night"}},
        {"path": "south/alone.mcap", "tags": {"site": "", "light": "day"}},
    ],
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fleet.csv", TABLE),
        ("fleet.csv", "\ufeff" + TABLE.replace("\n", "\r\n")),  # as spreadsheets write it
        ("fleet.tsv", TABLE.replace(",", "\t")),
        ("fleet.json", json.dumps(TREE)),
        ("fleet.yaml", json.dumps(TREE)),  # JSON is YAML
    ],
)
def test_tags(drives: Path, name: str, text: str) -> None:
    (drives / name).write_bytes(text.encode())
    assert read_manifest(str(drives / name)) == [
        FleetBag("A", str(drives / "north/a"), {"site": "yard", "light": "night"}),
        FleetBag(
            "south/alone.mcap", str(drives / "south/alone.mcap"), {"site": "", "light": "day"}, True
        ),
    ]


def test_tags_of_a_folder_and_of_other_types(drives: Path) -> None:
    path = drives / "fleet.yaml"
    path.write_text("- south/alone.mcap\n- {path: north, tags: {run: 3, wet: true}}\n")
    bags = read_manifest(str(path))
    assert [dict(bag.tags) for bag in bags] == [{"run": "3", "wet": "true"}] * 2 + [{}]


def in_file(name: str, text: str) -> Callable[[Path], Path]:
    def write(drives: Path) -> Path:
        (drives / name).write_text(text)
        return drives / name

    return write


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "west", "there is nothing at '.*/west'"),
        (lambda d: d / "*.mcap", r"nothing matches '.*/\*.mcap'"),
        (lambda d: d / "north" / "*.txt", "none of the 1 matches of .* is a bag"),
        (lambda d: d / "south" / "old.bag", "'.*/old.bag' is not a bag: it is neither a folder"),
        (lambda d: d / "fleet.yaml", "there is no manifest at '.*/fleet.yaml'"),
        (in_file("b.txt", "# none\n"), "names no bag"),
        (in_file("b.txt", "north/a\nnorth/b\n"), "b.txt, line 2: there is nothing at '.*/b'"),
        (in_file("b.txt", "north/a\nnorth/*\n"), "the bag '.*north/a' is there twice"),
        (in_file("b.csv", "bag,site\nnorth/a,x\n"), "no column 'path'; its columns are bag, site"),
        (in_file("b.csv", "path,site\nnorth/a,x,y\n"), "line 2: 3 cells for 2 columns"),
        (in_file("b.csv", "path,site,site\nnorth/a,x,y\n"), "the column 'site' is there twice"),
        (in_file("b.csv", "path,site\n,x\n"), "line 2: the column 'path' is empty"),
        (in_file("b.csv", "path,name\nnorth/a,x\nsouth,x\n"), "the name 'x' is for one bag, not 2"),
        (
            in_file("b.csv", "path,name\nnorth/a,x\nsouth/alone.mcap,x\n"),
            "two bags have the name 'x', '.*north/a' and '.*alone.mcap'",
        ),
        (
            in_file("b.yaml", "tags: [site]\nbags: [{path: north/a, tags: {sit: x}}]\n"),
            r"b.yaml: bags\[0\]: unknown tag 'sit'; the manifest's tags are site; the nearest is",
        ),
        (in_file("b.yaml", "bags: [{pat: north/a}]\n"), r"bags\[0\]: unknown key 'pat'; .* 'path'"),
        (in_file("b.yaml", "bags: [{path: north/a, tags: {s: [1]}}]\n"), "tag 's' must be a text"),
        (in_file("b.yaml", "bag: [north/a]\n"), "has no list 'bags'"),
        (in_file("b.yaml", "bags: [\n"), "manifest '.*b.yaml' cannot be read"),
        (in_file("b.json", "{"), "manifest '.*b.json' cannot be read"),
    ],
)
def test_what_is_refused(drives: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_manifest(str(make(drives)))


def test_a_folder_with_bags_of_ros_1_alone(tmp_path: Path) -> None:
    (tmp_path / "old.bag").touch()
    with pytest.raises(ValueError, match=r"no bag in the folder .* has bags of ROS 1"):
        read_manifest(str(tmp_path))


def test_the_same_bag_by_a_link(drives: Path) -> None:
    (drives / "link").symlink_to(drives / "north" / "a")
    with pytest.raises(ValueError, match="there twice, as 'link' and as 'north/a'"):
        read_manifest(str(drives))


def test_a_bag_whose_folder_is_called_like_a_file(drives: Path) -> None:
    (drives / "north" / "a").rename(drives / "north" / "a.mcap")
    [bag] = read_manifest(str(drives / "north" / "a.mcap"))
    assert (bag.name, bag.is_file, len(bag.files())) == ("a.mcap", False, 3)


PARTS = st.sampled_from(["a", "b", "a_0", "metadata.yaml", "a_0.mcap", "x.mcap", "y.db3", "n.txt"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@given(st.sets(PATHS, max_size=12))
def test_every_storage_file_belongs_to_one_bag(paths: set[str]) -> None:
    assume(not any(other.startswith(f"{one}/") for one in paths for other in paths))
    found = bags_among("top", paths)
    assert list(found) == sorted(found)
    for path in paths:
        around = [one for one in found if path == one or path.startswith(f"{one}/") or not one]
        storage = re.search(r"\.(mcap|db3)$", path)
        assert len(around) <= 1
        assert around or not storage
        assert found.get(path, True)  # what is a file is no folder


def test_memory(drives: Path) -> None:
    """A file system of fsspec: lists, patterns, files and checksums."""
    memory = fsspec.filesystem("memory")
    memory.rm("/", recursive=True) if memory.ls("/") else None
    for name in FILES:
        memory.pipe_file(f"/fleet/{name}", (drives / name).read_bytes())
    assert names("memory://fleet") == NAMES
    assert names("memory://fleet/*/*") == NAMES
    assert names("memory://fleet/south/alone.mcap") == ["alone.mcap"]
    memory.pipe_file("/fleet/list.txt", b"north/a\nsouth/*\n")
    assert names("memory://fleet/list.txt") == [n for n in NAMES if n != "north/cut_off"]
    memory.pipe_file("/fleet/list.txt", b"north/a\nmemory:///fleet/north/a\n")
    with pytest.raises(ValueError, match="there twice"):
        read_manifest("memory://fleet/list.txt")
    remote, local = read_manifest("memory://fleet")[0], read_manifest(str(drives))[0]
    assert remote.identity("content") == local.identity("content")
    assert remote.identity() == remote.identity() != local.identity()


def test_http(drives: Path, served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    drives.rename(folder / "drives")
    assert names(f"{url}/drives") == NAMES
    assert names(f"{url}/drives/north/*") == ["a", "cut_off"]
    (folder / "drives" / "fleet.csv").write_text(TABLE)
    bags = read_manifest(f"{url}/drives/fleet.csv")
    assert [(bag.name, bag.tags["light"]) for bag in bags] == [
        ("A", "night"),
        ("south/alone.mcap", "day"),
    ]
    copy = bags[0].copy_to(tmp_path)
    assert sorted(path.name for path in copy.iterdir()) == [
        *("a_0.mcap", "a_1.mcap", "metadata.yaml")
    ]
    assert (copy / "a_1.mcap").read_text() == "north/a/a_1.mcap"
    assert FleetBag("A", str(copy)).identity("content") == bags[0].identity("content")
    before = bags[0].identity()
    assert bags[0].identity() == before
    file = folder / "drives" / "north" / "a" / "a_0.mcap"
    os.utime(file, (0, 0))  # the server's Last-Modified
    assert bags[0].identity() != before
    with pytest.raises(ValueError, match="there is nothing at"):
        read_manifest(f"{url}/other")
    with pytest.raises(ValueError, match="there is no manifest at"):
        read_manifest(f"{url}/other.yaml")


def test_a_protocol_that_is_unknown_or_not_installed() -> None:
    with pytest.raises(ValueError, match="Protocol not known: floppy"):
        read_manifest("floppy://disk/bags")
    with pytest.raises(ImportError, match="s3fs"):
        read_manifest("s3://bucket/bags")


def test_the_identity_follows_the_bag(drives: Path) -> None:
    bag = FleetBag("a", str(drives / "north" / "a"))
    stat, content = bag.identity(), bag.identity("content")
    (drives / "north" / "a" / "seen_it.txt").touch()  # no part of the bag
    assert (bag.identity(), bag.identity("content")) == (stat, content)
    os.utime(drives / "north" / "a" / "a_1.mcap", (0, 0))
    assert bag.identity() != stat
    assert bag.identity("content") == content
    (drives / "north" / "a" / "a_1.mcap").write_text("north/a/a_2.mcap")
    assert bag.identity("content") != content
