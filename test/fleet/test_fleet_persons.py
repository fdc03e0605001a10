# SPDX-License-Identifier: Apache-2.0
"""Who is lost, gained or moved, and how frames become findings; tables, slices and links."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import golden_run
import numpy as np
import pyarrow.parquet
import pytest
from golden_run import FRAMES, START, STEP, changed, moved, poses_with, without_person

from hrnet_pose_ros.fleet.comparison.foxglove import VIEWER, viewer_link
from hrnet_pose_ros.fleet.comparison.persons import Event, events_of, findings_of, utc_text
from hrnet_pose_ros.fleet.comparison.rows import BagRow, PersonRow, SliceRow
from hrnet_pose_ros.fleet.comparison.slices import chosen_tags
from hrnet_pose_ros.fleet.comparison.tables import TableWriter
from hrnet_pose_ros.replay.answers import Answers, SkeletonFrame
from hrnet_pose_ros.replay.comparison import compare

GOLDEN = golden_run.golden_run()


def events(golden: Answers, new: Answers, moved_below: float = 0.5) -> list[Event]:
    return events_of("drive", compare(golden, new), moved_below)


def blind(frame: SkeletonFrame, person: int) -> SkeletonFrame:
    """The box stays, no joint is found: what the node says of a person whom it cannot see."""
    scores, valid = frame.poses.scores.copy(), frame.poses.valid.copy()
    keypoints = frame.poses.keypoints.copy()
    scores[person], valid[person], keypoints[person] = 0, False, np.nan
    poses = poses_with(frame.poses, scores=scores, valid=valid, keypoints=keypoints)
    return dataclasses.replace(frame, poses=poses)


def kinds(found: list[Event]) -> Counter[tuple[str, str]]:
    return Counter((event.row.kind, event.row.cause) for event in found)


def test_nothing_differs() -> None:
    assert events(GOLDEN, GOLDEN) == []
    assert findings_of([]) == []


def test_lost_and_gained_are_opposites() -> None:
    new = changed(GOLDEN, lambda f: without_person(f, 1), every=4)  # 5 frames
    new = changed(new, lambda f: blind(f, 0), every=5)  # 4 frames
    new = changed(new, lambda f: None, every=19)  # the first and the last frame
    lost = events(GOLDEN, new)
    # Of the first frame, one person of each kind, and of the last, three of "frame".
    assert kinds(lost) == {("lost", "box"): 4, ("lost", "key points"): 3, ("lost", "frame"): 6}
    gained = events(new, GOLDEN)
    assert kinds(gained) == {("gained", cause): n for (_, cause), n in kinds(lost).items()}
    assert [event.row.stamp_ns for event in lost] == sorted(e.row.stamp_ns for e in lost)
    first = lost[0].row
    assert (first.time_s, first.stamp_ns, first.width, first.height) == (0, START, 60, 160)


def test_moved() -> None:
    new = changed(GOLDEN, lambda f: moved(f, 60), every=10)
    found = events(GOLDEN, new)
    assert kinds(found) == {("moved", ""): 6}
    assert all(event.oks is not None and event.oks < 0.5 for event in found)
    assert events(GOLDEN, new, moved_below=0) == []


def test_findings_are_of_one_person_without_a_gap() -> None:
    """Frames at 10 Hz: person 2 is lost in frames 0 to 4 and 16 to 19, person 1 in frame 0."""

    def change(frame: SkeletonFrame) -> SkeletonFrame:
        number = (frame.stamp - START) // STEP
        if number == 0:
            frame = without_person(frame, 0)
            return without_person(frame, 0)
        return without_person(frame, 1) if number <= 4 or number >= 16 else frame

    found = findings_of(events(GOLDEN, changed(GOLDEN, change)))
    rows = [one.row for one in found]
    assert [(row.id, row.frames, row.severity) for row in rows] == [
        *(("2", 5, 5.0), ("2", 4, 4.0), ("1", 1, 1.0))
    ]
    assert rows[0].start_s == 0
    assert rows[0].end_s == pytest.approx(0.4)
    assert rows[0].start_utc == "2025-06-15T15:06:40.000000000Z"
    assert rows[1].start_ns == START + 16 * STEP
    assert rows[0].worst_ns == START + 2 * STEP
    assert found[0].worst.frame is not None


def test_the_worst_of_a_moved_person_is_the_lowest_oks() -> None:
    by = iter([10.0, 90.0, 30.0, *(0.0 for _ in range(FRAMES))])
    new = changed(GOLDEN, lambda f: moved(f, next(by)))
    found = findings_of(events(GOLDEN, new, moved_below=0.999))
    assert {one.row.worst_ns for one in found} == {START + STEP}
    assert [one.row.frames for one in found] == [3, 3, 3]
    assert all(0 < one.row.severity < 3 for one in found)


def test_utc_of_impossible_stamps() -> None:
    assert utc_text(0) == "1970-01-01T00:00:00.000000000Z"
    assert utc_text(10**30) == ""


def test_links() -> None:
    link = viewer_link(VIEWER, "https://bags.example/a b/0.mcap?sig=x&y=%2F", START)
    parts = urlsplit(link)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == VIEWER
    assert parse_qs(parts.query) == {
        "ds": ["remote-file"],
        "ds.url": ["https://bags.example/a b/0.mcap?sig=x&y=%2F"],
        "time": ["2025-06-15T15:06:39.000000000Z"],
    }
    own = viewer_link("https://viewer.example/?layoutId=7", "https://b.example/x.mcap", START)
    assert own.startswith("https://viewer.example/?layoutId=7&ds=remote-file&")


def test_tables(tmp_path: Path) -> None:
    row = PersonRow("drive", "lost", "box", 2**60 + 1, 0.1, "", 1.5, 2, float("nan"), 4, 0.5)
    with TableWriter(tmp_path, "persons", PersonRow, ["light", "site"]) as table:
        table.write(row, {"site": "yard ü"})
        assert not (tmp_path / "persons.jsonl").exists()
    [line] = (tmp_path / "persons.jsonl").read_text().splitlines()
    values = json.loads(line)
    assert values["stamp_ns"] == 2**60 + 1
    assert values["width"] is None
    assert (values["tag_site"], values["tag_light"]) == ("yard ü", "")
    parquet = pyarrow.parquet.read_table(tmp_path / "persons.parquet")
    assert parquet.to_pylist() == [values]


@pytest.mark.parametrize("kind", [BagRow, PersonRow, SliceRow])
def test_an_empty_table_has_its_columns(kind: type, tmp_path: Path) -> None:
    with TableWriter(tmp_path, "rows", kind, ["site"]):
        pass
    names = [*(field.name for field in dataclasses.fields(kind)), "tag_site"]
    assert pyarrow.parquet.read_schema(tmp_path / "rows.parquet").names == names
    assert (tmp_path / "rows.jsonl").read_text() == ""


def test_a_table_that_ends_with_an_error_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("old")
    with (
        pytest.raises(RuntimeError, match="stop"),
        TableWriter(tmp_path, "rows", BagRow) as table,
    ):
        table.write(BagRow("drive", "compared"))
        raise RuntimeError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    assert (tmp_path / "rows.jsonl").read_text() == "old"


def test_tags_to_slice_by() -> None:
    assert chosen_tags(["site", "light", "site"], None) == ["light", "site"]
    assert chosen_tags(["site", "light"], ["site"]) == ["site"]
    with pytest.raises(ValueError, match="no bag has the tag 'camera'; the tags are light, site"):
        chosen_tags(["site", "light"], ["camera"])
