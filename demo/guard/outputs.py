# SPDX-License-Identifier: Apache-2.0
"""The files of the guard's demo: a video from above, a sheet of stills, and the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from demo.fusion.summary import table
from demo.guard.moments import GuardRide
from demo.guard.pictures import draw_guard_moment
from demo.outputs import failed_nodes, grid, percentiles_ms
from hrnet_pose_ros.guard_proof.closed_loop import COMMAND_PERIOD
from hrnet_pose_ros.image_files import write_image_file
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.video import VideoWriter

VIDEO, SHEET = "guard.mp4", "guard.png"
SUMMARY, SUMMARY_TEXT = "guard_summary.json", "guard_summary.md"
SHEET_IMAGES, SHEET_COLUMNS, SHEET_WIDTH = 6, 2, 1280
# The smallest part of the commands that has to be answered.
MIN_ANSWERED = 0.95


def write_guard_pictures(ride: GuardRide, folder: Path) -> list[str]:
    """Write the video, one picture for each command, and a sheet; return the names of the files.

    The stills are of the middles of the longest parts of the ride with one action and reason.
    """
    chosen = set(_stills(ride))
    stills = []
    with VideoWriter(folder / VIDEO, 1 / COMMAND_PERIOD) as video:
        count = len(ride.moments)
        for number in progress("drawing", "picture", count, range(count)):
            picture = draw_guard_moment(ride, number)
            video.write(picture, ride.moments[number].time)
            if number in chosen:
                stills.append(picture)
    if not stills:
        return [VIDEO]
    write_image_file(folder / SHEET, grid(stills, SHEET_COLUMNS, SHEET_WIDTH))
    return [VIDEO, SHEET]


def _stills(ride: GuardRide) -> list[int]:
    """Moments of the sheet: of the longest times of one label each, in their order."""
    parts: list[list[int]] = []
    for number, moment in enumerate(ride.moments):
        said = moment.label.partition("\n")[0]
        if parts and ride.moments[parts[-1][0]].label.partition("\n")[0] == said:
            parts[-1].append(number)
        elif said:
            parts.append([number])
    longest: dict[str, list[int]] = {}
    for part in parts:  # one of each label first
        said = ride.moments[part[0]].label.partition("\n")[0].partition(" (")[0]
        if len(part) > len(longest.get(said, [])):
            longest[said] = part
    found = sorted(longest.values(), key=len, reverse=True)
    others = sorted((one for one in parts if one not in found), key=len, reverse=True)
    return sorted(one[len(one) // 2] for one in [*found, *others][:SHEET_IMAGES])


def guard_figures(ride: GuardRide) -> dict[str, Any]:
    """The summary of a ride: plain values; times in ms, lengths in m, speeds in m/s."""
    moments = ride.moments
    answered = [one for one in moments if np.isfinite(one.waited)]
    actions = Counter(one.label.partition("\n")[0].partition(" (")[0] for one in moments)
    actions.pop("", None)
    values = {key: value for _, part in ride.statuses.values() for key, value in part.items()}
    nearest = min(moments, key=lambda one: one.distance)
    return {
        "seconds": round(len(moments) * COMMAND_PERIOD, 2),
        "metres": round(float(moments[-1].place[0]), 2),
        "commands": len(moments),
        "answered": len(answered),
        "contact_speed": ride.contact,
        "nearest_m": round(nearest.distance, 3),
        "speed_at_the_nearest": round(nearest.speed, 3),
        "seconds_by_action": {
            name: round(count * COMMAND_PERIOD, 2) for name, count in actions.most_common()
        },
        "decided": {
            key.removeprefix("decided."): int(value)
            for key, value in values.items()
            if key.startswith("decided.")
        },
        "command_to_answer_ms": percentiles_ms([one.waited / 1e3 for one in answered])
        if answered
        else {},
        "in_the_node_ms": {
            key.removeprefix("latency_ms."): float(value)
            for key, value in values.items()
            if key.startswith("latency_ms.")
        },
    }


def guard_text(summary: Mapping[str, Any]) -> str:
    """The summary as Markdown, which is also what the terminal shows."""
    contact = summary["contact_speed"]
    touched = "no contact" if contact is None else f"CONTACT at {contact:.2f} m/s"
    latency = [
        [name, *(f"{summary[key].get(p, float('nan')):.1f}" for p in ("p50", "p95", "p99"))]
        for name, key in (
            ("from command to answer, over DDS", "command_to_answer_ms"),
            ("from arrival to answer, in the node", "in_the_node_ms"),
        )
    ]
    actions = [[name, f"{value:.1f}"] for name, value in summary["seconds_by_action"].items()]
    return (
        "\n\n".join(
            [
                "# Guard demo",
                f"{summary['seconds']:g} s of a simulated ride in closed loop with "
                f"pedestrian_guard_node, {summary['metres']:g} m, {summary['answered']} of "
                f"{summary['commands']} commands answered: {touched}. The nearest person was "
                f"{summary['nearest_m']:.2f} m away, at {summary['speed_at_the_nearest']:.2f} m/s.",
                table(["action: reason", "seconds"], actions),
                "## Latency, ms",
                table(["", "p50", "p95", "p99"], latency),
            ]
        )
        + "\n"
    )


def guard_problem(summary: Mapping[str, Any]) -> str:
    """Why the demo failed, in one sentence; empty if it succeeded."""
    if summary["contact_speed"] is not None:
        return f"the vehicle touched somebody at {summary['contact_speed']:.2f} m/s"
    if summary["answered"] < MIN_ANSWERED * summary["commands"]:
        return (
            f"only {summary['answered']} of {summary['commands']} commands were answered; see the "
            "node's log above"
        )
    return failed_nodes(summary["exit_codes"])
