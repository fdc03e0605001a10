# SPDX-License-Identifier: Apache-2.0
"""The whole fusion: nobody is dropped, everything is counted, wrong cues are named, ids stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fusion_scene import (
    EXTRINSICS,
    START,
    cloud,
    depth_image,
    figure,
    imu,
    odometry,
    scan,
    skeletons,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.inputs import PointCloud, UltrasonicRange
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People, PeopleStatus, Person
from hrnet_pose_ros.fusion.refusals import Refusal, Source
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.transforms import FixedExtrinsics, rotation_rpy

MS = 1_000_000
RNG = np.random.default_rng(11)
FRAME = 100 * MS


def fusion(**values: Any) -> PeopleFusion:
    return PeopleFusion(FusionSettings(fixed_base=True, **values), EXTRINSICS)


def fuse(core: PeopleFusion, figures: list[np.ndarray], stamp: int, **how: Any) -> list[Person]:
    result = core.fuse(skeletons(figures, stamp, **how), stamp)
    assert isinstance(result, People), result
    assert result.stamp == stamp
    return list(result.people)


def distance(person: Person, place: tuple[float, float]) -> float:
    return float(np.hypot(*(person.position[:2] - place)))


def sound(people: list[Person], count: int) -> None:
    """What holds for every answer."""
    seen = [p for p in people if p.skeleton_index >= 0]
    assert [p.skeleton_index for p in seen] == list(range(count))
    assert people[:count] == seen
    assert len({p.id for p in people}) == len(people)
    for p in people:
        assert np.isfinite(p.position).all()
        assert np.isfinite(p.covariance).all()
        np.testing.assert_allclose(p.covariance, p.covariance.T, atol=1e-9)
        assert np.linalg.eigvalsh(p.covariance).min() > 0
        assert 0 < p.existence < 1
        for value, spread in (
            (p.height, p.height_variance),
            (p.heading, p.heading_variance),
            (p.radius, p.radius_variance),
        ):
            assert np.isnan(value) == np.isnan(spread)
        for kind, chance in (
            (p.posture, p.posture_probability),
            (p.motion, p.motion_probability),
            (p.facing, p.facing_probability),
        ):
            assert (kind == 0) == np.isnan(chance)
            assert kind == 0 or 0 < chance <= 1


def test_an_empty_image_has_no_people() -> None:
    assert fuse(fusion(), [], START) == []


def test_somebody_in_front_of_the_camera_alone() -> None:
    core = fusion()
    (person,) = fuse(core, [figure((8.0, 1.0), heading=np.pi)], START, ids=("d7",))
    sound([person], 1)
    assert distance(person, (8.0, 1.0)) < 0.15
    assert person.detection_id == "d7"
    assert person.sources == Source.GROUND | Source.BODY_LENGTH
    assert person.outcomes == {"ground": None, "body_length": None}
    assert person.keypoints is None
    radial = np.sqrt(person.covariance[0, 0])
    assert 0.2 < radial < 0.6  # 0.5° of pitch and 5.8 % of stature at 8 m


def test_without_any_range_a_person_stays_with_a_variance_that_says_so() -> None:
    core = fusion()
    (person,) = fuse(core, [figure((8.0, 2.0))], START, hidden=tuple(range(5, 17)))
    sound([person], 1)
    assert person.outcomes == {
        "ground": Refusal.JOINTS_MISSING,
        "body_length": Refusal.JOINTS_MISSING,
    }
    bearing = np.arctan2(person.position[1], person.position[0])
    assert bearing == pytest.approx(np.arctan2(2.0, 8.0), abs=0.05)
    away = np.array([8.0, 2.0]) / np.hypot(8, 2)
    spread = np.sqrt(away @ person.covariance[:2, :2] @ away)
    assert spread > 2
    assert abs(away @ person.position[:2] - np.hypot(8, 2)) < 2 * spread


@settings(max_examples=25, deadline=None)
@given(
    places=st.lists(st.tuples(st.floats(1.0, 40.0), st.floats(-0.7, 0.7)), max_size=6),
    hidden=st.sets(st.integers(0, 16)),
    lift=st.floats(-400, 400),
    sensors=st.sets(st.sampled_from(["cloud", "depth", "scan", "imu", "odometry", "echo", "nan"])),
    seed=st.integers(0, 99),
)
def test_nobody_is_dropped_and_received_is_used_plus_refused(
    places: list, hidden: set[int], lift: float, sensors: set[str], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    core = fusion()
    xy = np.array([[r * np.cos(a), r * np.sin(a)] for r, a in places]).reshape(-1, 2)
    asked = 0
    for k in range(3):
        stamp = START + k * FRAME
        makes = {
            "cloud": lambda s: cloud(xy, s, rng),
            "depth": lambda s: depth_image(xy, s, rng),
            "scan": lambda s: scan(xy, s, rng),
            "imu": lambda s: imu(s, rotation_rpy(0.01, 0.02, 0)),
            "odometry": lambda s: odometry(s, x=(s - START) / 1e9),
            "echo": lambda s: UltrasonicRange(s, "sonar", 0.5, 2.0, 0.2, 5.0),
            "nan": lambda s: PointCloud(s - 1, "lidar", np.full((9, 3), np.nan, np.float32)),
        }
        for name in sorted(sensors):
            if len(xy) or name not in ("cloud", "depth", "scan"):
                core.receive(makes[name](stamp), stamp)
        noise = rng.normal(0, 3, (len(xy), 17, 2)) + [0, lift]
        people = fuse(
            core, [figure(tuple(p)) for p in xy], stamp, noise=noise, hidden=tuple(hidden)
        )
        sound(people, len(xy))
        asked += len(xy)
        for person in people[: len(xy)]:
            assert all(o is None or isinstance(o, Refusal) for o in person.outcomes.values())
    assert core.outcomes["ground"].received == core.outcomes["body_length"].received == asked
    messages = [core.gravity.tally, core.ego.tally, core.skeletons]
    messages += [c.buffer.tally for c in (core.depth, core.lidar, core.scan)]
    messages += [c.buffer.tally for c in core.ultrasonic.values()]
    for tally in (*core.outcomes.values(), *messages):
        assert tally.received == tally.used + tally.refused + tally.waiting
    assert core.skeletons.used == 3


def test_the_order_of_persons_does_not_matter() -> None:
    places = [(6.0, 1.5), (9.0, -2.0), (12.0, 0.5)]
    rng = np.random.default_rng(1)
    clouds = [cloud(np.array(places), START, rng)] * 2
    answers = []
    for order, one in zip(([0, 1, 2], [2, 0, 1]), clouds, strict=True):
        core = fusion()
        core.receive(one, START)
        people = fuse(core, [figure(places[n]) for n in order], START)
        answers.append(dict(zip(order, people, strict=True)))
    for n in range(3):
        np.testing.assert_allclose(answers[0][n].position, answers[1][n].position, atol=1e-9)
        assert answers[0][n].outcomes == answers[1][n].outcomes


@pytest.mark.parametrize("yaw", [0.0, 2.0, np.pi])
def test_a_camera_that_looks_elsewhere_gives_the_same_people_there(yaw: float) -> None:
    """A rear camera, too: nothing breaks where angles jump from pi to -pi."""
    turn = rotation_rpy(0, 0, yaw)
    place = EXTRINSICS.sensor_to_base("camera", START)
    assert place is not None
    turned = FixedExtrinsics({"camera": type(place)(turn @ place.rotation, place.translation)})
    core = PeopleFusion(FusionSettings(fixed_base=True), turned)
    for k in range(5):
        (person,) = fuse(core, [figure((8.0, 0.0))], START + k * FRAME)
    assert distance(person, tuple((turn @ [8.0, 0.0, 0.0])[:2])) < 0.15
    heading = np.pi + yaw
    assert np.cos(person.heading - heading) > 0.95
    assert person.facing.name == "TOWARDS"


def test_ids_are_stable_and_follow_people_who_cross() -> None:
    core = fusion()
    rng = np.random.default_rng(3)
    ids = []
    for k in range(40):
        t = k * 0.1
        figures = [figure((8.0, -2.0 + t)), figure((10.0, 2.0 - t))]
        noise = rng.normal(0, 1.5, (2, 17, 2))
        order = [0, 1] if k % 2 else [1, 0]
        core.receive(
            cloud(np.array([[8.0, -2.0 + t], [10.0, 2.0 - t]]), START + k * FRAME, rng),
            START + k * FRAME,
        )
        people = fuse(core, [figures[n] for n in order], START + k * FRAME, noise=noise)
        assert len(people) == 2
        ids.append(tuple(people[order.index(n)].id for n in (0, 1)))
    assert len(set(ids)) == 1


def test_a_person_who_is_hidden_coasts_and_comes_back_with_the_same_id() -> None:
    core = fusion()
    for k in range(10):
        (person,) = fuse(core, [figure((8.0, 0.08 * k))], START + k * FRAME)
    for k in range(10, 13):
        (coasting,) = fuse(core, [], START + k * FRAME)
        assert coasting.skeleton_index == -1
        assert coasting.id == person.id
        assert coasting.measurement_age == pytest.approx(0.1 * (k - 9))
        assert coasting.outcomes == {}
        assert coasting.covariance[1, 1] > person.covariance[1, 1]
    (back,) = fuse(core, [figure((8.0, 0.08 * 13))], START + 13 * FRAME)
    assert back.id == person.id
    for k in range(14, 40):
        people = fuse(core, [], START + k * FRAME)
    assert people == []
    (other,) = fuse(core, [figure((8.0, 0.0))], START + 40 * FRAME)
    assert other.id != person.id


def test_a_jump_back_in_time_forgets_tracks_but_never_reuses_an_id() -> None:
    core = fusion()
    (first,) = fuse(core, [figure((8.0, 0.0))], START)
    core.receive(cloud(np.array([[8.0, 0.0]]), START, np.random.default_rng(0)), START)
    assert core.fuse(skeletons([], START - 5 * FRAME), START) is Refusal.LATE
    (again,) = fuse(core, [figure((8.0, 0.0))], START - 100 * FRAME)
    assert again.id != first.id
    assert core.lidar.buffer.tally.reasons == {Refusal.TIME_JUMP: 1}
    assert core.skeletons.received == core.skeletons.used + core.skeletons.refused == 3


@pytest.mark.parametrize("kind", ["lidar", "depth", "scan", "imu", "odometry", "ultrasonic"])
def test_a_sensor_that_dies_degrades_the_status_and_comes_back(kind: str) -> None:
    core = fusion()
    place = np.array([[5.0, 0.0]])
    makes = {
        "lidar": lambda s: cloud(place, s, RNG),
        "depth": lambda s: depth_image(place, s, RNG),
        "scan": lambda s: scan(place, s, RNG),
        "imu": imu,
        "odometry": odometry,
        "ultrasonic": lambda s: UltrasonicRange(s, "sonar", 0.5, 2.0, 0.2, 5.0),
    }
    statuses = []
    for k in range(30):
        stamp = START + k * FRAME
        if not 10 <= k < 20:
            core.receive(makes[kind](stamp), stamp)
        answer = core.fuse(skeletons([figure((5.0, 0.0))], stamp), stamp)
        assert isinstance(answer, People)
        assert len(answer.people) == 1
        statuses.append(answer.status)
        if answer.reasons:
            assert [one.value for one in answer.reasons] == [f"{kind}_silent"]
    assert statuses[:10] == [PeopleStatus.OK] * 10
    assert statuses[15:20] == [PeopleStatus.DEGRADED] * 5
    assert statuses[20:] == [PeopleStatus.OK] * 10


def test_a_long_pause_ends_a_track() -> None:
    core = fusion()
    (before,) = fuse(core, [figure((8.0, 0.0))], START)
    (after,) = fuse(core, [figure((8.0, 0.0))], START + 100 * FRAME)
    assert after.id != before.id


def test_a_camera_without_a_place_refuses_the_image() -> None:
    core = PeopleFusion(FusionSettings(), FixedExtrinsics({}))
    assert core.fuse(skeletons([], START), START) is Refusal.NO_EXTRINSICS
    assert core.fuse(skeletons([], START), START + 10**9) is Refusal.TOO_OLD
    assert core.skeletons.refused == 2


def test_measurements_are_carried_from_their_own_stamp() -> None:
    """A vehicle at 4 m/s: a cloud from 50 ms before the image is 0.2 m further away."""
    for carried in (True, False):
        core = fusion()
        early = START - 50 * MS
        for k in range(11):
            stamp = START - 100 * MS + k * 10 * MS
            if carried:
                core.receive(odometry(stamp, x=0.04 * k, speed=4.0), stamp)
        core.receive(cloud(np.array([[8.2, 0.0]]), early, np.random.default_rng(0)), START)
        (person,) = fuse(core, [figure((8.0, 0.0))], START)
        assert person.outcomes["lidar"] is None
        if carried:
            assert distance(person, (8.0, 0.0)) < 0.06
            assert person.sources & Source.ODOMETRY
        else:
            assert distance(person, (8.0, 0.0)) > 0.12


def test_velocities_are_over_ground_with_odometry() -> None:
    """A person stands, the vehicle drives at 2 m/s towards them."""
    core = PeopleFusion(FusionSettings(), EXTRINSICS)
    rng = np.random.default_rng(4)
    for k in range(25):
        stamp, x = START + k * FRAME, 0.2 * k
        core.receive(odometry(stamp, x=x, speed=2.0), stamp)
        core.receive(cloud(np.array([[12.0 - x, 1.0]]), stamp, rng), stamp)
        (person,) = fuse(core, [figure((12.0 - x, 1.0))], stamp)
    assert np.hypot(*person.velocity[:2]) < 0.15
    assert person.motion.name == "STATIONARY"
    assert person.id == "1"


def test_motion_is_unknown_where_the_vehicles_is() -> None:
    core = PeopleFusion(FusionSettings(), EXTRINSICS)
    for k in range(5):
        (person,) = fuse(core, [figure((8.0, 0.0))], START + k * FRAME)
    assert person.motion == 0


def test_the_tilt_of_the_base_is_taken_out() -> None:
    """The vehicle brakes and dips by 2°; the IMU knows."""
    dip = rotation_rpy(0, np.deg2rad(2.0), 0)
    found = {}
    for known in (True, False):
        core = fusion()
        if known:
            core.receive(imu(START, dip), START)
        # Seen from the base frame, everything turns the other way.
        joints = figure((8.0, 0.0)) @ dip
        (person,) = fuse(core, [joints], START, hidden=(5, 6))
        found[known] = distance(person, (8.0, 0.0))
    assert found[True] < 0.3
    assert found[False] > 1.0


def test_depth_gives_key_points_in_space() -> None:
    core = fusion()
    place = np.array([[4.0, 0.3]])
    core.receive(depth_image(place, START, np.random.default_rng(0), noise=1e-4), START)
    shape = figure((4.0, 0.3))
    (person,) = fuse(core, [shape], START)
    assert person.keypoints is not None
    known = np.isfinite(person.keypoints.positions).all(axis=1)
    assert known.sum() >= 4
    error = person.keypoints.positions[known] - shape[known]
    assert np.abs(error).max() < 0.25  # the cylinder's surface against joints inside
    assert (np.linalg.eigvalsh(person.keypoints.covariances[known]) > 0).all()


def test_body_length_learns_the_stature_while_a_lidar_is_there() -> None:
    """After the LIDAR has died, a tall person's range is better than the prior's."""
    errors = []
    for with_lidar in (True, False):
        core = fusion()
        rng = np.random.default_rng(6)
        for k in range(30):
            stamp = START + k * FRAME
            if with_lidar and k < 20:
                core.receive(cloud(np.array([[10.0, 0.0]]), stamp, rng), stamp)
            noise = rng.normal(0, 1.0, (1, 17, 2))
            # Without ankles there is no ground contact.
            (person,) = fuse(
                core, [figure((10.0, 0.0), 1.85)], stamp, noise=noise, hidden=(13, 14, 15, 16)
            )
        errors.append(distance(person, (10.0, 0.0)))
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize(
    ("sensors", "names"),
    [
        ((), {"ground", "body_length"}),
        (("depth",), {"ground", "body_length", "depth"}),
        (("lidar",), {"ground", "body_length", "lidar"}),
    ],
)
def test_only_sensors_that_have_sent_something_are_asked(sensors: tuple, names: set) -> None:
    core = fusion()
    person = np.array([[5.0, 0.0]])
    if "depth" in sensors:
        core.receive(depth_image(person, START, RNG), START)
    if "lidar" in sensors:
        core.receive(cloud(person, START, RNG), START)
    for k in range(2):  # in the second image, the sensor is silent
        (found,) = fuse(core, [figure((5.0, 0.0))], START + k * FRAME)
        assert set(found.outcomes) == names
    assert all(found.outcomes[s] is Refusal.NO_MEASUREMENT for s in sensors)


def test_feet_below_the_image_are_no_ground_contact() -> None:
    """A network puts the ankles of somebody who is cut off somewhere inside of the box."""
    near = skeletons([figure((1.3, 0.0))])
    bottom = near.image_size[1] - 1
    keypoints, boxes = near.poses.keypoints.copy(), near.boxes.copy()
    assert (keypoints[0, 15:, 1] > bottom).all()
    keypoints[0, 15:, 1] = bottom - 40
    boxes[0, 3] = bottom - boxes[0, 1]
    seen = replace(near, poses=replace(near.poses, keypoints=keypoints), boxes=boxes)
    people = PeopleFusion(FusionSettings(), EXTRINSICS).fuse(seen, START)
    assert isinstance(people, People)
    [person] = people.people
    assert person.outcomes["ground"] is Refusal.TRUNCATED
    assert person.outcomes["body_length"] is None
    assert distance(person, (1.3, 0.0)) < 2.5 * np.sqrt(np.trace(person.covariance[:2, :2]))


@pytest.mark.parametrize("heading", [0.0, np.pi / 2, 2.2])
def test_who_lies_has_the_bearing_of_the_hips_and_keeps_the_id(heading: float) -> None:
    """The torso lies beside them, and is as long as that of somebody who stands."""
    core, rng = fusion(), np.random.default_rng(5)
    low = figure((6.0, 0.0), posture="lying", heading=heading)
    for k in range(8):
        noise = rng.normal(0, 1, (1, 17, 2))
        (person,) = fuse(core, [low], START + k * FRAME, noise=noise)
        assert person.id == "1"
    assert abs(person.position[1] - low[11:13, 1].mean()) < 0.06
