# SPDX-License-Identifier: Apache-2.0
"""Checks the people of a new run against a scenario, and writes the verdict for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.replay.people_comparison import PeopleComparison, PeopleFrameComparison
from hrnet_pose_ros.replay.people_scenario import (
    FractionCondition,
    PeopleScenario,
    PositionCondition,
)
from hrnet_pose_ros.replay.scenario import ContinuityCondition, CountCondition
from hrnet_pose_ros.replay.verdict import Outcome, Verdict, counted, fraction_text, percent_text
from hrnet_pose_ros.replay.verdict_files import frame_lines


def evaluate_people(scenario: PeopleScenario, comparison: PeopleComparison) -> Verdict:
    """Evaluate every condition of the scenario on a comparison."""
    return Verdict(
        [
            _CHECKS[name](name, condition, comparison)
            for name, condition in scenario.conditions().items()
        ]
    )


def write_people_jsonl(
    path: Path, scenario: PeopleScenario, comparison: PeopleComparison, verdict: Verdict
) -> None:
    """Write the conditions, one line per frame of either bag in time order, and the verdict."""
    with path.open("w", encoding="utf-8") as file:
        for line in _lines(scenario, comparison, verdict):
            file.write(json.dumps(line, allow_nan=False) + "\n")


def _position(name: str, condition: PositionCondition, comparison: PeopleComparison) -> Outcome:
    errors, distances = comparison.joined("errors"), comparison.joined("distances")
    if not len(errors):
        return _nobody(name, comparison)
    good = int((errors <= condition.at_most_m + condition.at_most_part * distances).sum())
    part = f" + {percent_text(condition.at_most_part)} of the distance"
    median, high = np.percentile(errors, [50, 95])
    return Outcome(
        name,
        good >= condition.fraction * len(errors),
        f"{fraction_text(good, len(errors))} of the matched persons are within "
        f"{condition.at_most_m:g} m{part if condition.at_most_part else ''}; at least "
        f"{percent_text(condition.fraction)} is required (p50 {median:.3f} m, p95 {high:.3f} m, "
        f"largest {errors.max():.3f} m)",
    )


def _two_sigma(name: str, condition: FractionCondition, comparison: PeopleComparison) -> Outcome:
    inside = comparison.joined("inside")
    if not len(inside):
        return _nobody(name, comparison)
    good = int(inside.sum())
    return Outcome(
        name,
        good >= condition.fraction * len(inside),
        f"{fraction_text(good, len(inside))} of the golden positions lie inside of the 2 sigma "
        f"ellipse; at least {percent_text(condition.fraction)} is required",
    )


def _missed(name: str, condition: CountCondition, comparison: PeopleComparison) -> Outcome:
    if not comparison.frames:
        return _nobody(name, comparison)
    missed = sum(frame.missed for frame in comparison.frames)
    return counted(name, condition, missed, comparison.wanted_persons, "golden persons are missed")


def _extra(name: str, condition: CountCondition, comparison: PeopleComparison) -> Outcome:
    extra = sum(frame.extra for frame in comparison.frames)
    what = "(relative to the golden persons) are extra persons"
    return counted(name, condition, extra, comparison.wanted_persons, what)


def _missing_frames(name: str, condition: CountCondition, comparison: PeopleComparison) -> Outcome:
    missing, total = len(comparison.missing_frames), len(comparison.golden.frames)
    return counted(name, condition, missing, total, "golden frames are missing")


def _extra_frames(name: str, condition: CountCondition, comparison: PeopleComparison) -> Outcome:
    extra, total = len(comparison.extra_frames), len(comparison.golden.frames)
    return counted(
        name, condition, extra, total, "(relative to the golden frames) are extra frames"
    )


def _error_arrays(name: str, condition: CountCondition, comparison: PeopleComparison) -> Outcome:
    errors, total = comparison.new.errors, len(comparison.golden.frames)
    what = "(relative to the golden frames) arrays have the status ERROR"
    return counted(name, condition, errors, total, what)


def _id_continuity(
    name: str, condition: ContinuityCondition, comparison: PeopleComparison
) -> Outcome:
    again = sum(frame.seen_again for frame in comparison.frames)
    kept = sum(frame.kept_ids for frame in comparison.frames)
    if not again:
        return Outcome(name, True, "no person was matched twice", applies=False)
    return Outcome(
        name,
        kept >= condition.fraction * again,
        f"{fraction_text(kept, again)} of the persons seen again keep their id; at least "
        f"{percent_text(condition.fraction)} is required",
    )


_CHECKS: dict[str, Callable[[str, Any, PeopleComparison], Outcome]] = {
    "position": _position,
    "two_sigma": _two_sigma,
    "missed_people": _missed,
    "extra_people": _extra,
    "missing_frames": _missing_frames,
    "extra_frames": _extra_frames,
    "error_arrays": _error_arrays,
    "id_continuity": _id_continuity,
}


def _nobody(name: str, comparison: PeopleComparison) -> Outcome:
    """Outcome without a matched person: a failure only if the golden run has persons."""
    persons = sum(len(frame) for frame in comparison.golden.frames.values())
    summary = f"no persons could be compared; the golden bag has {persons}"
    return Outcome(name, persons == 0, summary, applies=persons > 0)


def _lines(
    scenario: PeopleScenario, comparison: PeopleComparison, verdict: Verdict
) -> Iterator[dict[str, Any]]:
    yield {
        "line": "conditions",
        "scenario": scenario.name,
        "golden": comparison.golden.name,
        "new": comparison.new.name,
        "conditions": {
            name: dataclasses.asdict(condition)  # type: ignore[call-overload]
            for name, condition in scenario.conditions().items()
        },
    }
    yield from frame_lines(comparison, _frame_line)
    yield {
        "line": "verdict",
        "success": verdict.success,
        "outcomes": [
            {"condition": o.name, "outcome": o.word, "summary": o.summary} for o in verdict.outcomes
        ],
        "frames_compared": len(comparison.frames),
        "golden_loss": comparison.golden.loss,
        "new_loss": comparison.new.loss,
    }


def _frame_line(frame: PeopleFrameComparison) -> dict[str, Any]:
    return {
        "line": "frame",
        "stamp": frame.stamp,
        "golden_persons": len(frame.golden),
        "new_persons": len(frame.new),
        "missed": frame.missed,
        "extra": frame.extra,
        "persons": [
            {
                "golden_id": frame.golden.ids[a],
                "new_id": frame.new.ids[b],
                "error_m": round(float(frame.errors[m]), 4),
                "distance_m": round(float(frame.distances[m]), 4),
                "inside_two_sigma": bool(frame.inside[m]),
            }
            for m, (a, b) in enumerate(frame.pairs.tolist())
        ],
    }
