# SPDX-License-Identifier: Apache-2.0
"""The tables of the report, from what the runs gave: plain values that go into report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.person import Posture
from hrnet_pose_ros.fusion_report.consistency import (
    ErrorCorrelation,
    RunConsistency,
    mean_of_runs,
    run_consistency,
)
from hrnet_pose_ros.fusion_report.metrics import mean, quantiles, share
from hrnet_pose_ros.fusion_report.runs import CUES, DISAGREED, DOUBTED, USED, FusedRun
from hrnet_pose_ros.fusion_report.scenes import SCENES

DISTANCE_BINS = ((2, 5), (5, 10), (10, 15), (15, 20), (20, 30))  # m
HEIGHT_BINS = ((40, 60), (60, 100), (100, 200), (200, 2000))  # px
# The quantiles of chi-square with 2 degrees of freedom: 95 %, and 2 sigma (95.45 %).
CHI2_95, CHI2_2_SIGMA = 5.991, 6.180
# A cue is wrong if it is off by more than this, m, and by more of its own standard deviations.
WRONG_BY, WRONG_STDS = 0.75, 3.0
FAR_OFF = 1.0  # m

# Runs by scene and set of sensors.
Runs = Mapping[tuple[str, str], Sequence[FusedRun]]
Table = list[dict[str, Any]]


def all_tables(runs: Runs) -> dict[str, Table]:
    """Return every table by name."""
    sets = list(dict.fromkeys(name for _, name in runs))
    found = {one: run_consistencies(runs, one) for one in sets}
    scenes = list(dict.fromkeys(scene for scene, _ in runs))
    return {
        "position": [row for scene in scenes for one in sets for row in position(runs, scene, one)],
        "consistency": [
            consistency(runs, scene, one, found[one]) for scene in scenes for one in sets
        ],
        "consistency_of_sets": [consistency_of_set(one, found[one]) for one in sets],
        "tracks": [tracks(runs, scene, one) for scene in scenes for one in sets],
        "heading": [row for one in sets for row in heading(_joined(runs, scenes, one), one)],
        "posture": [row for one in sets for row in posture(_joined(runs, scenes, one), one)],
        "wrong_cues": [
            row for scene in scenes for one in sets for row in wrong_cues(runs, scene, one)
        ],
    }


def position(runs: Runs, scene: str, sensors: str) -> Table:
    """Return the errors of the position by distance: absolute, and in per cent of the distance."""
    rows = _joined(runs, [scene], sensors)
    table = []
    for low, high in (*DISTANCE_BINS, (2, 8), (2, 20), (2, 30)):
        some = rows[(rows["distance"] >= low) & (rows["distance"] < high)]
        p50, p95 = quantiles(some["error"], 0.5, 0.95)
        relative = quantiles(100 * some["error"] / some["distance"], 0.5, 0.95)
        along = quantiles(np.abs(some["along"]), 0.95)
        aside = quantiles(np.abs(some["aside"]), 0.95)
        table.append(
            {
                "scene": scene,
                "sensors": sensors,
                "from": low,
                "to": high,
                "count": len(some),
                "p50": p50,
                "p95": p95,
                "p50_percent": relative[0],
                "p95_percent": relative[1],
                "along_p95": along[0],
                "aside_p95": aside[0],
            }
        )
    return table


def consistency(
    runs: Runs, scene: str, sensors: str, found: Mapping[str, Sequence[RunConsistency]]
) -> dict[str, Any]:
    """Return NEES of the position: 2 in the mean if covariances are as large as errors.

    Its parts along the line of sight and aside are 1 each; NEES of the velocity is 2. ``found`` is
    what `run_consistencies` returns for these sensors.
    """
    rows = _joined(runs, [scene], sensors)
    along, aside = (rows["whitened"] ** 2).mean(axis=0).tolist() if len(rows) else (None, None)
    return {
        "scene": scene,
        "sensors": sensors,
        "runs": len(runs[scene, sensors]),
        "nees": mean(rows["nees"]),
        "nees_median": quantiles(rows["nees"], 0.5)[0],
        "within_95": share(rows["nees"] <= CHI2_95),
        "along": along,
        "aside": aside,
        "velocity_nees": mean(rows["velocity_nees"]),
        "runs_inside": share(np.array([one.inside for one in found[scene]], bool)),
    }


def consistency_of_set(
    sensors: str, found: Mapping[str, Sequence[RunConsistency]]
) -> dict[str, Any]:
    """Return the consistency of all runs with a set of sensors together.

    The runs are independent. So the mean of their means has the confidence interval that their
    spread gives, and it contains 2 if covariances are right on average.
    """
    own = [run for some in found.values() for run in some]
    low = high = middle = None
    if own:
        middle, low, high = mean_of_runs(np.array([one.nees for one in own]))
    return {
        "sensors": sensors,
        "runs": len(own),
        "nees": middle,
        "low": low,
        "high": high,
        "independent": mean(np.array([one.independent for one in own])),
        "runs_inside": share(np.array([one.inside for one in own], bool)),
        "runs_above": share(np.array([one.nees > one.high for one in own], bool)),
    }


def run_consistencies(runs: Runs, sensors: str) -> dict[str, list[RunConsistency]]:
    """Return the consistency of the runs that have sightings, by scene, for a set of sensors.

    Their bounds are those of errors as correlated as in all of these runs.
    """
    own = {scene: some for (scene, name), some in runs.items() if name == sensors}
    correlation = ErrorCorrelation.of([run.sightings for some in own.values() for run in some])
    return {
        scene: [
            found
            for run in some
            if (found := run_consistency(run.sightings, correlation)) is not None
        ]
        for scene, some in own.items()
    }


def tracks(runs: Runs, scene: str, sensors: str) -> dict[str, Any]:
    """Return GOSPA and how often a person's id changes."""
    rows = _joined(runs, [scene], sensors)
    parts = np.concatenate([run.gospa for run in runs[scene, sensors]])
    minutes = sum(
        np.ptp(run.sightings["time"][run.sightings["person"] == person]) / 60
        for run in runs[scene, sensors]
        for person in np.unique(run.sightings["person"])
    )
    squares = parts[:, 1:].mean(axis=0) if len(parts) else np.full(3, np.nan)
    return {
        "scene": scene,
        "sensors": sensors,
        "images": len(parts),
        "gospa": mean(parts[:, 0]),
        "located": mean(squares[:1]),
        "missed": mean(squares[1:2]),
        "false": mean(squares[2:]),
        "switches": int(rows["switched"].sum()),
        "switches_per_minute": float(rows["switched"].sum() / minutes) if minutes else None,
    }


