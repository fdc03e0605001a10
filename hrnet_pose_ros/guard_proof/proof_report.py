# SPDX-License-Identifier: Apache-2.0
"""Writes what the proof found: report.json, report.md, and a page with plots of the rides that had
a contact or stopped falsely.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from hrnet_pose_ros.files import write_file
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard_proof.closed_loop import DriveOutcome, DriveSample
from hrnet_pose_ros.guard_proof.driven_vehicle import DrivenVehicle, Drivetrain
from hrnet_pose_ros.guard_proof.proof import CAMERA, LIDAR, RideResult
from hrnet_pose_ros.guard_proof.rides import draw_ride
from hrnet_pose_ros.guard_proof.summary import ERROR_HEAD, OUTCOME_HEAD, Summary
from hrnet_pose_ros.guard_proof.world import RideWorld
from hrnet_pose_ros.replay.html_report import GOLDEN_COLOUR, NEW_COLOUR, STYLE
from hrnet_pose_ros.replay.time_plots import Series, time_plot, why_no_plots
from hrnet_pose_ros.simulation.sensor import generator_of

JSON, MARKDOWN, PAGE = "report.json", "report.md", "report.html"
PERSON_COLOUR = "#b91c1c"
LISTED_HEAD = ["ride", "kind", "dropout", "people from", "guard, m/s", "ideal", "late", "beside"]
# The page stays readable, and below 10 MB; failed rides are plotted all.
MOST_PLOTS = 40


def write_proof(folder: Path, summary: Summary, *, seed: int, command: str) -> None:
    """Write the three files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"command": command, "seed": seed} | summary.json()
    write_file(folder / JSON, json.dumps(content, indent=1) + "\n")
    write_file(folder / MARKDOWN, markdown_of(summary, command))
    write_file(folder / PAGE, _page(summary, seed, command))


def markdown_of(summary: Summary, command: str) -> str:
    """The tables in Markdown."""
    criteria = [[one.name, one.measured, one.limit, _word(one.holds)] for one in summary.criteria]
    parts = [
        "# Proof of the guard",
        f"`{command}`",
        _markdown(["criterion", "measured", "limit", ""], criteria),
        "## Outcomes",
        _markdown(OUTCOME_HEAD, summary.outcomes()),
        "## Dropouts",
        _markdown(
            ["dropout", "rides", "failed", "ideal brake fails too", "could not be seen"],
            summary.dropouts(),
        ),
        "## Rides with a contact above 0.3 m/s",
        _markdown(LISTED_HEAD, [_listed(one) for one in summary.listed()]),
        "## Errors of people",
        _markdown(ERROR_HEAD, summary.errors()),
    ]
    return "\n\n".join(parts) + "\n"


def _listed(one: RideResult) -> list[str]:
    speeds = (one.guard, one.ideal, one.late, one.beside)
    texts = [f"{value:.2f}" if np.isfinite(value) else "" for value in speeds]
    return [f"{one.number} {one.outcome}", one.kind, one.dropout, one.source, *texts]


def _word(holds: bool | None) -> str:
    return {True: "holds", False: "fails", None: "not measured"}[holds]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{row(head, 'th')}{''.join(row(one, 'td') for one in rows)}</table>"


def _page(summary: Summary, seed: int, command: str) -> str:
    word = "pass" if summary.holds else "fail"
    criteria = [
        [one.name, _word(one.holds), f"{one.measured}; limit {one.limit}"]
        for one in summary.criteria
    ]
    parts = [
        "<!doctype html>",
        f"<html lang='en'><head><meta charset='utf-8'><title>Proof of the guard: {word}</title>",
        f"<style>{STYLE}</style></head><body>",
        f"<h1>Proof of the guard <span class='verdict {word}'>{word}</span></h1>",
        f"<p><code>{escape(command)}</code></p>",
        _html(["criterion", "outcome", "measured value and limit"], criteria),
        "<h2>Outcomes</h2>",
        _html(OUTCOME_HEAD, summary.outcomes()),
        "<h2>Rides</h2>",
    ]
    plotted = [*summary.listed(), *(one for one in summary.results if one.false_stop)]
    missing = why_no_plots()
    if missing:
        parts.append(f"<p class='none'>{escape(missing)}</p>")
        plotted = []
    most = max(MOST_PLOTS, sum(one.outcome == "failed" for one in plotted))
    if len(plotted) > most:
        parts.append(f"<p class='none'>The first {most} of {len(plotted)} rides.</p>")
    for one in plotted[:most]:
        if one.drive is not None:
            parts.append(_ride(one, one.drive, seed))
    parts.append("</body></html>")
    return "\n".join(parts) + "\n"


