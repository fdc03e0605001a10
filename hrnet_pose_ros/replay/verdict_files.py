# SPDX-License-Identifier: Apache-2.0
"""The verdict for programs: ``result.jsonl`` with one line per frame, and JUnit XML for CI."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hrnet_pose_ros.replay.comparison import Comparison, FrameComparison, RunComparison
from hrnet_pose_ros.replay.people_scenario import PeopleScenario
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.replay.verdict import Verdict

RESULT = "result.jsonl"
JUNIT = "junit.xml"

# Characters that XML 1.0 does not allow, even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_jsonl(path: Path, scenario: Scenario, comparison: Comparison, verdict: Verdict) -> None:
    """Write the conditions, one line per frame of either bag in time order, and the verdict."""
    with path.open("w", encoding="utf-8") as file:
        for line in _lines(scenario, comparison, verdict):
            file.write(json.dumps(line, allow_nan=False) + "\n")


def _lines(
    scenario: Scenario, comparison: Comparison, verdict: Verdict
) -> Iterator[dict[str, Any]]:
    yield {
        "line": "conditions",
        "scenario": scenario.name,
        "golden": comparison.golden.name,
        "new": comparison.new.name,
        "golden_model": comparison.golden.model,
        "new_model": comparison.new.model,
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
        "frames_only_in_golden": len(comparison.missing_frames),
        "frames_only_in_new": len(comparison.extra_frames),
        "golden_loss": comparison.golden.loss,
        "new_loss": comparison.new.loss,
        "golden_repeated_stamps": comparison.golden.repeated,
        "new_repeated_stamps": comparison.new.repeated,
    }


def frame_lines(
    comparison: RunComparison, line_of: Callable[[Any], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The lines of all images in the order of their stamps, also of those in one bag alone."""
    frames = {frame.stamp: line_of(frame) for frame in comparison.frames}
    alone = (("golden", comparison.missing_frames), ("new", comparison.extra_frames))
    for name, stamps in alone:
        frames |= {stamp: {"line": "frame", "stamp": stamp, "only_in": name} for stamp in stamps}
    for _, line in sorted(frames.items()):
        yield line


def _frame_line(frame: FrameComparison) -> dict[str, Any]:
    persons = [
        {
            "golden_id": frame.golden.ids[a],
            "new_id": frame.new.ids[b],
            "oks": _number(frame.oks[m]),
            "person_score_change": _number(frame.person_score_changes[m]),
            "largest_keypoint_score_change": _number(abs(frame.keypoint_score_changes[m]).max()),
        }
        for m, (a, b) in enumerate(frame.pairs.tolist())
    ]
    return {
        "line": "frame",
        "stamp": frame.stamp,
        "golden_persons": len(frame.golden.poses),
        "new_persons": len(frame.new.poses),
        "missed": frame.missed,
        "extra": frame.extra,
        "persons": persons,
        "golden_age_s": _number(frame.golden.age),
        "new_age_s": _number(frame.new.age),
    }


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def write_junit(path: Path, scenario: Scenario | PeopleScenario, verdict: Verdict) -> None:
    """Write one test case per condition; a condition that does not apply is skipped."""
    failures = sum(not outcome.success for outcome in verdict.outcomes)
    skipped = sum(outcome.success and not outcome.applies for outcome in verdict.outcomes)
    counts = {
        "tests": str(len(verdict.outcomes)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
    }
    suite = ElementTree.Element("testsuite", {"name": _xml(f"replay: {scenario.name}"), **counts})
    for outcome in verdict.outcomes:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": _xml(f"replay.{scenario.name}"), "name": outcome.name}
        )
        message = {"message": _xml(outcome.summary)}
        if not outcome.success:
            ElementTree.SubElement(case, "failure", message)
        elif not outcome.applies:
            ElementTree.SubElement(case, "skipped", message)
        else:
            ElementTree.SubElement(case, "system-out").text = _xml(outcome.summary)
    suites = ElementTree.Element("testsuites", counts)
    suites.append(suite)
    ElementTree.indent(suites)
    ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def _xml(text: str) -> str:
    return _NOT_XML.sub("�", text)