def heading(rows: np.ndarray, sensors: str) -> Table:
    """Return the errors of the heading by height in pixels, and whether its variance is honest."""
    table = []
    for low, high in HEIGHT_BINS:
        some = rows[(rows["height_px"] >= low) & (rows["height_px"] < high)]
        known = some[np.isfinite(some["heading_error"] + some["heading_variance"])]
        error = np.abs(known["heading_error"])
        table.append(
            {
                "sensors": sensors,
                "from": low,
                "to": high,
                "count": len(some),
                "known": share(np.isfinite(some["heading_error"])),
                "mean_degrees": mean(np.rad2deg(error)),
                "p50_degrees": quantiles(np.rad2deg(error), 0.5)[0],
                "p95_degrees": quantiles(np.rad2deg(error), 0.95)[0],
                "within_2_sigma": share(error <= 2 * np.sqrt(known["heading_variance"])),
                "nees": mean(error**2 / known["heading_variance"]),
                "std_degrees": mean(np.rad2deg(np.sqrt(known["heading_variance"]))),
            }
        )
    return table


def posture(rows: np.ndarray, sensors: str) -> Table:
    """Return the share of right postures by height in pixels and true posture."""
    table = []
    for low, high in HEIGHT_BINS:
        for true in (Posture.UPRIGHT, Posture.SITTING, Posture.CROUCHING, Posture.LYING):
            some = rows[(rows["height_px"] >= low) & (rows["height_px"] < high)]
            some = some[some["posture_true"] == true]
            told = some["posture"][some["posture"] != Posture.UNKNOWN]
            table.append(
                {
                    "sensors": sensors,
                    "from": low,
                    "to": high,
                    "posture": true.name,
                    "count": len(some),
                    "known": share(some["posture"] != Posture.UNKNOWN),
                    "right": share(told == true),
                    **{one.name: share(some["posture"] == one) for one in Posture},
                }
            )
    return table


def wrong_cues(runs: Runs, scene: str, sensors: str) -> Table:
    """Return how often wrong cues were refused, and how often a person was placed wrongly.

    A cue is wrong that answers with a range off by more than 0.75 m and three of its standard
    deviations, or that finds returns of which it doubts by itself that they are the person's.
    """
    rows = _joined(runs, [scene], sensors)
    off = (rows["error"] > FAR_OFF) & (rows["nees"] > CHI2_2_SIGMA)
    table = []
    for name in SCENES[scene].wrong:
        k = CUES.index(name)
        measured, std = rows["range"][:, k], rows["range_std"][:, k]
        outcome = rows["outcome"][:, k]
        apart = np.abs(measured - rows["distance"])
        # In inverse range, in which a cue's error is normal.
        stds = np.abs(1 / measured - 1 / rows["distance"]) / (std / measured**2)
        wrong = (apart > WRONG_BY) & (stds > WRONG_STDS)
        doubted = outcome == DOUBTED
        refused = doubted | (wrong & (outcome == DISAGREED))
        asked = doubted | wrong
        if not np.isfinite(measured).any() and not doubted.any():
            continue
        right = np.isfinite(measured) & ~wrong
        table.append(
            {
                "scene": scene,
                "sensors": sensors,
                "cue": name,
                "sightings": len(rows),
                "wrong": int(asked.sum()),
                "refused": share(refused[asked]),
                "right_refused": share((outcome == DISAGREED)[right]),
                "used": int((outcome == USED).sum()),
                "placed_off": share(off),
            }
        )
    return table


def _joined(runs: Runs, scenes: Sequence[str], sensors: str) -> np.ndarray:
    return np.concatenate([run.sightings for one in scenes for run in runs[one, sensors]])
