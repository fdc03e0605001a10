# SPDX-License-Identifier: Apache-2.0
"""The report as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import mean
from typing import Any

from hrnet_pose_ros.fusion_report.scenes import SCENES
from hrnet_pose_ros.fusion_report.tables import DISTANCE_BINS

Row = dict[str, Any]

NONE = "–"


def markdown(report: Row) -> str:
    """Return the report: of simulated scenes, or of KITTI-formatted folders."""
    tables = report["tables"]
    if "kitti" in tables:
        return "\n".join([f"# Fusion report: {report['data']}", "", *_kitti(tables)]) + "\n"
    title = (
        f"{report['runs']} runs of {report['duration']:g} s for each scene, seeds "
        f"{report['seed']} to {report['seed'] + report['runs'] - 1}"
    )
    parts = [
        "# Fusion report",
        "",
        title + ".",
        "",
        *_scenes(tables),
        *_positions(tables),
        *_consistency(tables),
        *_tracks(tables),
        *_headings(tables),
        *_postures(tables),
        *_wrong_cues(tables),
        *_times(tables),
    ]
    return "\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table and an empty line.

    >>> table(["a", "b"], [["1", "2"]])
    ['| a | b |', '|---|---|', '| 1 | 2 |', '']
    """
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return a number as text; a dash where there is none."""
    return NONE if value is None else f"{value:.{digits}f}{unit}"


def percent(value: float | None, digits: int = 0) -> str:
    """Return a fraction in per cent."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def _scenes(tables: dict[str, list[Row]]) -> list[str]:
    names = _values(tables["consistency"], "scene")
    return table(["scene", "what"], [[f"`{name}`", SCENES[name].title] for name in names])


def _positions(tables: dict[str, list[Row]]) -> list[str]:
    rows = tables["position"]
    lines = ["## Error of the position", "", "p50 / p95 in metres (p95 in % of the distance).", ""]
    for scene in [name for name in ("upright", "mixed_ages") if name in _values(rows, "scene")]:
        columns = [*DISTANCE_BINS, (2, 30)]
        head = [f"`{scene}`", *(f"{low} to {high} m" for low, high in columns)]
        body = []
        for sensors in _values(rows, "sensors"):
            cells = [
                _position(row)
                for low, high in columns
                for row in rows
                if (row["scene"], row["sensors"], row["from"], row["to"])
                == (scene, sensors, low, high)
            ]
            body.append([sensors, *cells])
        lines += table(head, body)
    whole = [row for row in rows if (row["from"], row["to"]) == (2, 30)]
    lines += ["All distances, by scene:", ""]
    return lines + _crossed(whole, _position)


def _position(row: Row) -> str:
    if not row["count"]:
        return NONE
    return f"{number(row['p50'])} / {number(row['p95'])} ({number(row['p95_percent'], 1)} %)"


def _consistency(tables: dict[str, list[Row]]) -> list[str]:
    text = (
        "Mean NEES of the position (2 is consistent); share of estimates within the 95 % ellipse; "
        "share of runs whose mean is within its 95 % bounds, which are those of correlated errors."
    )

    def cell(row: Row) -> str:
        shares = f"{percent(row['within_95'])}, {percent(row['runs_inside'])}"
        return f"{number(row['nees'], 1)} ({shares})"

    parts = (
        "By part of the state, mean over the scenes: along the line of sight and aside (1 each), "
        "and NEES of the velocity (2). Then the mean of the runs' means, with the 95 % interval of "
        "so many independent runs; how many independent estimates a run is worth; and the shares "
        "of runs inside and above their bounds."
    )
    head = ["sensors", "along", "aside", "velocity", "mean of the runs", "95 %", "worth"]
    body = []
    for row in tables["consistency_of_sets"]:
        own = [one for one in tables["consistency"] if one["sensors"] == row["sensors"]]
        parts_of = ("along", "aside", "velocity_nees")
        means = [mean([one[name] for one in own if one[name] is not None]) for name in parts_of]
        body.append(
            [
                row["sensors"],
                *(number(value, 1) for value in means),
                number(row["nees"], 1),
                f"{number(row['low'], 1)} to {number(row['high'], 1)}",
                number(row["independent"], 1),
                percent(row["runs_inside"]),
                percent(row["runs_above"]),
            ]
        )
    by_set = table([*head, "runs inside", "above"], body)
    by_scene = _crossed(tables["consistency"], cell)
    return ["## Consistency", "", text, "", *by_scene, "", parts, "", *by_set]


