# SPDX-License-Identifier: Apache-2.0
"""What `hrnet_pose bag-info` says about a bag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bag_maker import CAMERA_INFO, CLIP, DETECTIONS, IMAGES, Row, changed, clip_rows, write_bag

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.replay.bag_info import bag_info
from hrnet_pose_ros.replay.bag_report import BagReport, TopicReport
from hrnet_pose_ros.replay.parameter_file import settings_of

FRAMES = 10


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return clip_rows(3 * FRAMES)


def report_of(rows: list[Row], tmp_path: Path, **values: Any) -> BagReport:
    return bag_info(write_bag(tmp_path / "bag", rows), settings_of(None, values))


def topic(report: BagReport, name: str) -> TopicReport:
    return next(one for one in report.topics if one.name == name)


def shifted(row: Row, milliseconds: float) -> Row:
    """The stamp of the message later, not its log time."""

    def shift(message: Any) -> None:
        stamp = message.header.stamp
        total = stamp.sec * 10**9 + stamp.nanosec + round(milliseconds * 1e6)
        stamp.sec, stamp.nanosec = divmod(total, 10**9)

    return changed(row, shift)


def test_a_bag_in_order(rows: list[Row], tmp_path: Path) -> None:
    report = report_of(rows, tmp_path)
    images = topic(report, IMAGES)
    assert (images.count, images.rate_hz, images.gaps) == (FRAMES, 10.0, 0)
    assert images.formats == {"bgr8; jpeg compressed bgr8 768x576": FRAMES}
    assert images.frame_ids == {"camera_optical_frame": FRAMES}
    assert images.delay_ms == 12.0
    assert report.pairing is not None
    assert (report.pairing.exact, report.pairing.processed) == (1.0, FRAMES)
    assert report.pairing.drops == {}
    assert set(report.pairing.class_ids) == {"person"}
    assert report.advice == []


@pytest.mark.parametrize(("tolerance", "within", "processed"), [(0, 0.0, 0), (25, 1.0, FRAMES)])
def test_stamps_that_differ(
    tolerance: float, within: float, processed: int, rows: list[Row], tmp_path: Path
) -> None:
    moved = [shifted(row, 20) if row[0] == DETECTIONS else row for row in rows]
    report = report_of(moved, tmp_path, sync_tolerance_ms=tolerance)
    assert report.pairing is not None
    assert (report.pairing.exact, report.pairing.within_tolerance) == (0.0, within)
    assert report.pairing.nearest_ms == 20.0
    assert report.pairing.processed == processed
    assert any("20 ms" in one for one in report.advice) == (tolerance == 0)
    if tolerance == 0:
        assert report.pairing.drops["detections.unmatched"] == FRAMES


def test_faults_of_images(rows: list[Row], tmp_path: Path) -> None:
    def truncate(message: Any) -> None:
        message.data = message.data[:500].copy()

    def no_frame(message: Any) -> None:
        message.header.frame_id = ""

    faulty = list(rows)
    faulty[0] = changed(faulty[0], truncate)
    faulty[3] = changed(faulty[3], no_frame)
    faulty[6] = (*faulty[6][:3], faulty[6][3][:6])
    faulty[9] = shifted(faulty[9], -250)  # before the image before it
    report = report_of(faulty, tmp_path)
    images = topic(report, IMAGES)
    assert (images.unreadable, images.stamps_out_of_order) == (2, 1)
    assert images.frame_ids[""] == 1
    assert report.pairing is not None
    assert report.pairing.drops["images.unreadable"] == 2
    assert report.pairing.drops["images.late"] == 1
    assert any("2 messages cannot be read" in one for one in report.advice)
    assert any("frame_id is empty" in one for one in report.advice)


def test_gap(rows: list[Row], tmp_path: Path) -> None:
    report = report_of([row for row in rows if not 12 <= rows.index(row) < 24], tmp_path)
    assert (topic(report, IMAGES).gaps, topic(report, IMAGES).longest_gap_s) == (1, 0.5)


def test_images_that_are_missing(tmp_path: Path) -> None:
    """By gaps, and one by one."""
    kept = [row for n, row in enumerate(clip_rows(90)) if not (12 <= n < 24 or n in (60, 61, 62))]
    report = report_of(kept, tmp_path)
    images = topic(report, IMAGES)
    assert (images.gaps, images.missing, images.rate_hz) == (1, 5, 10.0)
    said = " ".join(report.advice)
    assert f"{IMAGES}: 1 gaps, the longest is 0.5 s" in said
    assert f"{IMAGES}: about 5 of 30 images (17%)" in said
    assert "/detections: 1 gaps" in said


def test_messages_recorded_in_bursts(rows: list[Row], tmp_path: Path) -> None:
    """A recorder that stands still and then writes what has waited: the stamps have the rate."""
    begin = rows[0][2]
    late = [
        (topic, kind, begin + (n // 15 + 1) * 500_000_000 + n % 15 * 3000, data)
        for n, (topic, kind, _, data) in enumerate(rows)
    ]
    images = topic(report_of(late, tmp_path), IMAGES)
    assert images.rate_hz == pytest.approx(10, abs=0.1)
    assert (images.gaps, images.missing) == (0, 0)


def test_clock_and_age(rows: list[Row], tmp_path: Path) -> None:
    report = report_of([shifted(row, 60_000) for row in rows], tmp_path)
    assert report.pairing is not None
    assert report.pairing.drops == {
        "detections.clock_differs": FRAMES,
        "images.clock_differs": FRAMES,
    }
    assert any("Check the clocks" in one for one in report.advice)


def test_images_that_would_be_too_old(rows: list[Row], tmp_path: Path) -> None:
    report = report_of(rows, tmp_path, max_age_ms=40.0)  # detections come after 42 ms
    assert report.pairing is not None
    assert report.pairing.drops == {"images.too_old": FRAMES}
    assert any("older than max_age_ms" in one for one in report.advice)


def test_classes_that_are_not_wanted(rows: list[Row], tmp_path: Path) -> None:
    report = report_of(rows, tmp_path, class_ids=["7"])
    assert report.pairing is not None
    persons = sum(report.pairing.class_ids.values())
    assert report.pairing.drops == {"persons.class_not_wanted": persons}
    assert any(
        "No detection has a class from class_ids (7); the recorded classes are person" in one
        for one in report.advice
    )


def test_what_is_missing(rows: list[Row], tmp_path: Path) -> None:
    report = report_of([row for row in rows if row[0] == IMAGES], tmp_path)
    assert any("no detections" in one for one in report.advice)
    assert any("no camera_info" in one for one in report.advice)
    assert report.pairing is not None
    assert report.pairing.drops == {"images.no_detections_yet": FRAMES}
    nothing = report_of([row for row in rows if row[0] == CAMERA_INFO], tmp_path / "2")
    assert any("no images" in one for one in nothing.advice)
    assert nothing.pairing is None


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bag-info", str(CLIP)]) == 0
    text = capsys.readouterr().out
    assert f"{IMAGES}  sensor_msgs/msg/CompressedImage  125, 10 Hz" in text
    assert "no problems found" in text
    assert main(["bag-info", str(CLIP), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pairing"]["processed"] == 125
    assert main(["bag-info", "/no/such/bag"]) == 2
    assert capsys.readouterr().err == "hrnet_pose: there is no bag at '/no/such/bag'\n"
