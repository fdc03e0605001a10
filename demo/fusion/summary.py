# SPDX-License-Identifier: Apache-2.0
"""The summary of the demo as a text: Markdown, which is also what the terminal shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def summary_text(summary: Mapping[str, Any]) -> str:
    """The whole summary."""
    parts = [
        f"# Fusion demo: {summary['scenario']}",
        _overview(summary),
        "## Position against the truth",
        _position(summary["position"]),
        _tracking(summary),
        "## Latency, ms",
        _latency(summary["latency_ms"]),
        "## Messages: received = used + refused + waiting",
        _accounts(summary["messages"], "input", ("played", "received", "used", "waiting", "lost")),
        "## Cues of persons: received = used + refused",
        _accounts(summary["cues"], "cue", ("received", "used")),
    ]
    return "\n\n".join(parts) + "\n"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[str] = ()) -> str:
    """An aligned Markdown table: the first column and those of ``texts`` to the left, by title.

    >>> print(table(["a", "n"], [["x", "1.5"]]))
    | a |   n |
    | - | --: |
    | x | 1.5 |
    """
    cells = [list(titles), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    left = [not column or title in texts for column, title in enumerate(titles)]
    widths = [max(width, 1 if text else 2) for width, text in zip(widths, left, strict=True)]
    lines = []
    for row in cells:
        padded = [
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(row, widths, left, strict=True)
        ]
        lines.append(f"| {' | '.join(padded)} |")
    marks = [
        "-" * width if text else "-" * (width - 1) + ":"
        for width, text in zip(widths, left, strict=True)
    ]
    lines.insert(1, f"| {' | '.join(marks)} |")
    return "\n".join(lines)


def _overview(summary: Mapping[str, Any]) -> str:
    statuses = ", ".join(f"{name} {count}" for name, count in summary["status"].items())
    reasons = ", ".join(f"{name} {count}" for name, count in summary["reasons"].items())
    return (
        f"{summary['seconds']:g} s of a simulated drive, played to person_fusion_node"
        + ("" if summary["rate"] == 1 else f" at {summary['rate']:g} of its speed")
        + f": {summary['images_answered']} of {summary['images_played']} images answered, "
        f"{summary['people_per_image']} people per image. Status: {statuses}"
        + (f" ({reasons})." if reasons else ".")
    )


def _position(rows: Sequence[Mapping[str, Any]]) -> str:
    titles = ("distance, m", "sightings", "p50, m", "p95, m", "p50, %", "p95, %")
    return table(
        titles,
        [
            (
                f"{row['from']} to {row['to']}",
                str(row["count"]),
                f"{row['p50']:.2f}",
                f"{row['p95']:.2f}",
                f"{row['p50_percent']:.1f}",
                f"{row['p95_percent']:.1f}",
            )
            for row in rows
        ],
    )


def _tracking(summary: Mapping[str, Any]) -> str:
    found, tracks = summary["consistency"], summary["tracks"]
    if found["nees"] is None:
        return "Nobody was seen."
    low, high = found["bounds_95"]
    lines = (
        f"- NEES of the position: mean {found['nees']:.2f} (2 is consistent; its 95 % bounds are "
        f"{low:.2f} to {high:.2f}, as errors last and persons share them: the drive is worth "
        f"{found['independent']:.1f} independent estimates), median {found['nees_median']:.2f}; "
        f"the truth is within the 95 % ellipse in {found['within_95']:.0%}.",
        f"- Ids: {tracks['switches']} switches ({tracks['switches_per_minute']:.2f} per person "
        "and minute).",
        f"- GOSPA (cut-off 2 m): {tracks['gospa']:.2f} m.",
    )
    return "\n".join(lines)


def _latency(times: Mapping[str, Mapping[str, float]]) -> str:
    if not times:
        return "No people came."
    names = list(next(iter(times.values())))
    rows = [(what, *(f"{values[name]:.1f}" for name in names)) for what, values in times.items()]
    return table(["from, to", *names], rows)


def _accounts(accounts: Mapping[str, Mapping[str, Any]], first: str, columns: Sequence[str]) -> str:
    if not accounts:
        return "The node has published no diagnostics."
    rows = []
    for name, account in accounts.items():
        refused = account["refused"]
        counts = [str(account[column]) for column in columns]
        why = ", ".join(f"{reason} {count}" for reason, count in refused.items())
        balanced = "" if account["balanced"] else " (not balanced)"
        rows.append((name, *counts, str(sum(refused.values())), why + balanced))
    return table([first, *columns, "refused", "reasons"], rows, texts=["reasons"])
