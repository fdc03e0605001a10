# SPDX-License-Identifier: Apache-2.0
"""The verdict on many runs together is that on one run with all of their frames."""

from __future__ import annotations

import dataclasses

import golden_run
import pytest
from golden_run import FRAMES, STEP, changed, joint_scores_changed, moved, without_person

from hrnet_pose_ros.replay.answers import Answers, SkeletonFrame
from hrnet_pose_ros.replay.comparison import compare
from hrnet_pose_ros.replay.pooled_verdict import PooledVerdict
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.replay.verdict import Verdict, evaluate_scenario

GOLDEN = golden_run.golden_run()
SCENARIO = Scenario.of(
    {
        "name": "all",
        "oks": {"at_least": 0.9, "fraction": 0.9},
        "missed_skeletons": {"fraction": 0.02},
        "extra_skeletons": {"count": 0},
        "missing_frames": {"count": 0},
        "extra_frames": {"fraction": 0.5},
        "id_continuity": {"fraction": 0.9},
        "person_score_change": {"at_most": 0.1, "fraction": 0.9},
        "keypoint_score_change": {"at_most": 0.1, "fraction": 0.9},
    }
)


def later(run: Answers, steps: int) -> Answers:
    """The same run at another time, with other ids: people of another recording."""

    def moved_on(frame: SkeletonFrame) -> SkeletonFrame:
        ids = tuple(f"{steps}:{one}" for one in frame.ids)
        return dataclasses.replace(frame, stamp=frame.stamp + steps * STEP, ids=ids)

    frames = {frame.stamp: frame for frame in map(moved_on, run.frames.values())}
    return dataclasses.replace(run, frames=frames)


def together(runs: list[Answers]) -> Answers:
    frames = {stamp: frame for run in runs for stamp, frame in run.frames.items()}
    return dataclasses.replace(runs[0], frames=frames)


def pooled(goldens: list[Answers], news: list[Answers], scenario: Scenario) -> Verdict:
    verdict = PooledVerdict(scenario)
    for golden, new in zip(goldens, news, strict=True):
        verdict.add(evaluate_scenario(scenario, compare(golden, new)))
    return verdict.verdict()


def test_pooled_as_one_run() -> None:
    goldens = [later(GOLDEN, 1000 * number) for number in range(4)]
    news = [
        goldens[0],
        changed(goldens[1], lambda f: moved(f, 40), every=2),
        changed(goldens[2], lambda f: without_person(f, 1), every=3),
        changed(goldens[3], lambda f: joint_scores_changed(f, 0.2), every=5),
    ]
    news[3] = changed(news[3], lambda f: None, every=10)
    of_one = evaluate_scenario(SCENARIO, compare(together(goldens), together(news)))
    of_all = pooled(goldens, news, SCENARIO)
    assert [(o.name, o.success, o.count, o.total) for o in of_all.outcomes] == [
        (o.name, o.success, o.count, o.total) for o in of_one.outcomes
    ]
    failed = {o.name for o in of_all.outcomes if not o.success}
    assert failed == {"oks", "missed_skeletons", "missing_frames"}
    for a, b in zip(of_all.outcomes, of_one.outcomes, strict=True):
        assert a.summary == b.summary.partition(" (lowest")[0].partition(" (mean change")[0]


def test_a_run_in_which_nothing_could_be_compared_counts_against() -> None:
    """Its persons are all missed, and none of them is similar."""
    goldens = [later(GOLDEN, 1000 * number) for number in range(2)]
    news = [goldens[0], later(GOLDEN, 5000)]
    outcomes = {one.name: one for one in pooled(goldens, news, SCENARIO).outcomes}
    persons = sum(len(frame.ids) for frame in GOLDEN.frames.values())
    assert (outcomes["oks"].count, outcomes["oks"].total) == (persons, 2 * persons)
    assert (outcomes["missed_skeletons"].count) == persons
    assert outcomes["missing_frames"].count == FRAMES
    assert not outcomes["oks"].success


@pytest.mark.parametrize(("required", "success"), [(False, True), (True, False)])
def test_what_is_not_recorded(required: bool, success: bool) -> None:
    scenario = Scenario.of({"name": "a", "drop_fraction": {"fraction": 0.1, "required": required}})
    bare = dataclasses.replace(GOLDEN, statuses=[])
    [outcome] = pooled([GOLDEN, GOLDEN], [bare, bare], scenario).outcomes
    assert (outcome.success, outcome.applies) == (success, False)


def test_conditions_that_every_run_has_to_meet() -> None:
    scenario = Scenario.of({"name": "a", "age_p95": {"at_most_s": 0.06}})
    old = changed(GOLDEN, lambda frame: dataclasses.replace(frame, age=0.2))
    assert pooled([GOLDEN] * 2, [GOLDEN] * 2, scenario).success
    [outcome] = pooled([GOLDEN] * 2, [GOLDEN, old], scenario).outcomes
    assert (outcome.success, outcome.count, outcome.total) == (False, 1, 2)


def test_nothing_at_all() -> None:
    assert PooledVerdict(SCENARIO).verdict().success
