# SPDX-License-Identifier: Apache-2.0
"""The HTML report: well formed, self-contained, and with everything that the verdict says."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import golden_run
import numpy as np
from golden_run import START, STEP, changed, moved, without_person

from hrnet_pose_ros.replay.comparison import compare
from hrnet_pose_ros.replay.html_report import write_report
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.replay.time_plots import Series, time_plot
from hrnet_pose_ros.replay.verdict import evaluate_scenario
from hrnet_pose_ros.replay.worst_frames import draw_worst_frame, worst_frames

GOLDEN = golden_run.golden_run()
SCENARIO = Scenario.of(
    {
        "name": "strict <&>",
        "oks": {"at_least": 0.95, "fraction": 0.99},
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


def plots_of(html: str) -> list[np.ndarray]:
    """The plots of a page, BGR."""
    found = re.findall(r"<img class='plot'[^>]* src='data:image/png;base64,([^']*)'>", html)
    files = [np.frombuffer(base64.b64decode(text), np.uint8) for text in found]
    return [cv2.imdecode(file, cv2.IMREAD_COLOR) for file in files]


def rows_of(picture: np.ndarray, bgr: tuple[int, int, int]) -> np.ndarray:
    """Rows that hold a pixel of nearly this colour."""
    near = (np.abs(picture.astype(int) - bgr) < 40).all(axis=2)
    return np.flatnonzero(near.any(axis=1))


def test_report(tmp_path: Path) -> None:
    new = changed(GOLDEN, lambda f: moved(f, 30), every=10)
    new = changed(new, lambda f: without_person(f, 2), every=19)
    comparison = compare(GOLDEN, new)
    verdict = evaluate_scenario(SCENARIO, comparison)
    worst = worst_frames(comparison)
    # The frames 0 and 19 lack a person, in the frames 0 and 10 the others have moved.
    assert [(one.stamp - START) // STEP for one in worst] == [0, 19, 10]
    image = np.full((480, 640, 3), 200, np.uint8)
    pictures = [draw_worst_frame(one, image if place else None) for place, one in enumerate(worst)]
    path = tmp_path / "report.html"
    write_report(path, SCENARIO, comparison, verdict, pictures)
    text = path.read_text()
    page = _Page(text)
    assert page.open == []
    assert "http" not in text
    for name in ("src", "href", "srcset", "data"):
        values = [value or "" for key, value in page.attributes if key == name]
        assert all(re.match("data:image/(jpeg|png);base64,", value) for value in values)
    assert len(plots_of(text)) == 4
    assert text.count("<img") == 4 + 4 * len(worst)
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
    write_report(path, SCENARIO, comparison, evaluate_scenario(SCENARIO, comparison), [])
    assert "No compared frame shows a visible difference." in path.read_text()


def test_a_page_without_matplotlib_says_so(root: Path, tmp_path: Path) -> None:
    bag, scenario = root / "demo" / "golden", root / "demo" / "street_scenario.yaml"
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"  # an import of it raises ImportError
        "from hrnet_pose_ros.cli.main import main\n"
        f"sys.exit(main(['compare', {str(bag)!r}, {str(bag)!r}, '--scenario', {str(scenario)!r},"
        " '-o', 'out']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "report.html has no plots because matplotlib is not installed" in done.stderr
    text = (tmp_path / "out" / "report.html").read_text()
    assert (
        "no plots because matplotlib is not installed" in text and "hrnet_pose_ros[plots]" in text
    )
    assert plots_of(text) == []


def test_a_long_plot_keeps_its_outliers() -> None:
    times = np.arange(100_000) / 10
    values = np.ones(100_000)
    values[54_321] = 0.25
    (picture,) = plots_of(time_plot("OKS", [Series("lowest", "#0000ff", times, values)]))
    rows = rows_of(picture, (255, 0, 0))
    assert rows.max() - rows.min() > picture.shape[0] / 2


def test_a_value_between_two_gaps_is_seen_and_a_gap_is_one() -> None:
    times = np.arange(9.0)
    values = np.array([1, 1, 1, np.nan, 0.5, np.nan, 1, 1, 1])
    (picture,) = plots_of(time_plot("OKS", [Series("lowest", "#0000ff", times, values)], low=0))
    rows = rows_of(picture, (255, 0, 0))
    assert len(rows) < 40, "a line was drawn through the gap"
    middle = (rows > picture.shape[0] * 0.3) & (rows < picture.shape[0] * 0.8)
    assert middle.any(), "the value in the middle is not drawn"


def test_nothing_to_plot_is_said() -> None:
    nothing = [Series("new", "#000", np.arange(3.0), np.full(3, np.nan))]
    assert time_plot("Age <ms>", nothing) == "<p class='none'>Age &lt;ms&gt;: no data recorded</p>"
    assert "no data recorded" in time_plot("Age", [])
