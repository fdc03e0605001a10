# SPDX-License-Identifier: Apache-2.0
"""The pictures of the fusion demo, also of people who are far away, unseen or half unknown."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from demo.fusion.moments import CameraView, DriveMoment
from demo.fusion.pictures import CAMERA_WIDTH, draw_moment
from demo.fusion.text import BACKGROUND, overlaps, put_text, text_size
from demo.fusion.top_view import BEHIND, CHILD_COLOUR, SCALE, SIZE, draw_top_view, rgb_of
from hrnet_pose_ros.fusion.person import People, Person, StatusReason
from hrnet_pose_ros.fusion.refusals import Source
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.simulation.truth import TruePerson, Truth

CAMERA = CameraView(np.array([0.3, 0.0, 1.4]), float(np.deg2rad(70)))
PICTURE = np.full((720, 1280, 3), 128, np.uint8)


def person(identity: str, x: float, y: float, **changes: object) -> Person:
    values: dict = {
        "id": identity,
        "detection_id": identity,
        "skeleton_index": 0,
        "position": np.array([x, y, 0.0]),
        "velocity": np.zeros(3),
        "covariance": np.diag([0.04, 0.01, 0.0, 0.1, 0.1, 0.0]),
        "existence": 1.0,
        "sources": Source.GROUND | Source.LIDAR,
    }
    return Person(**(values | changes))


def true_person(x: float, y: float, visible: float = 1.0) -> TruePerson:
    return TruePerson(
        name="person_0",
        skeleton_index=0,
        detection_id="0",
        position=np.array([x, y, 0.0]),
        velocity=np.zeros(3),
        stature=1.7,
        radius=0.25,
        heading=np.nan,
        posture="LYING",
        motion="STATIONARY",
        facing="UNKNOWN",
        gesture=0,
        child=False,
        joints=np.zeros((17, 3)),
        visible=visible,
        height_px=100.0,
        pixels=np.zeros((17, 2)),
    )


def moment(*people: Person, **changes: object) -> DriveMoment:
    skeletons = sum(one.skeleton_index >= 0 for one in people)
    poses = Poses(
        keypoints=np.full((skeletons, 17, 2), 300, np.float32),
        scores=np.ones((skeletons, 17), np.float32),
        covariances=np.tile(np.eye(2, dtype=np.float32), (skeletons, 17, 1, 1)),
        valid=np.ones((skeletons, 17), bool),
    )
    boxes = np.tile([250.0, 200.0, 100.0, 300.0], (skeletons, 1))
    values: dict = {
        "seconds": 1.0,
        "picture": PICTURE,
        "poses": poses,
        "boxes": boxes,
        "truth": Truth(0, (true_person(8.0, 0.0),)),
        "people": People(0, people, Source.NONE),
    }
    return DriveMoment(**(values | changes))


def pixel(x: float, y: float) -> tuple[int, int]:
    """Row and column of a place in the view from above."""
    return round(SIZE[1] - (BEHIND + x) * SCALE), round(SIZE[0] / 2 - y * SCALE)


@pytest.mark.parametrize(("x", "y"), [(5.0, 0.0), (12.0, 3.0), (20.0, -4.0)])
def test_a_person_is_drawn_in_their_place_and_colour(x: float, y: float) -> None:
    drawn = draw_top_view(moment(person("7", x, y)), CAMERA)
    assert tuple(drawn[pixel(x, y)].tolist()) == rgb_of("7")


def test_the_ellipse_has_two_standard_deviations() -> None:
    wide = person("7", 10.0, 0.0, covariance=np.diag([1.0, 0.25, 0.0, 0.1, 0.1, 0.0]))
    with_person = draw_top_view(moment(wide), CAMERA).astype(int)
    without = draw_top_view(moment(), CAMERA).astype(int)
    changed = np.abs(with_person - without).max(axis=2) > 8
    column, row = pixel(10.0, 0.0)[1], pixel(10.0, 0.0)[0]
    reach = np.flatnonzero(changed[:, column])
    assert reach.min() == pytest.approx(row - 2 * SCALE, abs=2)
    assert reach.max() == pytest.approx(row + 2 * SCALE, abs=2)
    assert np.flatnonzero(changed[row]).min() == pytest.approx(column - SCALE, abs=2)


def test_a_child_is_marked() -> None:
    def marked(one: Person) -> bool:
        drawn = draw_top_view(moment(one), CAMERA)
        return bool((drawn == np.array(CHILD_COLOUR)).all(axis=2).any())

    adult = person("7", 10.0, 0.0, child_probability=0.1)
    assert not marked(adult)
    assert not marked(replace(adult, child_probability=np.nan))
    assert marked(replace(adult, child_probability=0.9))


@pytest.mark.parametrize(
    "shown",
    [
        moment(),
        moment(people=None),
        moment(person("7", 300.0, -80.0)),
        moment(person("7", -40.0, 0.0, skeleton_index=-1, existence=0.05)),
        moment(person("7", 6.0, 0.0, covariance=1e8 * np.eye(6))),
        moment(*(person(str(n), 8.0, 0.0, skeleton_index=n) for n in range(20))),
        moment(refused=Counter({("lidar", f"reason_{n}"): n + 1 for n in range(20)})),
        moment(people=People(0, (), Source.NONE, tuple(StatusReason)[:6])),
        moment(points=np.array([[np.nan, 0.0], [1e9, 0.0], [5.0, 1.0]])),
    ],
    ids=[
        "nobody",
        "no answer",
        "far",
        "behind",
        "unknown range",
        "many",
        "refused",
        "silent",
        "points",
    ],
)
def test_anything_can_be_drawn(shown: DriveMoment) -> None:
    drawn = draw_moment(shown, CAMERA)
    assert drawn.dtype == np.uint8
    assert drawn.shape == (SIZE[1], CAMERA_WIDTH + SIZE[0], 3)


def test_text_keeps_within_its_rectangle() -> None:
    image = np.zeros((60, 300, 3), np.uint8)
    taken = put_text(image, "gjpqy| 12.3 m", (20, 10), background=BACKGROUND)
    assert taken == (20, 10, 20 + text_size("gjpqy| 12.3 m", 0.5)[0], taken[3])
    image[taken[1] : taken[3] + 1, taken[0] : taken[2] + 1] = 0
    assert not image.any()
    assert overlaps(taken, (taken[2] - 1, taken[3] - 1, 400, 400))
    assert not overlaps(taken, (taken[2], taken[1], 400, 400))
