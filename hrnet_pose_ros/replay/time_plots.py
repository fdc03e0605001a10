# SPDX-License-Identifier: Apache-2.0
"""Plots over time, embedded as images in an HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

SIZE = (13.0, 2.6)  # inches
DPI = 130
LIMIT_COLOUR = "#cc0000"


@dataclass(frozen=True)
class Series:
    """One curve: times and values ``[K]``, times ascending; NaN interrupts the curve."""

    label: str
    colour: str
    times: np.ndarray
    values: np.ndarray
    dashed: bool = False


def why_no_plots() -> str:
    """Why plots cannot be drawn and how to fix it; empty if they can."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        return (
            f"no plots because matplotlib is not installed ({error}): "
            "pip install 'hrnet_pose_ros[plots]'"
        )
    return ""


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
        The value axis covers at least this range.
    limit
        Draw a horizontal line at the limit of the scenario.

    Returns
    -------
    One ``<img>`` element with an embedded PNG, or a paragraph with a note if no curve has a value.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    seen = np.concatenate([one.values[np.isfinite(one.values)] for one in series] or [[]])
    if not len(seen):
        return f"<p class='none'>{escape(title)}: no data recorded</p>"
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    for one in series:
        style = "--" if one.dashed else "-"
        axes.plot(one.times, one.values, style, color=one.colour, lw=1.3, label=one.label)
        alone = _alone(one.values)  # a single value between two gaps is drawn as a dot
        axes.plot(one.times[alone], one.values[alone], ".", color=one.colour, ms=4)
    if limit is not None:
        axes.axhline(limit, color=LIMIT_COLOUR, lw=1, ls=":", label=f"limit {limit:g}")
    shown = [*(mark for mark in (low, high, limit) if mark is not None), seen.min(), seen.max()]
    margin = 0.05 * (max(shown) - min(shown)) or 0.5
    axes.set_ylim(min(shown) - margin, max(shown) + margin)
    axes.margins(x=0.01)
    axes.grid(color="#dddddd", lw=0.8)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("s", loc="right", labelpad=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=9)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=DPI, metadata={"Software": None})
    text = base64.b64encode(image.getvalue()).decode()
    alt = escape(title, quote=True)
    return f"<img class='plot' alt='{alt}' src='data:image/png;base64,{text}'>"


def _alone(values: np.ndarray) -> np.ndarray:
    """bool ``[K]``: values without a neighbour."""
    finite = np.concatenate([[False], np.isfinite(values), [False]])
    return finite[1:-1] & ~finite[:-2] & ~finite[2:]
