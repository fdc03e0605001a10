# SPDX-License-Identifier: Apache-2.0
"""Each condition holds for a run against itself and can fail; result.jsonl and JUnit XML."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import golden_run
import numpy as np
import pytest
from golden_run import (
    START,
    STEP,
    changed,
    input_status,
    joint_scores_changed,
    moved,
    poses_with,
    without_person,
)

from hrnet_pose_ros.replay.answers import Answers, SkeletonFrame
from hrnet_pose_ros.replay.comparison import compare
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.replay.verdict import Outcome, Verdict, evaluate_scenario
from hrnet_pose_ros.replay.verdict_files import write_jsonl, write_junit

STRICT = {
    "name": "strict <&>",
    "oks": {"at_least": 0.95, "fraction": 0.99},
    "missed_skeletons": {"count": 0},
    "extra_skeletons": {"fraction": 0},
    "missing_frames": {"count": 0},
    "extra_frames": {"count": 0},
    "id_continuity": {"fraction": 1},
    "person_score_change": {"at_most": 0.01, "fraction": 1},
    "keypoint_score_change": {"at_most": 0.01, "fraction": 1},
    "age_p95": {"at_most_s": 0.1, "required": True},
    "drop_fraction": {"fraction": 0.1, "required": True},
    "diagnostics": {"at_most": "warn", "required": True},
}
GOLDEN = golden_run.golden_run()


def outcomes(new: Answers, scenario: dict | None = None, golden: Answers = GOLDEN) -> Verdict:
    return evaluate_scenario(Scenario.of(scenario or STRICT), compare(golden, new))


def failed(verdict: Verdict) -> set[str]:
    return {outcome.name for outcome in verdict.outcomes if not outcome.success}


def with_statuses(*statuses) -> Answers:
    return dataclasses.replace(GOLDEN, statuses=list(statuses))


def frame_with(**values) -> Callable[[SkeletonFrame], SkeletonFrame]:
    return lambda frame: dataclasses.replace(frame, **values)


def one_joint_not_valid(frame: SkeletonFrame) -> SkeletonFrame:
    keypoints = frame.poses.keypoints.copy()
    keypoints[0, 5] = np.nan
    valid = np.isfinite(keypoints).all(axis=2)
    scores = np.where(valid, frame.poses.scores, 0)
    poses = poses_with(frame.poses, keypoints=keypoints, valid=valid, scores=scores)
    return dataclasses.replace(frame, poses=poses)


def test_identity_passes() -> None:
    verdict = outcomes(GOLDEN)
    assert verdict.success
    assert {outcome.word for outcome in verdict.outcomes} == {"pass"}
    assert [outcome.name for outcome in verdict.outcomes] == list(STRICT)[1:]


MUTATIONS: list[tuple[Answers, set[str], str]] = [
    (changed(GOLDEN, lambda f: moved(f, 30), every=10), {"oks"}, r"54 of 60 \(90 %\).*99 %"),
    (
        changed(GOLDEN, one_joint_not_valid, every=1),
        {"oks", "keypoint_score_change"},
        r"40 of 60 .*at least 0.95",
    ),
    (
        changed(GOLDEN, lambda f: without_person(f, 1), every=10),
        {"missed_skeletons"},
        r"2 of 60 .*allowed: at most 0",
    ),
    (changed(GOLDEN, lambda f: None, every=10), {"missing_frames"}, r"2 of 20 .*at most 0"),
    (
        changed(GOLDEN, frame_with(ids=("1", "3", "2")), every=10),
        # 57 seen again; the swaps at the frames 0 and 10: two persons each, going and coming back
        {"id_continuity"},
        r"51 of 57 .*at least 100 %",
    ),
    (
        changed(GOLDEN, frame_with(person_scores=np.full(3, 0.5)), every=10),
        {"person_score_change"},
        r"54 of 60 .*at most 0.01",
    ),
    (
        changed(GOLDEN, frame_with(person_scores=np.full(3, math.nan)), every=10),
        {"person_score_change"},
        r"54 of 60",
    ),
    (
        changed(GOLDEN, lambda f: joint_scores_changed(f, -0.02), every=10),
        {"keypoint_score_change"},
        r"918 of 1020 .*at most 0.01",
    ),
    (changed(GOLDEN, frame_with(age=0.2), every=10), {"age_p95"}, r"0.2000 s .*0.1 s"),
    (changed(GOLDEN, frame_with(age=math.nan)), {"age_p95"}, "no ages .*required"),
    (with_statuses(input_status(100, 11)), {"drop_fraction"}, r"11 of 100 \(11 %\).*10 %"),
    # 50 images before a restart and 50 after it
    (
        with_statuses(input_status(50, 11), input_status(20), input_status(50)),
        {"drop_fraction"},
        r"11 of 100",
    ),
    (with_statuses(), {"drop_fraction", "diagnostics"}, "no drops .*required"),
    (
        with_statuses(input_status(100), input_status(100, level=2, text="camera clock differs")),
        {"diagnostics"},
        r"is error; at most warn.*camera clock differs",
    ),
]


@pytest.mark.parametrize(("new", "expected", "words"), MUTATIONS)
def test_each_condition_can_fail(new: Answers, expected: set[str], words: str) -> None:
    verdict = outcomes(new)
    assert failed(verdict) == expected
    assert not verdict.success
    first = next(outcome for outcome in verdict.outcomes if not outcome.success)
    assert re.search(words, first.summary), first.summary


def test_extra_persons_and_frames_fail() -> None:
    fewer = changed(GOLDEN, lambda f: without_person(f, 0), every=10)
    verdict = outcomes(GOLDEN, golden=fewer)
    assert failed(verdict) == {"extra_skeletons"}
    verdict = outcomes(GOLDEN, golden=changed(GOLDEN, lambda f: None, every=10))
    assert failed(verdict) == {"extra_frames"}


def test_every_condition_was_seen_failing() -> None:
    seen = set().union(*(expected for _, expected, _ in MUTATIONS))
    assert seen | {"extra_skeletons", "extra_frames"} == set(STRICT) - {"name"}


@pytest.mark.parametrize(
    ("limits", "success"),
    [
        ({"count": 2}, True),
        ({"count": 1}, False),
        ({"fraction": 0.034}, True),  # 2 of 60: 0.0333
        ({"fraction": 0.033}, False),
        ({"count": 2, "fraction": 0.033}, False),  # both have to hold
    ],
)
def test_counts_and_shares(limits: dict, success: bool) -> None:
    new = changed(GOLDEN, lambda f: without_person(f, 1), every=10)
    assert outcomes(new, {"name": "x", "missed_skeletons": limits}).success is success


def test_what_was_not_recorded_does_not_apply() -> None:
    new = changed(with_statuses(), frame_with(age=math.nan))
    scenario = {
        "name": "x",
        "age_p95": {"at_most_s": 0.1},
        "drop_fraction": {"fraction": 0.1},
        "diagnostics": {"at_most": "ok"},
    }
    verdict = outcomes(new, scenario)
    assert verdict.success
    assert {outcome.word for outcome in verdict.outcomes} == {"not applicable"}


def test_a_run_without_a_common_frame_fails_what_it_cannot_show() -> None:
    new = changed(GOLDEN, lambda f: dataclasses.replace(f, stamp=f.stamp + 1))
    verdict = outcomes(new)
    assert {"oks", "missed_skeletons", "missing_frames", "id_continuity"} <= failed(verdict)
    assert {"person_score_change", "keypoint_score_change"} <= failed(verdict)


def test_an_empty_road_passes() -> None:
    nobody = changed(GOLDEN, lambda f: golden_run.selected(f, np.zeros(0, np.int64)))
    verdict = outcomes(nobody, golden=nobody)
    assert verdict.success
    assert next(o for o in verdict.outcomes if o.name == "oks").word == "not applicable"


def test_jsonl(tmp_path: Path) -> None:
    new = changed(GOLDEN, lambda f: without_person(f, 1), every=10)
    del new.frames[START + STEP]
    scenario, comparison = Scenario.of(STRICT), compare(GOLDEN, new)
    path = tmp_path / "result.jsonl"
    write_jsonl(path, scenario, comparison, evaluate_scenario(scenario, comparison))
    first, *frames, last = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["line"] == "conditions"
    assert first["conditions"]["oks"] == {"at_least": 0.95, "fraction": 0.99}
    assert [frame["stamp"] for frame in frames] == list(GOLDEN.frames)
    assert frames[0]["missed"] == 1
    assert [person["oks"] for person in frames[0]["persons"]] == [1.0, 1.0]
    assert frames[1] == {"line": "frame", "stamp": START + STEP, "only_in": "golden"}
    assert last["line"] == "verdict"
    assert last["success"] is False
    assert {o["condition"] for o in last["outcomes"] if o["outcome"] == "fail"} == {
        "missed_skeletons",
        "missing_frames",
    }


def test_junit(tmp_path: Path) -> None:
    verdict = Verdict(
        [
            Outcome("oks", True, "fine"),
            Outcome("age_p95", True, "not there", applies=False),
            Outcome("drop_fraction", False, "not there, \x00 required <&>", applies=False),
        ]
    )
    path = tmp_path / "junit.xml"
    write_junit(path, Scenario.of(STRICT), verdict)
    suite = ElementTree.parse(path).getroot().find("testsuite")
    assert suite is not None
    counts = {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")}
    assert counts == {"tests": "3", "failures": "1", "skipped": "1", "errors": "0"}
    assert [case.get("name") for case in suite] == ["oks", "age_p95", "drop_fraction"]
    failure = suite.find("testcase[@name='drop_fraction']/failure")
    assert failure is not None
    assert "required <&>" in failure.get("message", "")
