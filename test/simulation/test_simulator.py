# SPDX-License-Identifier: Apache-2.0
"""Whole simulations: repeatable, with the truth, from scenarios that are checked."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulated_scenes import exact_scenario

from hrnet_pose_ros.simulation.body import BodyShape, bone_lengths
from hrnet_pose_ros.simulation.scenario import (
    SimulationScenario,
    bundled_scenarios,
    find_scenario,
    read_simulation,
    scenario_of,
)
from hrnet_pose_ros.simulation.scene import OBSTACLE, SimulatedScene
from hrnet_pose_ros.simulation.scene_configs import (
    CrowdConfig,
    ObstacleConfig,
    PersonConfig,
    StepConfig,
)
from hrnet_pose_ros.simulation.sensor_configs import SENSORS
from hrnet_pose_ros.simulation.simulator import Simulator, with_changes
from hrnet_pose_ros.simulation.truth import Truth, facing_of
from hrnet_pose_ros.simulation.truth_messages import read_truth, truth_line
from hrnet_pose_ros.simulation.walker import Walker
from hrnet_pose_ros.yaml_config import ConfigError

INFINITE = float("inf")


def truth_of(scenario: SimulationScenario, image: int = 3) -> Truth:
    simulator = Simulator(scenario)
    event = list(simulator.sensors["camera"].events())[image]
    return simulator.truth(event)


def test_the_truth_is_in_the_level_base_frame() -> None:
    person = PersonConfig(
        (6.0, -4.0), kind="man", stature=1.8, steps=(StepConfig(walk_to=(6.0, 4.0), speed=1.2),)
    )
    [true] = truth_of(exact_scenario(people=(person,), duration=4.0), image=30).people
    assert true.position[0] == pytest.approx(6.0, abs=1e-6)
    assert true.position[2] == 0.0
    assert true.velocity == pytest.approx([0, 1.2, 0], abs=0.01)
    assert true.heading == pytest.approx(math.pi / 2, abs=0.01)
    assert (true.posture, true.motion, true.gesture) == ("UPRIGHT", "WALKING", 0)
    assert true.facing == "LEFT"
    assert true.stature == 1.8
    assert not true.child
    assert true.visible > 0.8
    assert true.detection_id == "1"
    hips = true.joints[11:13].mean(axis=0)
    assert hips[:2] == pytest.approx(true.position[:2], abs=0.02)


@pytest.mark.parametrize(
    ("step", "posture", "gesture"),
    [
        (StepConfig(stay=9.0, hands="left"), "UPRIGHT", 1),
        (StepConfig(stay=9.0, hands="both"), "UPRIGHT", 3),
        (StepConfig(stay=9.0, posture="sitting", heading=180.0), "SITTING", 0),
        (StepConfig(stay=9.0, posture="lying", heading=90.0), "LYING", 0),
    ],
)
def test_postures_and_gestures(step: StepConfig, posture: str, gesture: int) -> None:
    person = PersonConfig((5.0, 0.0), heading=180.0, steps=(step,))
    [true] = truth_of(exact_scenario(people=(person,))).people
    assert (true.posture, true.gesture) == (posture, gesture)
    assert true.motion == "STATIONARY"
    assert math.isnan(true.heading) == (posture == "LYING")
    # A raised wrist is above its shoulder, and no other is.
    raised = true.joints[[9, 10], 2] > true.joints[[5, 6], 2] + 0.15
    assert raised.tolist() == [bool(gesture & 1), bool(gesture & 2)]


def test_steps_follow_each_other() -> None:
    """Who has stood turned away walks forward, raises a hand only in that step, and then stays."""
    steps = (
        StepConfig(stay=2.0, heading=-90.0, hands="right"),
        StepConfig(walk_to=(3.0, 0.0), speed=1.5),
        StepConfig(stay=1.0, posture="crouching"),
        StepConfig(stay=3.0),
    )
    walker = Walker("one", PersonConfig((0.0, 0.0), steps=steps), BodyShape(1.7), 30.0, 9.0)
    said = {
        time: (round(math.degrees(one.heading)), one.posture, one.motion, one.gesture)
        for time in (1.0, 3.0, 4.5, 8.0)
        for one in [walker.moment(time)]
    }
    assert said == {
        1.0: (-90, "UPRIGHT", "STATIONARY", 2),
        3.0: (0, "UPRIGHT", "WALKING", 0),
        4.5: (0, "CROUCHING", "STATIONARY", 0),
        8.0: (0, "UPRIGHT", "STATIONARY", 0),
    }
    assert walker.moment(8.0).position == pytest.approx([3.0, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("heading", "expected"), [(180, "TOWARDS"), (10, "AWAY"), (90, "LEFT"), (-80, "RIGHT")]
)
def test_facing_is_seen_from_the_camera(heading: float, expected: str) -> None:
    ahead = np.array([1.0, 0.0, 0.0])
    assert facing_of(math.radians(heading), np.array([4.0, 0.0]), ahead) == expected


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(
                lambda x, y, v: StepConfig(walk_to=(x, y), speed=v),
                *(st.floats(-9, 9), st.floats(-9, 9), st.floats(0.3, 4.0)),
            ),
            st.builds(
                lambda t, p, h: StepConfig(stay=t, posture=p, heading=h),
                *(st.floats(0.1, 3), st.sampled_from(("standing", "sitting", "lying"))),
                st.floats(-180, 180),
            ),
        ),
        max_size=4,
    ),
    st.floats(0, 6),
)
@example(  # three speeds, each for a moment
    [
        StepConfig(walk_to=(0.11, 0.0), speed=1.0),
        StepConfig(walk_to=(0.0, 1.5), speed=3.0),
        StepConfig(walk_to=(0.0, 0.0), speed=1.0),
    ],
    0.59375,
)
@example(  # about turn, at a run
    [
        StepConfig(walk_to=(0.0, 1.5), speed=3.0),
        StepConfig(stay=0.125, posture="standing", heading=0.0),
        StepConfig(walk_to=(0.0, 0.0), speed=3.0),
    ],
    0.5625,
)
def test_whatever_people_do_they_stay_whole(steps: list[StepConfig], time: float) -> None:
    walker = Walker("one", PersonConfig((0.0, 0.0), steps=tuple(steps)), BodyShape(1.7), 30.0, 6.0)
    times = time + np.arange(3) * 0.01
    points = walker.points(times)
    assert np.isfinite(points).all()
    for name, lengths in bone_lengths(points).items():
        assert np.ptp(lengths) < 1e-6, name
    assert points[..., 2].min() > -0.10
    assert points[..., 2].max() < 2.3
    assert np.abs(np.diff(points, axis=0)).max() < 0.01 * 16  # nobody moves at 16 m/s
    assert math.isfinite(walker.moment(time).velocity.sum())


def test_sensors_do_not_depend_on_each_other() -> None:
    """With fewer sensors, those that remain measure the same."""
    scenario = exact_scenario(crowd=CrowdConfig(3, (3.0, 9.0, -3.0, 3.0)), duration=0.6)
    every = [e for e in Simulator(scenario).events() if e.sensor in ("camera", "scan")]
    few = list(Simulator(with_changes(scenario, sensors=("camera", "scan"))).events())
    assert [(e.arrival, e.sensor) for e in every] == [(e.arrival, e.sensor) for e in few]
    for one, other in zip(every, few, strict=True):
        if one.sensor == "scan":
            assert (one.value.ranges == other.value.ranges).all()
        else:
            assert (one.value.poses.keypoints == other.value.poses.keypoints).all()


def test_the_seed_makes_the_difference() -> None:
    scenario = exact_scenario(people=(PersonConfig((5.0, 0.0)),))
    statures = [truth_of(with_changes(scenario, seed=seed)).people[0].stature for seed in (1, 1, 2)]
    assert statures[0] == statures[1] != statures[2]


def test_truth_round_trips(tmp_path: Path) -> None:
    lying = PersonConfig((5.0, 0.0), steps=(StepConfig(stay=9.0, posture="lying"),))
    truth = truth_of(exact_scenario(people=(lying, PersonConfig((-5.0, 0.0)))))
    file = tmp_path / "truth.jsonl"
    file.write_text(truth_line(truth) + "\n")
    [again] = read_truth(file)
    assert again.stamp == truth.stamp
    for one, other in zip(truth.people, again.people, strict=True):
        for name, value in vars(one).items():
            if isinstance(value, (float, np.ndarray)):
                assert getattr(other, name) == pytest.approx(value, abs=1e-4, nan_ok=True), name
            else:
                assert getattr(other, name) == value, name
    file.write_text("{}\n")
    with pytest.raises(ValueError, match="line 1 is no truth"):
        read_truth(file)


@pytest.mark.parametrize("name", ["crowd", "drive", "faults", "parked", "wrong_cues"])
def test_bundled_scenarios_begin(name: str) -> None:
    assert name in bundled_scenarios()
    scenario = with_changes(read_simulation(find_scenario(name)), duration=0.2)
    sensors = {event.sensor for event in Simulator(scenario).events()}
    assert {"camera", "imu", "odometry"} <= sensors


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"people": [{"start": [1]}]}, r"people\[0\]: start must be 2 numbers, got \[1.0\]"),
        ({"people": [{"start": [1, 2], "age": 7}]}, "age is for kind child, not for adult"),
        (
            {"people": [{"start": [1, 2], "steps": [{"posture": "sitting"}]}]},
            "either walk_to or stay above 0",
        ),
        ({"people": [{"start": [1, 2], "heading": math.nan}]}, "heading must be a finite number"),
        (
            {"people": [{"start": [1, 2], "steps": [{"stay": 1, "heading": math.inf}]}]},
            r"steps\[0\]: heading must be a finite number, got inf",
        ),
        (
            {"obstacles": [{"kind": "pole", "at": [3, 0], "size": [0.1], "height": math.inf}]},
            r"obstacles\[0\]: height must be a finite number, got inf",
        ),
        (
            {"vehicle": {"pitch_jumps": [{"time": math.nan, "angle": 2}]}},
            "time must be a finite number, got nan",
        ),
        (
            {"configs": {"lidar": {"mount": {"at": [0, 0, 1], "yaw": math.nan}}}},
            "configs.lidar.mount: yaw must be a finite number, got nan",
        ),
        (
            {"configs": {"lidar": {"mount": {"at": [0, 0, 1], "angle_error": -1}}}},
            "angle_error must be from 0 to 180, got -1",
        ),
        ({"configs": {"depth": {"max_range": math.inf}}}, "max_range must be .* finite, got inf"),
        (
            {"crowd": {"count": 2, "area": [5, 5.1, 0, 0.1]}},
            r"area must be at least 1 m from corner to corner.*got \[5.0, 5.1, 0.0, 0.1\], 0.14 m",
        ),
        ({"faults": [{"sensor": "radar", "kind": "silent"}]}, "must be one of camera, depth"),
        ({"faults": [{"sensor": "imu", "kind": "silent", "start": 3, "end": 2}]}, "before end"),
        ({"configs": {"lidar": {"beam": 8}}}, "unknown key 'beam'; the nearest key is 'beams'"),
        (
            {"configs": {"scan": {"min_range": 5, "max_range": 3}}},
            "configs.scan: min_range must be below max_range, got 5 and 3",
        ),
        ({"configs": {"camera": {"view": float("nan")}}}, "view must be from 1 to 170, got nan"),
        (
            {"configs": {"imu": {"timing": {"rate": 0, "latency": 0}}}},
            "configs.imu.timing: rate must be from 0.1 to 1000, got 0",
        ),
        ({"duration": 0}, "duration must be from 0.1 to 3600, got 0"),
        ({"obstacles": [{"kind": "pole", "at": [1, 1], "size": [1, 1], "height": 1}]}, "size must"),
        (
            {"obstacles": [{"kind": "box", "at": [9, 0], "size": [1, 1], "height": INFINITE}]},
            r"obstacles\[0\]: height must be a finite number, got inf",
        ),
        (
            {"people": [{"start": [5, 0], "heading": float("nan")}]},
            r"people\[0\]: heading must be a finite number, got nan",
        ),
        (
            {"vehicle": {"pitch_jumps": [{"time": float("nan"), "angle": 3}]}},
            "time must be a finite",
        ),
        ({"errors": {"clock": INFINITE}}, r"errors: clock must be from 0 to 1e\+06, got inf"),
        ({"errors": {"mount_position": INFINITE}}, "mount_position must be from 0 to 100, got inf"),
        (
            {"faults": [{"sensor": "imu", "kind": "late", "amount": INFINITE}]},
            r"faults\[0\]: amount must be from 0 to 1e\+06, got inf",
        ),
        (
            {"configs": {"imu": {"timing": {"rate": 9, "latency": INFINITE}}}},
            "latency must be from 0 to",
        ),
        (
            {"configs": {"imu": {"mount": {"at": [0, 0, 1], "yaw": INFINITE}}}},
            "yaw must be a finite",
        ),
        (
            {"configs": {"depth": {"max_range": 100}}},
            "max_range must be up to 65 m with the encoding 16UC1, .* got 100; 32FC1 reaches",
        ),
    ],
)
def test_mistakes_in_scenarios_are_named(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scenario_of({"name": "x", "duration": 1.0} | values)


def test_a_stay_and_a_drive_may_last_for_ever() -> None:
    scenario = scenario_of(
        {
            "name": "x",
            "duration": 1.0,
            "people": [{"start": [5, 0], "steps": [{"stay": math.inf, "posture": "sitting"}]}],
            "vehicle": {"drive": [{"duration": math.inf, "speed": 1.0}]},
        }
    )
    truth = truth_of(scenario)
    assert truth.people[0].posture == "SITTING"
    assert np.isfinite(truth.people[0].position).all()


def test_a_crowd_walks_in_a_small_area_too() -> None:
    scenario = scenario_of(
        {"name": "x", "duration": 2.0, "crowd": {"count": 3, "area": [4, 5, -0.5, 0.5]}}
    )
    for person in truth_of(scenario).people:
        assert 3.9 <= person.position[0] <= 5.1


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "table", "size": (1.0, 0.6)},
        {"kind": "box", "size": (1.0, 0.6)},
        {"kind": "pole", "size": (0.2,)},
    ],
)
@pytest.mark.parametrize("bottom", [0.0, 0.8])
def test_things_reach_from_their_bottom_to_their_height(values: dict, bottom: float) -> None:
    thing = ObstacleConfig(at=(5.0, 0.0), height=1.5, bottom=bottom, **values)
    scene = SimulatedScene(exact_scenario(people=(), obstacles=(thing,)), np.random.default_rng(0))
    # Level rays from the front, over the whole width and every height.
    y, z = np.meshgrid(np.linspace(-0.6, 0.6, 121), np.linspace(0.005, 2.0, 400))
    origins = np.stack([0 * y, y, z], axis=-1).reshape(-1, 3)
    ahead = np.broadcast_to([1.0, 0.0, 0.0], origins.shape)
    hits = scene.cast(origins, ahead, scene.bodies(np.zeros(1)))
    heights = origins[hits.what == OBSTACLE, 2]
    assert heights.min() == pytest.approx(bottom, abs=0.006)
    assert heights.max() == pytest.approx(1.5, abs=0.006)
    corners = scene.obstacle_corners()
    assert max(corner[:, 2].max() for corner in corners) == pytest.approx(1.5)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match=r"bundled scenarios are .*crowd, drive"):
        find_scenario("dive")
    with pytest.raises(ValueError, match=f"no sensor 'radar'; there are {', '.join(SENSORS)}"):
        with_changes(exact_scenario(), sensors=("radar",))
