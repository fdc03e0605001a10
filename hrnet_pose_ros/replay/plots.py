# SPDX-License-Identifier: Apache-2.0
"""Plots over time as SVG text that stands inside an HTML page and needs nothing from outside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 900, 190
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 26
# More points than this are drawn as the lowest and highest of each of so many slices of time.
MOST_SLICES = 800
VALUE_TICKS, TIME_TICKS = 5, 10  # at most


@dataclass(frozen=True)
class Series:
    """One curve: times and values ``[K]``, times rising; NaN interrupts it."""

    label: str
    colour: str
    times: np.ndarray
    values: np.ndarray
    dashed: bool = False


def time_plot(
    title: str,
    series: Sequence[Series],
    *,
    low: float | None = None,
    high: float | None = None,
    limit: float | None = None,
) -> str:
    """Curves over time in seconds.

    Parameters
    ----------
    title
        What is plotted, and its unit.
    low, high
        What the value axis shows at least.
    limit
        A horizontal line: what the scenario allows.

    Returns
    -------
    One ``<svg>`` element; a paragraph that says so where no curve has a value.
    """
    seen = np.concatenate([one.values[np.isfinite(one.values)] for one in series] or [[]])
    if not len(seen):
        return f"<p class='none'>{escape(title)}: nothing recorded</p>"
    shown = [*(mark for mark in (low, high, limit) if mark is not None), seen.min(), seen.max()]
    axis = _Axis(min(shown), max(shown))
    times = np.concatenate([one.times for one in series])
    clock = _Axis(float(times.min()), float(times.max()))
    parts = [
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{escape(title, quote=True)}'>",
        f"<text class='title' x='{LEFT}' y='15'>{escape(title)}</text>",
    ]
    for value in axis.ticks(VALUE_TICKS):
        y = _y(axis, value)
        parts.append(f"<line class='grid' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y}' y2='{y}'/>")
        parts.append(f"<text class='y' x='{LEFT - 6}' y='{y + 4:.1f}'>{value:g}</text>")
    for value in clock.ticks(TIME_TICKS):
        x = _x(clock, value)
        parts.append(f"<text class='x' x='{x}' y='{HEIGHT - 8}'>{value:g} s</text>")
    if limit is not None:
        y = _y(axis, limit)
        parts.append(f"<line class='limit' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y}' y2='{y}'/>")
    parts += [_curve(one, clock, axis) for one in series]
    parts.append(_legend(series, limit))
    parts.append("</svg>")
    return "\n".join(parts)


class _Axis:
    """A range of values with round ticks."""

    def __init__(self, low: float, high: float) -> None:
        if not high > low:
            low, high = low - 0.5, high + 0.5
        self.low, self.high = float(low), float(high)

    def part(self, value: float) -> float:
        """Where in the range, 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[float]:
        """Round values within the range, about ``most`` or fewer."""
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [round(n * step, 12) for n in range(first, last + 1)]


def _x(axis: _Axis, value: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * axis.part(value), 1)


def _y(axis: _Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.part(value), 1)


def _curve(series: Series, clock: _Axis, axis: _Axis) -> str:
    times, values = _thinned(series.times, series.values)
    runs: list[list[str]] = [[]]
    for time, value in zip(times.tolist(), values.tolist(), strict=True):
        if math.isfinite(value):
            runs[-1].append(f"{_x(clock, time)},{_y(axis, value)}")
        elif runs[-1]:
            runs.append([])
    dashes = " stroke-dasharray='5 4'" if series.dashed else ""
    lines = []
    for run in filter(None, runs):
        if len(run) == 1:  # a value between two gaps is a dot
            x, y = run[0].split(",")
            lines.append(f"<circle cx='{x}' cy='{y}' r='2' fill='{series.colour}'/>")
        else:
            points = " ".join(run)
            lines.append(f"<polyline points='{points}' stroke='{series.colour}'{dashes}/>")
    return "\n".join(lines)


def _thinned(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most two points a slice of time, its extremes, so that no outlier is lost."""
    if len(times) <= 2 * MOST_SLICES:
        return times, values
    kept: list[int] = []
    for part in np.array_split(np.arange(len(times)), MOST_SLICES):
        finite = part[np.isfinite(values[part])]
        if len(finite):
            ends = {int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])}
            kept += sorted(ends)
        else:
            kept.append(int(part[0]))
    return times[kept], values[kept]


def _legend(series: Sequence[Series], limit: float | None) -> str:
    entries = [(one.label, one.colour, one.dashed) for one in series]
    if limit is not None:
        entries.append((f"limit {limit:g}", "#c00", True))
    x, parts = WIDTH - RIGHT - 150 * len(entries), []
    for label, colour, dashed in entries:
        dashes = " stroke-dasharray='5 4'" if dashed else ""
        parts.append(f"<line x1='{x}' x2='{x + 22}' y1='11' y2='11' stroke='{colour}'{dashes}/>")
        parts.append(f"<text class='legend' x='{x + 27}' y='15'>{escape(label)}</text>")
        x += 150
    return "\n".join(parts)
