# SPDX-License-Identifier: Apache-2.0
"""Detection3DArray and PoseArray of people, against the published definitions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_people import STAMP, TYPES, output, over_the_wire, person

from hrnet_pose_ros.fusion.person import PeopleStatus, Points3D, Posture
from hrnet_pose_ros.pipeline.people.people_detections import people_detections
from hrnet_pose_ros.pipeline.people.people_poses import body_points, people_poses
from hrnet_pose_ros.pipeline.people.person_extent import (
    USUAL_HEIGHT,
    USUAL_RADIUS,
    height_of,
    radius_of,
)
from hrnet_pose_ros.pipeline.stamps import stamp_of


def yaw(quaternion: object) -> float:
    z, w = quaternion.z, quaternion.w  # type: ignore[attr-defined]
    return 2 * math.atan2(z, w)


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(0, 4),
    heading=st.floats(-3.1, 3.1),
    height=st.sampled_from([1.1, 1.8, math.nan]),
    existence=st.floats(0, 1.001),
)
def test_boxes(count: int, heading: float, height: float, existence: float) -> None:
    shown = [
        person(
            str(n),
            place=(2.0 * n, 1.0, -0.1),
            heading=heading,
            heading_variance=0.04,
            height=height,
            existence=existence,
        )
        for n in range(count)
    ]
    message = over_the_wire(people_detections(TYPES, output(*shown)))
    assert stamp_of(message) == STAMP and message.header.frame_id == "base_link"
    assert [one.id for one in message.detections] == [one.id for one in shown]
    tall = height if math.isfinite(height) else 1.7
    for one, truth in zip(message.detections, shown, strict=True):
        assert one.header == message.header
        box, [result] = one.bbox, one.results
        assert result.hypothesis.class_id == "person"
        assert result.hypothesis.score == min(existence, 1.0)
        assert result.pose.pose == box.center
        assert (box.size.x, box.size.y, box.size.z) == (0.6, 0.6, tall)
        assert box.center.position.z == pytest.approx(-0.1 + tall / 2)
        assert yaw(box.center.orientation) == pytest.approx(heading)
        covariance = np.array(result.pose.covariance).reshape(6, 6)
        assert np.array_equal(covariance[:3, :3], truth.covariance[:3, :3])
        assert covariance[5, 5] == 0.04


def test_an_unknown_heading_has_the_variance_of_all_directions() -> None:
    [one] = people_detections(TYPES, output(person())).detections
    assert yaw(one.bbox.center.orientation) == 0.0
    assert one.results[0].pose.covariance[35] == pytest.approx(math.pi**2 / 3)


def test_who_lies_has_a_flat_box() -> None:
    [one] = people_detections(TYPES, output(person(posture=Posture.LYING))).detections
    assert one.bbox.size.z < 0.8 < 1.8 < one.bbox.size.x


def test_poses_are_of_body_parts() -> None:
    """A node that measures distances to points sees the feet, the head, and a hand held out."""
    places = np.full((17, 3), np.nan)
    places[9] = (3.2, -1.0, 1.3)
    joints = Points3D(places, np.zeros((17, 3, 3)))
    reaching = person(heading=1.0, heading_variance=0.1, keypoints=joints)
    message = over_the_wire(people_poses(TYPES, output(person("1", place=(9, 0, 0)), reaching)))
    assert stamp_of(message) == STAMP and message.header.frame_id == "base_link"
    found = [(p.position.x, p.position.y, p.position.z) for p in message.poses]
    for part in ((9, 0, 0), (9, 0, 1.8), (4, -1, 0), (4, -1, 1.8), (3.2, -1.0, 1.3)):
        assert part in [pytest.approx(one) for one in found]
    assert np.isfinite(found).all()
    assert [yaw(pose.orientation) for pose in message.poses[5:]] == pytest.approx([1.0] * 6)


def test_who_lies_reaches_as_far_as_the_feet_in_every_direction() -> None:
    """Who measures distances to points must not find a body that lies only at its hips."""
    lying = person(posture=Posture.LYING)
    points = body_points(lying)
    for angle in np.arange(0.0, 2 * np.pi, 0.1):
        for reach in (0.2, 0.5, 0.9):  # head, knees, feet
            part = lying.position[:2] + reach * np.array([np.cos(angle), np.sin(angle)])
            assert np.linalg.norm(points[:, :2] - part, axis=1).min() < 0.4


@pytest.mark.parametrize("make", [people_detections, people_poses])
def test_nobody_is_an_empty_message_and_a_fault_is_none(make: object) -> None:
    empty = make(TYPES, output(status=PeopleStatus.DEGRADED))  # type: ignore[operator]
    assert not (empty.poses if hasattr(empty, "poses") else empty.detections)
    assert make(TYPES, output(status=PeopleStatus.ERROR)) is None  # type: ignore[operator]


@pytest.mark.parametrize("length", [0.0, -0.4, math.inf, math.nan])
def test_lengths_that_nobody_has_are_unknown(length: float) -> None:
    usual = person()
    for field, of, expected in (
        ("radius", radius_of, USUAL_RADIUS),
        ("height", height_of, USUAL_HEIGHT),
    ):
        assert of(replace(usual, **{field: length})) == expected