def _ride(result: RideResult, drive: DriveOutcome, seed: int) -> str:
    trace = drive.trace
    times = np.array([one.time for one in trace])

    def series(label: str, colour: str, name: str, dashed: bool = False) -> Series:
        values = np.array([getattr(one, name) for one in trace], np.float64)
        return Series(label, colour, times, values, dashed)

    outcome = "false stop" if result.false_stop else result.outcome
    title = (
        f"Ride {result.number}, {result.kind}, dropout {result.dropout}: {outcome}; contact at "
        f"{result.guard:.2f} m/s, ideal brake {result.ideal:.2f} m/s ({result.source})"
    )
    return "\n".join(
        [
            f"<figure><figcaption>{escape(title)}</figcaption>",
            _from_above(result, drive, seed),
            time_plot(
                "Speed of the fastest point, m/s",
                [
                    series("commanded", GOLDEN_COLOUR, "commanded", True),
                    series("allowed", NEW_COLOUR, "allowed"),
                    series("driven", "#1c1c1c", "speed"),
                ],
                low=0,
            ),
            time_plot(
                "Distance from the vehicle to the nearest person, m",
                [series("true", PERSON_COLOUR, "distance")],
                low=0,
            ),
            f"<p>{escape(_reasons(trace))}</p></figure>",
        ]
    )


def _reasons(trace: Sequence[DriveSample]) -> str:
    """When which reason decided."""
    parts: list[str] = []
    before = ""
    for one in trace:
        if one.reason != before:
            parts.append(f"{one.time:.2f} s {one.reason} ({one.action})")
            before = one.reason
    return "; ".join(parts)


def _from_above(result: RideResult, drive: DriveOutcome, seed: int) -> str:
    """The ride from above, as an ``<img>``: vehicle each second, and the people's ways."""
    from matplotlib.figure import Figure

    ride = draw_ride(seed, result.number, LIDAR if "lidar" in result.source else CAMERA)
    footprint = GuardSettings().footprint
    world = RideWorld(ride, DrivenVehicle(footprint, Drivetrain(), generator_of(0, "vehicle")))
    figure = Figure(figsize=(13.0, 4.2), layout="constrained")
    axes = figure.subplots()
    outline = np.vstack([footprint.outline(), footprint.outline()[:1]])
    last = len(drive.places) - 1
    for at in [*range(0, last, 20), last]:
        x, y, yaw = drive.places[at]
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        corners = outline @ turn.T + [x, y]
        colour = "#1c1c1c" if at == last else NEW_COLOUR
        axes.plot(corners[:, 0], corners[:, 1], color=colour, lw=1.0)
    end = drive.trace[-1].time
    times = np.arange(0, end + 0.05, 0.1)
    ways = np.stack([world.people(float(time))[0] for time in times])
    angles = np.linspace(0, 2 * np.pi, 25)
    for who, radius in enumerate(world.radii):
        axes.plot(ways[:, who, 0], ways[:, who, 1], color=PERSON_COLOUR, lw=1.0)
        for at in [*range(0, len(times), 10), len(times) - 1]:
            x, y = ways[at, who]
            axes.plot(
                x + radius * np.cos(angles),
                y + radius * np.sin(angles),
                color=PERSON_COLOUR,
                lw=0.7,
            )
    for start, stop in world.walls:
        axes.plot([start[0], stop[0]], [start[1], stop[1]], color="#555555", lw=2)
    axes.set_aspect("equal")
    x, y = drive.places[:, 0], drive.places[:, 1]
    axes.set_xlim(x.min() - 3, x.max() + 5)
    axes.set_ylim(min(y.min() - 3, -4), max(y.max() + 3, 4))
    axes.set_title("From above, m; outlines each second", loc="left", fontsize=11)
    axes.grid(color="#dddddd", lw=0.8)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=80, metadata={"Software": None})
    text = base64.b64encode(image.getvalue()).decode()
    return f"<img class='plot' alt='from above' src='data:image/png;base64,{text}'>"
