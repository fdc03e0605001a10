# SPDX-License-Identifier: Apache-2.0
"""The verdict for people: one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np

from hrnet_pose_ros.replay.answers import Answers, SkeletonFrame
from hrnet_pose_ros.replay.comparison import Comparison
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.replay.time_plots import Series, time_plot, why_no_plots
from hrnet_pose_ros.replay.verdict import Verdict
from hrnet_pose_ros.replay.worst_frames import WorstFrame

REPORT = "report.html"

# Colour-blind readers can tell orange from blue.
GOLDEN_COLOUR, NEW_COLOUR = "#d97706", "#1d6fd1"

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; max-width: 1340px;
       margin: 24px auto; padding: 0 16px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 28px 0 8px; }
.verdict { color: #fff; border-radius: 4px; padding: 1px 10px; }
.pass { background: #15803d; } .fail { background: #b91c1c; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 5px 10px; border-bottom: 1px solid #ddd; }
td.outcome { white-space: nowrap; font-weight: 600; }
tr.failed td.outcome { color: #b91c1c; } tr.passed td.outcome { color: #15803d; }
tr.skipped { color: #666; }
img.plot { width: 100%; display: block; margin: 6px 0; }
figure { margin: 0 0 22px; } figcaption { margin-bottom: 4px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; }
.side { display: flex; gap: 4px; align-items: flex-start; flex-wrap: wrap; }
.side b { width: 100%; } .side img { max-width: 100%; }
.side img.whole { flex: 1 1 0; min-width: 0; } .side img.close { flex: 0 0 auto; width: 26%; }
.none { color: #666; }
"""


def write_report(
    path: Path,
    scenario: Scenario,
    comparison: Comparison,
    verdict: Verdict,
    worst: list[WorstFrame],
) -> None:
    """Write the page: verdict, conditions, plots over time and the worst frames.

    Without matplotlib the page shows a note in place of the plots (`why_no_plots`).
    """
    title = f"Replay test: {escape(scenario.name)}"
    word = "pass" if verdict.success else "fail"
    parts = [
        "<!doctype html>",
        f"<html lang='en'><head><meta charset='utf-8'><title>{title}: {word}</title>",
        "<meta name='viewport' content='width=device-width'>",
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{title} <span class='verdict {word}'>{word}</span></h1>",
        _bags(comparison),
        _conditions(verdict),
        "<h2>Over time</h2>",
        *_plots(scenario, comparison),
        "<h2>Worst frames</h2>",
        *[_figure(one, _start(comparison)) for one in worst],
    ]
    if not worst:
        parts.append("<p class='none'>No compared frame shows a visible difference.</p>")
    parts.append("</body></html>")
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _start(comparison: Comparison) -> int:
    """The stamp (ns) at 0 s in the plots."""
    return min([*comparison.golden.frames, *comparison.new.frames])


def _bags(comparison: Comparison) -> str:
    def row(kind: str, answers: Answers, only: int) -> str:
        notes = [f"{only} frames exist only here"] if only else []
        notes += (
            [f"{answers.repeated} frames with a repeated stamp were ignored"]
            if answers.repeated
            else []
        )
        notes += [answers.loss] if answers.loss else []
        persons = sum(len(frame.poses) for frame in answers.frames.values())
        cells = [
            kind,
            answers.name,
            answers.model or "not recorded",
            f"{len(answers.frames)} frames, {persons} skeletons",
            "; ".join(notes),
        ]
        return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"

    golden = row("golden", comparison.golden, len(comparison.missing_frames))
    new = row("new", comparison.new, len(comparison.extra_frames))
    head = "<tr><th></th><th>bag</th><th>model</th><th>answers</th><th>notes</th></tr>"
    return f"<table>{head}{golden}{new}</table>"


def _conditions(verdict: Verdict) -> str:
    return f"<h2>Conditions</h2>{outcome_table(verdict)}"


