# SPDX-License-Identifier: Apache-2.0
"""The report of a fleet comparison for people: one HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from hrnet_pose_ros.fleet.comparison.bag_comparison import OKS_LIMITS
from hrnet_pose_ros.fleet.comparison.pictures import FindingPicture
from hrnet_pose_ros.fleet.comparison.rows import BagRow, FindingRow, SliceRow
from hrnet_pose_ros.fleet.comparison.run import FleetReport
from hrnet_pose_ros.fleet.comparison.slices import Slice
from hrnet_pose_ros.fleet.comparison.tables import why_no_parquet
from hrnet_pose_ros.replay.html_report import STYLE, outcome_table, side_by_side
from hrnet_pose_ros.replay.verdict import Verdict

REPORT = "report.html"
SHOWN_SLICES = 40  # of one tag: those with the most lost persons

LOST_COLOUR, GAINED_COLOUR, MOVED_COLOUR = "#b91c1c", "#1d6fd1", "#d97706"
# From dark red (another place) to green (the same).
OKS_COLOURS = ("#7f1d1d", "#b91c1c", "#ea580c", "#eab308", "#a3c644", "#4d9f45", "#166534")
OKS_NAMES = (
    f"below {OKS_LIMITS[0]:g}",
    *(f"{a:g} to {b:g}" for a, b in pairwise(OKS_LIMITS)),
    f"{OKS_LIMITS[-1]:g} and above",
)

MORE_STYLE = """
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 16px 0; }
.tile { border: 1px solid #ddd; border-radius: 6px; padding: 8px 16px; min-width: 120px; }
.tile b { display: block; font-size: 24px; font-weight: 600; } .tile span { color: #666; }
.lost { color: #b91c1c; } .gained { color: #1d6fd1; } .moved { color: #d97706; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.bar { width: 22%; } .bar svg { display: block; width: 100%; height: 14px; }
.oks svg { display: block; width: 100%; height: 26px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; color: #444; margin-top: 4px; }
.legend i { display: inline-block; width: 12px; height: 12px; margin-right: 5px; }
table.small { font-size: 13px; } .same td { color: #666; }
code { font-size: 13px; } .tag { color: #666; }
"""


def fleet_page(
    report: FleetReport, facts: Mapping[str, Mapping[str, Any]], notes: Sequence[str]
) -> str:
    """The page.

    Parameters
    ----------
    facts
        What ``fleet.json`` of ``baseline`` and ``candidate`` holds.
    notes
        What else the reader has to know, a sentence each.
    """
    whole = report.slices.whole.row()
    word = "pass" if report.verdict.success else "fail"
    title = "Fleet comparison"
    parts = [
        "<!doctype html>",
        f"<html lang='en'><head><meta charset='utf-8'><title>{title}: {word}</title>",
        "<meta name='viewport' content='width=device-width'>",
        f"<style>{STYLE}{MORE_STYLE}</style></head><body>",
        f"<h1>{title} <span class='verdict {word}'>{word}</span></h1>",
        *(f"<p class='none'>{escape(note)}</p>" for note in notes),
        _tiles(whole),
        f"<h2>Verdict</h2>{outcome_table(_shown(report.verdict))}",
        "<h2>What is compared</h2>",
        _facts(facts),
        "<h2>Similarity of the matched skeletons (OKS)</h2>",
        _oks(report.slices.whole),
        *_slices(report.slices.of_tags()),
        "<h2>Worst findings</h2>",
        *_pictures(report.pictures),
        _findings(report),
        *_bags(report),
        "<h2>Files beside this page</h2>",
        _files(report),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _shown(verdict: Verdict) -> Verdict:
    """The outcomes without those of slices that pass, and of the others the first ones."""
    failed = [one for one in verdict.outcomes if "=" in one.name and not one.success]
    rest = [one for one in verdict.outcomes if "=" not in one.name]
    return Verdict([*rest, *failed[:SHOWN_SLICES]])


def _tiles(whole: SliceRow) -> str:
    hours, seconds = whole.hours, 3600 * whole.hours
    tiles = [
        (f"{whole.compared_bags:,} of {whole.bags:,}", "bags compared", ""),
        (f"{hours:,.1f} h" if hours >= 1 else f"{seconds:.1f} s", "recorded", ""),
        (f"{whole.baseline_persons:,}", "skeletons of the baseline", ""),
        (f"{whole.lost:,}", "lost", "lost"),
        (f"{whole.gained:,}", "gained", "gained"),
        (f"{whole.moved:,}", "moved", "moved"),
        ("" if whole.oks_mean is None else f"{whole.oks_mean:.4f}", "mean OKS", ""),
    ]
    shown = "".join(
        f"<div class='tile'><b class='{kind}'>{escape(value or 'none')}</b>"
        f"<span>{escape(name)}</span></div>"
        for value, name, kind in tiles
    )
    return f"<div class='tiles'>{shown}</div>"


def _facts(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Model and code of both, and the parameters that differ."""
    baseline, candidate = facts["baseline"], facts["candidate"]
    names = ["model", "checksum", "code"]
    names += [
        name
        for name in sorted(baseline.keys() | candidate.keys())
        if name not in (*names, "parameters") and baseline.get(name) != candidate.get(name)
    ]
    rows = [(name, baseline.get(name), candidate.get(name)) for name in names]
    a, b = baseline.get("parameters", {}), candidate.get("parameters", {})
    rows += [
        (f"parameter {name}", a.get(name), b.get(name))
        for name in sorted(a.keys() | b.keys())
        if a.get(name) != b.get(name)
    ]
    lines = [
        f"<tr class='{'same' if x == y else ''}'><td>{escape(name)}</td>"
        f"<td><code>{escape(str(x))}</code></td><td><code>{escape(str(y))}</code></td></tr>"
        for name, x, y in rows
    ]
    head = "<tr><th></th><th>baseline</th><th>candidate</th></tr>"
    return f"<table class='small'>{head}{''.join(lines)}</table>"


def _oks(whole: Slice) -> str:
    total = int(whole.oks_counts.sum())
    if not total:
        return "<p class='none'>No skeletons were matched.</p>"
    parts = [
        (count / total, colour)
        for count, colour in zip(whole.oks_counts.tolist(), OKS_COLOURS, strict=True)
    ]
    legend = "".join(
        f"<span><i style='background: {colour}'></i>{escape(name)}: {count:,} "
        f"({100 * count / total:.2f} %)</span>"
        for name, colour, count in zip(
            OKS_NAMES, OKS_COLOURS, whole.oks_counts.tolist(), strict=True
        )
    )
    return f"<div class='oks'>{_stack(parts)}</div><div class='legend'>{legend}</div>"


def _stack(parts: Sequence[tuple[float, str]]) -> str:
    """A bar of parts in colours; their sum is at most 1."""
    shown, at = [], 0.0
    for part, colour in parts:
        shown.append(
            f"<rect x='{1000 * at:.2f}' width='{1000 * part:.2f}' y='0' height='10' "
            f"fill='{colour}'></rect>"
        )
        at += part
    return f"<svg viewBox='0 0 1000 10' preserveAspectRatio='none'>{''.join(shown)}</svg>"


def _slices(slices: Sequence[Slice]) -> Iterator[str]:
    by_tag: dict[str, list[SliceRow]] = {}
    for one in slices:
        row = one.row()
        by_tag.setdefault(row.tag, []).append(row)
    for tag, rows in by_tag.items():
        yield f"<h2>By {escape(tag)}</h2>"
        shown = sorted(rows, key=lambda row: -_per_thousand(row.lost + row.moved, row))
        scale = max((_per_thousand(r.lost + r.gained + r.moved, r) for r in rows), default=0) or 1
        head = (
            f"<tr><th>{escape(tag)}</th><th>scenario</th><th class='number'>bags</th>"
            "<th class='number'>lacking</th><th class='number'>failing</th>"
            "<th class='number'>skeletons</th><th class='number'>lost</th>"
            "<th class='number'>gained</th><th class='number'>moved</th>"
            "<th class='number'>mean OKS</th><th>of 1000 skeletons</th></tr>"
        )
        lines = [_slice_line(row, scale) for row in shown[:SHOWN_SLICES]]
        yield f"<table>{head}{''.join(lines)}</table>"
        if len(rows) > SHOWN_SLICES:
            left = len(rows) - SHOWN_SLICES
            yield f"<p class='none'>{left} more are in slices.jsonl.</p>"


def _per_thousand(count: int, row: SliceRow) -> float:
    return 1000 * count / row.baseline_persons if row.baseline_persons else 0.0


def _slice_line(row: SliceRow, scale: float) -> str:
    kind = {"pass": "passed", "fail": "failed"}.get(row.verdict, "skipped")
    failed = f" ({row.failed_conditions})" if row.failed_conditions else ""
    parts = [
        (_per_thousand(count, row) / scale, colour)
        for count, colour in (
            (row.lost, LOST_COLOUR),
            (row.moved, MOVED_COLOUR),
            (row.gained, GAINED_COLOUR),
        )
    ]
    numbers = [
        *(row.bags, row.lacking_bags, row.failing_bags, row.baseline_persons),
        *(row.lost, row.gained, row.moved),
    ]
    cells = "".join(f"<td class='number'>{number:,}</td>" for number in numbers)
    oks = "" if row.oks_mean is None else f"{row.oks_mean:.4f}"
    return (
        f"<tr class='{kind}'><td>{escape(row.value or 'not tagged')}</td>"
        f"<td class='outcome'>{escape(row.verdict + failed)}</td>{cells}"
        f"<td class='number'>{oks}</td><td class='bar'>{_stack(parts)}</td></tr>"
    )


def _pictures(pictures: Sequence[FindingPicture]) -> Iterator[str]:
    for one in pictures:
        row = one.finding.row
        links = []
        if one.clip:
            links.append(f"<a href='{escape(one.clip)}'>clip for Foxglove</a>")
        if row.link:
            links.append(f"<a href='{escape(row.link)}'>bag in Foxglove</a>")
        if one.problem:
            links.append(escape(one.problem))
        yield (
            f"<figure><figcaption>{_said(row)} in <b>{escape(row.bag)}</b> {_tags(one.tags)}, "
            f"{row.start_s:.1f} to {row.end_s:.1f} s (<code>{escape(row.start_utc)}</code>)"
            f"{'; ' if links else ''}{'; '.join(links)}</figcaption>"
            f"{side_by_side(one.picture, ('baseline', 'candidate'))}</figure>"
        )


def _said(row: FindingRow) -> str:
    who = f"person {escape(row.id)}" if row.id else "a person"
    lowest = "" if row.oks_lowest is None else f", lowest OKS {row.oks_lowest:.3f}"
    times = f"{row.frames} frame{'s' if row.frames > 1 else ''}"
    return f"<b class='{row.kind}'>{row.kind}</b>: {who} in {times}{lowest}"


def _tags(tags: Mapping[str, str]) -> str:
    text = ", ".join(f"{name}={value}" for name, value in sorted(tags.items()) if value)
    return f"<span class='tag'>({escape(text)})</span>" if text else ""


def _findings(report: FleetReport) -> str:
    if not report.findings:
        return "<p class='none'>Nobody is lost, gained or moved.</p>"
    head = (
        "<tr><th></th><th>bag</th><th>person</th><th>why</th><th class='number'>from, s</th>"
        "<th class='number'>to, s</th><th>from, UTC</th><th class='number'>frames</th>"
        "<th class='number'>lowest OKS</th><th></th></tr>"
    )
    why = {"box": "no skeleton", "key points": "no key point found", "frame": "no frame", "": ""}
    lines = []
    for row, tags in report.findings:
        link = f"<a href='{escape(row.link)}'>Foxglove</a>" if row.link else ""
        lowest = "" if row.oks_lowest is None else f"{row.oks_lowest:.3f}"
        lines.append(
            f"<tr><td class='{row.kind}'>{row.kind}</td><td>{escape(row.bag)} {_tags(tags)}</td>"
            f"<td>{escape(row.id)}</td><td>{why[row.cause]}</td>"
            f"<td class='number'>{row.start_s:.1f}</td><td class='number'>{row.end_s:.1f}</td>"
            f"<td><code>{escape(row.start_utc)}</code></td><td class='number'>{row.frames}</td>"
            f"<td class='number'>{lowest}</td><td>{link}</td></tr>"
        )
    more = ""
    if report.finding_count > len(lines):
        more = f"<p class='none'>All {report.finding_count:,} are in findings.jsonl.</p>"
    return f"<table class='small'>{head}{''.join(lines)}</table>{more}"


def _bags(report: FleetReport) -> Iterator[str]:
    if report.not_compared:
        yield "<h2>Bags that were not compared</h2>"
        lines = [
            f"<tr><td>{escape(row.bag)}</td><td class='outcome'>{escape(row.state)}</td>"
            f"<td>{escape(row.reason)}</td></tr>"
            for row in report.not_compared
        ]
        yield f"<table class='small'><tr><th>bag</th><th></th><th>why</th></tr>{''.join(lines)}"
        yield "</table>"
        if report.not_compared_count > len(lines):
            yield f"<p class='none'>All {report.not_compared_count:,} are in bags.jsonl.</p>"
    if report.worst_bags:
        yield "<h2>Worst bags</h2>"
        head = (
            "<tr><th>bag</th><th>scenario</th><th class='number'>s</th>"
            "<th class='number'>skeletons</th><th class='number'>lost</th>"
            "<th class='number'>gained</th><th class='number'>moved</th>"
            "<th class='number'>mean OKS</th><th class='number'>lowest OKS</th></tr>"
        )
        yield f"<table class='small'>{head}{''.join(map(_bag_line, report.worst_bags))}</table>"


def _bag_line(item: tuple[BagRow, Mapping[str, str]]) -> str:
    row, tags = item
    kind = {"pass": "passed", "fail": "failed"}.get(row.verdict, "skipped")
    failed = f" ({row.failed_conditions})" if row.failed_conditions else ""
    numbers = (row.baseline_persons, row.lost, row.gained, row.moved)
    similarities = (row.oks_mean, row.oks_lowest)
    cells = [f"{row.seconds:.1f}", *(f"{number:,}" for number in numbers)]
    cells += ["" if value is None else f"{value:.4f}" for value in similarities]
    return (
        f"<tr class='{kind}'><td>{escape(row.bag)} {_tags(tags)}</td>"
        f"<td class='outcome'>{escape(row.verdict + failed)}</td>"
        + "".join(f"<td class='number'>{cell}</td>" for cell in cells)
        + "</tr>"
    )


def _files(report: FleetReport) -> str:
    files = [
        ("bags", "a row for each bag"),
        ("persons", "a row for each lost and gained person in each frame"),
        ("findings", "a row for each time that a person is lost, gained or moved"),
        ("slices", "a row for all bags, and for each value of each tag"),
    ]
    parquet = "" if why_no_parquet() else ", <code>.parquet</code>"
    lines = [f"<li><code>{name}.jsonl</code>{parquet}: {what}</li>" for name, what in files]
    if any(one.clip for one in report.pictures):
        lines.append(
            "<li><code>clips/</code>: for each picture an mcap file with the images, in which the "
            "skeletons are drawn, and the skeletons of both</li>"
        )
    return f"<ul>{''.join(lines)}</ul>"
