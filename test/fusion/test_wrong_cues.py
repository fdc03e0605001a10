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
    assert person.outcomes[name] is Refusal.DISAGREES
    assert person.outcomes["body_length"] is None
    assert distance(person, (8.0, 0.0)) < 0.6
    assert core.outcomes[name].reasons == {Refusal.DISAGREES: 1}


def test_a_child_is_not_placed_where_an_adult_would_be() -> None:
    core = fusion()
    rng = np.random.default_rng(2)
    for k in range(5):
        stamp = START + k * FRAME
        core.receive(cloud(np.array([[5.0, 0.0]]), stamp, rng), stamp)
        (person,) = fuse(core, [figure((5.0, 0.0), stature=1.1)], stamp)
    assert distance(person, (5.0, 0.0)) < 0.2
    assert person.outcomes["body_length"] is Refusal.DISAGREES
    assert person.height == pytest.approx(1.1, abs=0.08)
    assert person.child_probability > 0.9
