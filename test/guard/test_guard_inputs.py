# SPDX-License-Identifier: Apache-2.0
"""Messages become the guard's values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from geometry_msgs.msg import Twist

from hrnet_pose_ros.fusion.person import MotionState, People, Posture
from hrnet_pose_ros.fusion.person import Person as FusedPerson
from hrnet_pose_ros.fusion.refusals import Source
from hrnet_pose_ros.guard.inputs import PeopleReport, VelocityCommand
from hrnet_pose_ros.msg import Person, PersonArray


def message() -> PersonArray:
    array = PersonArray()
    array.header.stamp.sec, array.header.stamp.nanosec = 12, 345
    array.status = PersonArray.DEGRADED
    one = Person(id="7", skeleton_index=-1, existence=0.75, radius=0.25, child_probability=0.5)
    one.position.x, one.position.y, one.position.z = 3.0, -1.0, 0.1
    one.velocity.x, one.velocity.y = 0.5, 0.25
    one.covariance = np.arange(36, dtype=np.float64)
    one.sources = Person.SOURCE_GROUND | Person.SOURCE_ODOMETRY
    array.people = [one]
    return array


def test_a_person_array() -> None:
    report = PeopleReport.of_message(message())
    assert report.stamp == 12_000_000_345
    assert report.status == PersonArray.DEGRADED
    [one] = report.people
    assert (one.id, one.coasting, one.existence, one.radius) == ("7", True, 0.75, 0.25)
    assert one.child_probability == 0.5
    assert one.position.tolist() == [3.0, -1.0]
    assert one.velocity.tolist() == [0.5, 0.25]
    assert one.covariance.tolist() == [
        [0, 1, 3, 4],
        [6, 7, 9, 10],
        [18, 19, 21, 22],
        [24, 25, 27, 28],
    ]


def test_a_velocity_relative_to_the_vehicle_is_not_known() -> None:
    array = message()
    array.people[0].sources = Person.SOURCE_LIDAR
    [one] = PeopleReport.of_message(array).people
    assert np.isnan(one.velocity).all()
    assert not one.velocity_known


def test_people_of_the_fusion_are_the_same() -> None:
    one = FusedPerson(
        id="7",
        detection_id="",
        skeleton_index=0,
        position=np.array([3.0, -1.0, 0.0]),
        velocity=np.array([0.5, 0.25, 0.0]),
        covariance=np.eye(6),
        existence=0.9,
        posture=Posture.UPRIGHT,
        motion=MotionState.WALKING,
        sources=Source.ODOMETRY,
    )
    report = PeopleReport.of_people(People(5, (one,), Source.ODOMETRY))
    [found] = report.people
    assert (report.stamp, report.status, found.coasting) == (5, 0, False)
    assert found.velocity.tolist() == [0.5, 0.25]
    assert math.isnan(found.radius)
    assert found.placed
    assert found.velocity_known


@pytest.mark.parametrize(
    ("covariance", "placed"),
    [
        (np.diag([0.1, 0.1]), True),
        (np.zeros((2, 2)), True),
        (np.diag([-0.1, 0.1]), False),
        (np.array([[0.1, 0.2], [0.2, 0.1]]), False),
        (np.array([[0.1, np.nan], [np.nan, 0.1]]), False),
        (np.diag([1e155, 1e155]), True),  # nothing is known, and that is said with a large number
    ],
)
def test_a_covariance_is_one(covariance: np.ndarray, placed: bool) -> None:
    array = message()
    whole = np.eye(6)
    whole[:2, :2] = covariance
    array.people[0].covariance = whole.ravel()
    [one] = PeopleReport.of_message(array).people
    assert one.placed is placed


def test_a_radius_below_zero_is_not_known() -> None:
    array = message()
    array.people[0].radius = -0.5
    [one] = PeopleReport.of_message(array).people
    assert math.isnan(one.radius)


def test_a_twist() -> None:
    twist = Twist()
    twist.linear.x, twist.linear.y, twist.angular.z = 1.0, 0.5, -0.25
    command = VelocityCommand.of_message(twist)
    assert command == VelocityCommand.planar(1.0, -0.25, 0.5)
    assert command.on_ground.tolist() == [1.0, 0.5, -0.25]
    assert not VelocityCommand(linear=(0.0, 0.0, math.nan)).usable
    assert not VelocityCommand.planar(-1e155).usable
