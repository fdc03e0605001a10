# SPDX-License-Identifier: Apache-2.0
"""The HTML report: well formed, self-contained, and with everything that the verdict says."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import golden_run
import numpy as np
from golden_run import START, STEP, changed, moved, without_person

from hrnet_pose_ros.replay.comparison import compare
from hrnet_pose_ros.replay.html_report import write_report
from hrnet_pose_ros.replay.plots import Series, time_plot
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.replay.verdict import judge
from hrnet_pose_ros.replay.worst_frames import drawn, worst_frames

GOLDEN = golden_run.golden_run()
SCENARIO = Scenario.of(
    {
        "name": "strict <&>",
        "oks": {"at_least": 0.95, "share": 0.99},
        "missed_skeletons": {"count": 0},
        "age_p95": {"at_most_s": 0.1},
    }
)


class _Page(HTMLParser):
    """Checks that every element is closed, and keeps what a test asks about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts += data


def test_report(tmp_path: Path) -> None:
    new = changed(GOLDEN, lambda f: moved(f, 30), every=10)
    new = changed(new, lambda f: without_person(f, 2), every=19)
    comparison = compare(GOLDEN, new)
    verdict = judge(SCENARIO, comparison)
    worst = worst_frames(comparison)
    # The frames 0 and 19 lack a person, in the frames 0 and 10 the others have moved.
    assert [(one.stamp - START) // STEP for one in worst] == [0, 19, 10]
    image = np.full((480, 640, 3), 200, np.uint8)
    pictures = [drawn(one, image if place else None) for place, one in enumerate(worst)]
    path = tmp_path / "report.html"
    write_report(path, SCENARIO, comparison, verdict, pictures)
    text = path.read_text()
    page = _Page(text)
    assert page.open == []
    assert "http" not in text
    for name in ("src", "href", "srcset", "data"):
        values = [value or "" for key, value in page.attributes if key == name]
        assert all(value.startswith("data:image/jpeg;base64,") for value in values)
    assert text.count("<svg") == text.count("</svg>") == 4
    assert text.count("<img") == 4 * len(worst)
    assert "Replay test: strict <&>" in page.texts
    for outcome in verdict.outcomes:
        assert outcome.summary in page.texts
    whole = cv2.imdecode(np.frombuffer(pictures[1].golden, np.uint8), cv2.IMREAD_COLOR)
    assert whole.shape == (480, 640, 3)
    assert pictures[2].golden_close != pictures[2].new_close


def test_report_of_equal_runs_has_no_pictures(tmp_path: Path) -> None:
    comparison = compare(GOLDEN, GOLDEN)
    assert worst_frames(comparison) == []
    path = tmp_path / "report.html"
    write_report(path, SCENARIO, comparison, judge(SCENARIO, comparison), [])
    assert "No compared frame differs visibly." in path.read_text()


def test_a_long_plot_keeps_its_outliers() -> None:
    times = np.arange(100_000) / 10
    values = np.ones(100_000)
    values[54_321], values[90_000:90_500] = 0.25, np.nan
    svg = time_plot("OKS", [Series("lowest", "#000", times, values)])
    assert len(svg) < 60_000
    runs = [line for line in svg.splitlines() if line.startswith("<polyline")]
    assert len(runs) == 2  # the gap interrupts the curve
    heights = {float(point.split(",")[1]) for point in re.findall(r"[\d.]+,[\d.]+", runs[0])}
    assert max(heights) - min(heights) > 100
