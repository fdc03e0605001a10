# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.replay.people_answers import PeopleAnswers, PeopleFrame
from hrnet_pose_ros.replay.people_comparison import PeopleComparison, compare_people
from hrnet_pose_ros.replay.people_scenario import PeopleScenario, read_any_scenario
from hrnet_pose_ros.replay.people_verdict import evaluate_people
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.yaml_config import ConfigError


def frame(
    stamp: int,
    people: dict[str, tuple[float, float]],
    indices: list[int] | None = None,
    existence: list[float] | None = None,
    sigma: float = 0.1,
) -> PeopleFrame:
    n = len(people)
    return PeopleFrame(
        stamp=stamp,
        ids=tuple(people),
        indices=np.array(list(range(n)) if indices is None else indices, np.int64),
        positions=np.array(list(people.values()), np.float64).reshape(-1, 2),
        covariances=np.tile(sigma**2 * np.eye(2), (n, 1, 1)),
        existence=np.array([1.0] * n if existence is None else existence),
        status=0,
    )


def compared(
    golden: list[PeopleFrame], new: list[PeopleFrame], within: float = 1.0
) -> PeopleComparison:
    one, other = (PeopleAnswers("x", "/p", {f.stamp: f for f in run}) for run in (golden, new))
    return compare_people(one, other, within=within, within_part=0.0)


def test_matched_by_skeleton_then_by_distance() -> None:
    golden = frame(0, {"a": (5, 0), "b": (5, 0.4), "c": (9, 0)}, [0, 1, 2])
    new = frame(0, {"1": (5, 0.4), "2": (5, 0), "3": (20, 0)}, [0, 1, 2])
    [one] = compared([golden], [new]).frames
    # Each is nearer to the other one's estimate, but the skeleton says who is who.
    assert one.pairs.tolist() == [[0, 0], [1, 1]]
    assert one.errors.tolist() == pytest.approx([0.4, 0.4])
    assert (one.missed, one.extra) == (1, 1)
    assert one.inside.tolist() == [False, False]  # four standard deviations


def test_nobody_without_a_skeleton_has_to_be_found() -> None:
    golden = frame(0, {"a": (5, 0), "out": (-5, 0), "doubt": (8, 0)}, [0, -1, 2], [1, 0, 0.3])
    new = frame(0, {"1": (5.1, 0), "2": (-5, 0.2)}, [0, -1])
    [one] = compared([golden], [new]).frames
    assert one.pairs.tolist() == [[0, 0], [1, 1]]
    assert (one.missed, one.extra) == (0, 0)


def test_an_id_switch_and_the_verdict(tmp_path: Path) -> None:
    golden = [frame(t, {"a": (5, 0), "b": (5, 3)}) for t in range(4)]
    names = [("1", "2"), ("1", "2"), ("2", "1"), ("2", "1")]
    new = [frame(t, {n: (5, 0.05), m: (5, 3)}) for t, (n, m) in enumerate(names)]
    comparison = compared(golden, [*new, frame(9, {})])
    file = tmp_path / "scenario.yaml"
    file.write_text(
        "name: s\nof: people\nposition: {at_most_m: 0.04, fraction: 0.5}\n"
        "two_sigma: {fraction: 1}\nid_continuity: {fraction: 0.7}\nextra_frames: {count: 0}\n"
        "missed_people: {count: 0}\n"
    )
    scenario = read_any_scenario(file)
    assert isinstance(scenario, PeopleScenario)
    words = {one.name: one.word for one in evaluate_people(scenario, comparison).outcomes}
    assert words == {
        "position": "pass",
        "two_sigma": "pass",
        "id_continuity": "fail",  # 4 of 6
        "extra_frames": "fail",
        "missed_people": "pass",
    }


def test_scenarios_that_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    for text, error in (
        ("name: s\nof: people\n", "there is no condition; set at least one of position"),
        ("name: s\nof: people\npositon: {fraction: 1}\n", "unknown key 'positon'"),
        ("name: s\nof: people\nmatch_within_m: 0\nextra_people: {count: 1}\n", "match_within_m"),
        ("name: s\nof: people\nposition: {at_most_m: -1, fraction: 1}\n", "at_most_m"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=error):
            read_any_scenario(file)
    file.write_text("name: s\nextra_frames: {count: 0}\n")
    assert isinstance(read_any_scenario(file), Scenario)


def test_people_of_two_frames_are_not_compared() -> None:
    golden = PeopleAnswers("golden", "/people", {}, frame_id="base_link")
    new = PeopleAnswers("new", "/people", {}, frame_id="imu_link")
    with pytest.raises(ValueError, match="golden are in the frame 'base_link', those of new"):
        compare_people(golden, new, within=1.0, within_part=0.0)
    assert not compare_people(golden, golden, within=1.0, within_part=0.0).frames
