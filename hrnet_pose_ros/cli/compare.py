# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose compare``: the replay test."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_pose_ros.cli.arguments import Verbs

if TYPE_CHECKING:
    from hrnet_pose_ros.replay.people_scenario import PeopleScenario
    from hrnet_pose_ros.replay.scenario import Scenario
    from hrnet_pose_ros.replay.verdict import Verdict

PASS, FAIL = 0, 1


def add_compare(verbs: Verbs) -> None:
    """``hrnet_pose compare GOLDEN_BAG NEW_BAG --scenario SCENARIO.yaml``"""
    parser = verbs.add_parser(
        "compare",
        help="judge the skeletons or people of a bag by those of a golden bag",
        description="Compare the skeletons of two bags frame by frame and judge them by a "
        "scenario. Writes result.jsonl, junit.xml and report.html. A scenario with 'of: people' "
        "compares people, also with the truth of a simulation. Exit code: 0 pass, 1 fail, 2 bad "
        "input.",
    )
    parser.add_argument("golden", type=Path, metavar="GOLDEN_BAG")
    parser.add_argument("new", type=Path, metavar="NEW_BAG")
    parser.add_argument("--scenario", type=Path, required=True, metavar="SCENARIO.yaml")
    parser.add_argument("-o", "--output", type=Path, default=Path("comparison"), metavar="FOLDER")
    parser.add_argument(
        "--images", type=Path, metavar="BAG", help="images to draw the worst frames into"
    )
    parser.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> int:
    from hrnet_pose_ros.replay.people_scenario import PeopleScenario, read_any_scenario

    scenario = read_any_scenario(options.scenario)
    if isinstance(scenario, PeopleScenario):
        return _compare_people(options, scenario)
    return _compare_skeletons(options, scenario)


def _compare_skeletons(options: argparse.Namespace, scenario: Scenario) -> int:
    from hrnet_pose_ros.replay.answers import read_answers
    from hrnet_pose_ros.replay.comparison import compare
    from hrnet_pose_ros.replay.html_report import REPORT, write_report
    from hrnet_pose_ros.replay.time_plots import why_no_plots
    from hrnet_pose_ros.replay.verdict import evaluate_scenario
    from hrnet_pose_ros.replay.verdict_files import JUNIT, RESULT, write_jsonl, write_junit
    from hrnet_pose_ros.replay.worst_frames import draw_worst_frame, images_of, worst_frames

    golden = read_answers(options.golden, scenario.topic)
    if not golden.frames:
        raise ValueError(f"{options.golden} has no skeletons to compare with: record it again")
    new = read_answers(options.new, scenario.topic)

    for answers in (golden, new):
        if answers.loss:
            print(f"{answers.name} is not whole: {answers.loss}", file=sys.stderr)

    comparison = compare(golden, new)
    verdict = evaluate_scenario(scenario, comparison)
    worst = worst_frames(comparison)
    images = images_of(options.images, worst) if options.images else {}

    options.output.mkdir(parents=True, exist_ok=True)
    write_jsonl(options.output / RESULT, scenario, comparison, verdict)
    write_junit(options.output / JUNIT, scenario, verdict)
    pictures = [draw_worst_frame(frame, images.get(frame.stamp)) for frame in worst]
    write_report(options.output / REPORT, scenario, comparison, verdict, pictures)
    if missing := why_no_plots():
        print(f"{options.output / REPORT} has {missing}", file=sys.stderr)

    return print_verdict(verdict, scenario.name, options.output / REPORT)


def _compare_people(options: argparse.Namespace, scenario: PeopleScenario) -> int:
    from hrnet_pose_ros.replay.people_answers import read_people
    from hrnet_pose_ros.replay.people_comparison import compare_people
    from hrnet_pose_ros.replay.people_verdict import evaluate_people, write_people_jsonl
    from hrnet_pose_ros.replay.verdict_files import JUNIT, RESULT, write_junit

    golden = read_people(options.golden, scenario.golden_topic)
    if not golden.frames:
        raise ValueError(f"{options.golden} has no people to compare with")
    new = read_people(options.new, scenario.topic)
    for answers in (golden, new):
        if answers.loss:
            print(f"{answers.name} is not whole: {answers.loss}", file=sys.stderr)
    comparison = compare_people(
        golden, new, within=scenario.match_within_m, within_part=scenario.match_within_part
    )
    verdict = evaluate_people(scenario, comparison)
    options.output.mkdir(parents=True, exist_ok=True)
    write_people_jsonl(options.output / RESULT, scenario, comparison, verdict)
    write_junit(options.output / JUNIT, scenario, verdict)
    return print_verdict(verdict, scenario.name, options.output / RESULT)


def print_verdict(verdict: Verdict, what: str, file: Path) -> int:
    """Print a verdict on something, and the file that has the details; return the exit code."""
    for outcome in verdict.outcomes:
        print(f"{outcome.word}: {outcome.name}: {outcome.summary}")
    word = "pass" if verdict.success else "fail"
    print(f"{word}: {what}; see {file}")
    return PASS if verdict.success else FAIL