def outcome_table(verdict: Verdict) -> str:
    """A row for each outcome of a verdict."""
    rows = []
    for outcome in verdict.outcomes:
        kind = {"pass": "passed", "fail": "failed"}.get(outcome.word, "skipped")
        rows.append(
            f"<tr class='{kind}'><td>{escape(outcome.name)}</td>"
            f"<td class='outcome'>{outcome.word}</td><td>{escape(outcome.summary)}</td></tr>"
        )
    head = "<tr><th>condition</th><th>outcome</th><th>measured value and limit</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _plots(scenario: Scenario, comparison: Comparison) -> list[str]:
    missing = why_no_plots()
    if missing:
        return [f"<p class='none'>{escape(missing)}</p>"]
    start = _start(comparison)

    def both(value: Callable[[SkeletonFrame], float]) -> list[Series]:
        """The new curve is dashed, so the golden one is visible where they are equal."""
        series = []
        for label, colour, answers in (
            ("golden", GOLDEN_COLOUR, comparison.golden),
            ("new", NEW_COLOUR, comparison.new),
        ):
            at = np.array([stamp - start for stamp in answers.frames]) / 1e9
            values = np.array([value(frame) for frame in answers.frames.values()], np.float64)
            series.append(Series(label, colour, at, values, dashed=label == "new"))
        return series

    times = np.array([frame.stamp - start for frame in comparison.frames]) / 1e9
    seen = [frame.oks[np.isfinite(frame.oks)] for frame in comparison.frames]
    lowest = np.array([values.min() if len(values) else np.nan for values in seen])
    mean = np.array([values.mean() if len(values) else np.nan for values in seen])
    missed = np.array([float(frame.missed) for frame in comparison.frames])
    extra = np.array([float(frame.extra) for frame in comparison.frames])
    return [
        time_plot(
            "OKS of the matched skeletons",
            [
                Series("mean", NEW_COLOUR, times, mean, dashed=True),
                Series("lowest", NEW_COLOUR, times, lowest),
            ],
            high=1,
            limit=scenario.oks.at_least if scenario.oks else None,
        ),
        time_plot("Persons", both(lambda frame: len(frame.poses)), low=0),
        time_plot(
            "Unmatched skeletons",
            [
                Series("missed", GOLDEN_COLOUR, times, missed),
                Series("extra", NEW_COLOUR, times, extra, dashed=True),
            ],
            low=0,
            high=1,
        ),
        time_plot(
            "Age at publication, ms",
            both(lambda frame: 1e3 * frame.age),
            low=0,
            limit=1e3 * scenario.age_p95.at_most_s if scenario.age_p95 else None,
        ),
    ]


def _figure(worst: WorstFrame, start: int) -> str:
    frame = worst.frame
    seen = frame.oks[np.isfinite(frame.oks)]
    lowest = f", lowest OKS {seen.min():.4f}" if len(seen) else ""
    caption = (
        f"{(frame.stamp - start) / 1e9:.3f} s (stamp {frame.stamp} ns): "
        f"{frame.missed} missed, {frame.extra} extra{lowest}"
    )
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>"
        f"{side_by_side(worst, ('golden', 'new'))}</figure>"
    )


def side_by_side(worst: WorstFrame, names: tuple[str, str]) -> str:
    """The pictures of both runs beside each other, under their names (`STYLE` lays them out)."""
    sides = [
        f"<div class='side'><b>{name}</b>{_image(whole, 'whole')}{_image(close, 'close')}</div>"
        for name, whole, close in (
            (names[0], worst.golden, worst.golden_close),
            (names[1], worst.new, worst.new_close),
        )
    ]
    return f"<div class='pair'>{''.join(sides)}</div>"


def _image(data: bytes, kind: str) -> str:
    text = base64.b64encode(data).decode()
    return f"<img class='{kind}' alt='{kind} image' src='data:image/jpeg;base64,{text}'>"