def _tracks(tables: dict[str, list[Row]]) -> list[str]:
    text = "GOSPA (cutoff 2 m, p = 2), mean in m; changes of id for each person and minute."

    def cell(row: Row) -> str:
        return f"{number(row['gospa'])}; {number(row['switches_per_minute'], 1)}"

    return ["## Tracks", "", text, "", *_crossed(tables["tracks"], cell)]


def _headings(tables: dict[str, list[Row]]) -> list[str]:
    head = ["sensors", "height", "mean error", "p50", "p95", "claimed", "within 2σ", "NEES (1)"]
    body = [
        [
            row["sensors"],
            f"{row['from']} to {row['to']} px",
            number(row["mean_degrees"], 0, "°"),
            number(row["p50_degrees"], 0, "°"),
            number(row["p95_degrees"], 0, "°"),
            number(row["std_degrees"], 0, "°"),
            percent(row["within_2_sigma"]),
            number(row["nees"], 1),
        ]
        for row in tables["heading"]
        if row["count"] and row["sensors"] in ("camera", "all")
    ]
    return ["## Heading", "", *table(head, body)]


def _postures(tables: dict[str, list[Row]]) -> list[str]:
    head = ["sensors", "height", "posture", "sightings", "right of those told", "UNKNOWN"]
    body = [
        [
            row["sensors"],
            f"{row['from']} to {row['to']} px",
            row["posture"],
            str(row["count"]),
            percent(row["right"]),
            percent(row["UNKNOWN"]),
        ]
        for row in tables["posture"]
        if row["count"] and row["sensors"] in ("camera", "all")
    ]
    return ["## Posture", "", *table(head, body)]


def _wrong_cues(tables: dict[str, list[Row]]) -> list[str]:
    head = ["scene", "sensors", "cue", "wrong", "refused", "right but refused", "placed wrongly"]
    body = [
        [
            f"`{row['scene']}`",
            row["sensors"],
            row["cue"],
            f"{row['wrong']} of {row['sightings']}",
            percent(row["refused"], 1),
            percent(row["right_refused"], 1),
            percent(row["placed_off"], 1),
        ]
        for row in tables["wrong_cues"]
    ]
    text = (
        "Placed wrongly: over 1 m off, and the truth outside of the 2σ (95.45 %) ellipse; share of "
        "all sightings of the scene."
    )
    return ["## Wrong cues", "", text, "", *table(head, body)]


def _times(tables: dict[str, list[Row]]) -> list[str]:
    head = ["sensors", "skeletons", "points", "CPU p50", "CPU p95", "wall p50", "load"]
    body = [
        [
            row["sensors"],
            number(row["skeletons"], 1),
            str(row["points"]),
            number(row["cpu_p50_ms"], 1, " ms"),
            number(row["cpu_p95_ms"], 1, " ms"),
            number(row["wall_p50_ms"], 1, " ms"),
            f"{number(row['load'], 1)} on {row['cores']} cores",
        ]
        for row in tables.get("frame_time", [])
        if row["images"]
    ]
    return ["## Time for one image", "", *table(head, body)] if body else []


def _kitti(tables: dict[str, list[Row]]) -> list[str]:
    head = ["data", "boxes", "sensors", "labels", "matched", "mean", "median", "p95"]
    head += ["mean in %", "position", "in 95 % ellipse", "floor"]
    lines = ["Error of the distance against the labelled boxes, m.", ""]
    for kind in _values(tables["kitti"], "kind"):
        body = [
            [
                row["data"],
                row["boxes"],
                row["sensors"],
                str(row["labels"]),
                percent(row["matched"]),
                number(row["mean_error"]),
                number(row["median_error"]),
                number(row["p95_error"]),
                number(row["mean_error_percent"], 1, " %"),
                number(row["mean_place_error"]),
                percent(row["within_95"]),
                number(row["floor"]),
            ]
            for row in tables["kitti"]
            if row["kind"] == kind
        ]
        lines += [f"## {kind}", "", *table(head, body)]
    published = [[row["method"], number(row["mean_error"])] for row in tables["published"]]
    lines += ["## Published, all pedestrians of the validation split", ""]
    return lines + table(["method", "mean"], published)


def _crossed(rows: Sequence[Row], cell: Callable[[Row], str]) -> list[str]:
    """Return a table with a line for each scene and a column for each set of sensors."""
    sets = _values(rows, "sensors")
    cells = {(row["scene"], row["sensors"]): cell(row) for row in rows}
    body = [
        [f"`{scene}`", *(cells.get((scene, one), NONE) for one in sets)]
        for scene in _values(rows, "scene")
    ]
    return table(["scene", *sets], body)


def _values(rows: Sequence[Row], name: str) -> list[Any]:
    return list(dict.fromkeys(row[name] for row in rows))
