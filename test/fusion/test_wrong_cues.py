# SPDX-License-Identifier: Apache-2.0
"""A wrong cue is refused and named, and does not move the person."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fusion_scene import EXTRINSICS, START, cloud, depth_image, figure, skeletons

from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People, Person
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.settings import FusionSettings

FRAME = 100_000_000


def fusion(**values: Any) -> PeopleFusion:
    return PeopleFusion(FusionSettings(fixed_base=True, **values), EXTRINSICS)


def fuse(core: PeopleFusion, figures: list[np.ndarray], stamp: int, **how: Any) -> list[Person]:
    result = core.fuse(skeletons(figures, stamp, **how), stamp)
    assert isinstance(result, People), result
    return list(result.people)


def distance(person: Person, place: tuple[float, float]) -> float:
    return float(np.hypot(*(person.position[:2] - place)))


RNG = np.random.default_rng(11)


def wrong_cue(kind: str) -> tuple[dict[str, Any], list[Any]]:
    """What goes wrong for a person at (8, 0): arguments of the image, and measurements."""
    person = np.array([[8.0, 0.0]])
    far = np.array([[8.0, 30.0]])
    if kind == "table":  # a post in front hides the person from the LIDAR
        return {}, [cloud(far, START, RNG, objects=((3.5, 0.0, 0.3, 1.7),))]
    if kind == "wall":  # the depth camera sees through, to the wall
        return {}, [depth_image(far, START, RNG, wall=9.9)]
    return {"pitch": np.deg2rad(3.0)}, [cloud(person, START, RNG)]


@pytest.mark.parametrize(
    ("kind", "name"), [("table", "lidar"), ("wall", "depth"), ("pitch", "ground")]
)
def test_a_wrong_cue_is_refused_and_named(kind: str, name: str) -> None:
    core = fusion()
    how, measurements = wrong_cue(kind)
    for one in measurements:
        core.receive(one, START)
    (person,) = fuse(core, [figure((8.0, 0.0))], START, **how)
    # A wall is doubted by the sensor's cue itself.
    reason = Refusal.BACKGROUND if name == "depth" else Refusal.DISAGREES
    assert person.outcomes[name] is reason
    assert person.outcomes["body_length"] is None
    assert distance(person, (8.0, 0.0)) < 0.6
    assert core.outcomes[name].reasons == {reason: 1}


def test_a_track_does_not_vote_for_the_only_cue_that_placed_it() -> None:
    """A child whose feet appear later: body length and the track agree, and are both wrong."""
    core = fusion()
    rng = np.random.default_rng(8)
    for k in range(12):
        noise = rng.normal(0, 1.0, (1, 17, 2))
        hidden = (13, 14, 15, 16) if k < 6 else ()
        (person,) = fuse(
            core, [figure((10.0, 0.0), 1.15)], START + k * FRAME, noise=noise, hidden=hidden
        )
        if k < 6:
            error = person.position[0] - 10
            assert error > 2  # it looks like an adult further away,
            assert error < 3 * np.sqrt(person.covariance[0, 0])  # but the age is unknown
    assert person.outcomes == {"ground": None, "body_length": None}  # of a child
    assert distance(person, (10.0, 0.0)) < 1.0
    assert person.id == "1"


def test_feet_near_the_horizon_do_not_place_a_person_beyond_what_the_box_allows() -> None:
    noise = np.zeros((1, 17, 2))
    shape = figure((25.0, 0.0))
    exact = skeletons([shape]).poses.keypoints[0, 15:, 1]
    noise[0, 15:, 1] = 542.0 - exact  # 2 px below the horizon: 700 m away
    (person,) = fuse(fusion(), [shape], START, noise=noise, std=8.0, hidden=(5, 6))
    assert person.outcomes["ground"] is Refusal.DISAGREES  # nobody is 30 m high
    assert person.position[0] < 60


def test_a_child_is_not_placed_where_an_adult_would_be() -> None:
    core = fusion()
    rng = np.random.default_rng(2)
    for k in range(5):
        stamp = START + k * FRAME
        core.receive(cloud(np.array([[5.0, 0.0]]), stamp, rng), stamp)
        (person,) = fuse(core, [figure((5.0, 0.0), stature=1.1)], stamp)
    assert distance(person, (5.0, 0.0)) < 0.2
    assert person.outcomes["body_length"] is None  # of a child
    assert person.height == pytest.approx(1.1, abs=0.08)
    assert person.child_probability > 0.9


def test_a_jump_of_the_pitch_is_told_from_a_step_because_everybody_makes_it() -> None:
    """Camera alone: at 2.5° all ground contacts are refused; at one person's feet, only those."""
    places = [(6.0, -2.0), (9.0, 0.5), (13.0, 3.0)]
    figures = [figure(place) for place in places]
    for jump, wrong_feet in ((np.deg2rad(2.5), False), (0.0, True)):
        core = fusion()
        rng = np.random.default_rng(4)
        for k in range(12):
            noise = rng.normal(0, 1.5, (3, 17, 2))
            if k == 11 and wrong_feet:
                noise[0, 15:, 1] -= 60.0
            pitch = jump if k == 11 else 0.0
            people = fuse(core, figures, START + k * FRAME, noise=noise, std=1.5, pitch=pitch)
        refused = [one.outcomes["ground"] is not None for one in people]
        assert refused == ([True] * 3 if jump else [True, False, False])
        for one, place in zip(people, places, strict=True):
            assert distance(one, place) < 0.12 * np.hypot(*place)
        if jump:  # what it measured is told although it was refused
            assert all("ground" in one.ranges for one in people)


def test_a_pitch_that_stays_is_no_jump() -> None:
    """After 3 s, the cues of each person decide again."""
    tracker = fusion().tracker
    goes_on = [tracker.jump_goes_on(START + k * FRAME, jumps=True) for k in range(40)]
    assert goes_on == [True] * 31 + [False] * 9
    assert not tracker.jump_goes_on(START + 40 * FRAME, jumps=False)
    assert tracker.jump_goes_on(START + 41 * FRAME, jumps=True)  # a new one


@pytest.mark.parametrize(("pitch", "hidden"), [(-1.2, True), (0.8, False)])
def test_returns_in_the_silhouette_of_somebody_nearer_are_not_those_of_who_is_behind(
    pitch: float, hidden: bool
) -> None:
    """By the camera's tilt, the person at 14 m seems to be at the place of the one at 12 m, whom
    the LIDAR sees alone; or both seem to be further away, and the LIDAR sees both."""
    places = [(12.0, 0.0), (14.0, 0.25)]
    core, rng = fusion(), np.random.default_rng(5)
    seen, used = np.array(places[:1] if hidden else places), []
    figures = [figure(at) for at in places]
    for k in range(8):
        stamp = START + k * FRAME
        core.receive(cloud(seen, stamp, rng), stamp)
        people = fuse(core, figures, stamp, std=2.0, pitch=np.deg2rad(pitch))
        used.append([one.outcomes["lidar"] is None for one in people])
        if used[-1][1]:
            assert 1 / people[1].ranges["lidar"][0] == pytest.approx(14.0, abs=0.3)
    first, second = np.array(used).T
    if hidden:
        assert first.all()
        assert not second.any()
    else:
        assert second.sum() >= 4
