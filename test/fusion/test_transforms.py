# SPDX-License-Identifier: Apache-2.0
"""Frames: rotations, transforms, levelling by gravity, and carrying by the motion of the base."""

from __future__ import annotations

import numpy as np
import pytest
from fusion_scene import EXTRINSICS, START, imu, odometry
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.buffers import StampLimits
from hrnet_pose_ros.fusion.ego_motion import EgoMotion
from hrnet_pose_ros.fusion.gravity import GravityAlignment, levelling
from hrnet_pose_ros.fusion.inputs import ImuSample
from hrnet_pose_ros.fusion.refusals import Refusal, Source
from hrnet_pose_ros.fusion.transforms import (
    FixedExtrinsics,
    Transform,
    rotation_of,
    rotation_rpy,
    rotation_vector,
    yaw_of,
)

ANGLE = st.floats(-3.1, 3.1)
VECTOR = st.tuples(*[st.floats(-50, 50)] * 3)
QUICK = settings(max_examples=60, deadline=None)
MS = 1_000_000


@QUICK
@given(ANGLE, st.floats(-1.5, 1.5), ANGLE, VECTOR, VECTOR)
def test_a_transform_and_its_inverse_change_nothing(
    roll: float, pitch: float, yaw: float, shift: tuple, point: tuple
) -> None:
    rotation = rotation_rpy(roll, pitch, yaw)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    there = Transform(rotation, np.array(shift))
    np.testing.assert_allclose(there.inverse().apply(there.apply(point)), point, atol=1e-9)
    both = there.inverse() @ there
    np.testing.assert_allclose(both.rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(both.translation, 0, atol=1e-9)


@QUICK
@given(VECTOR)
def test_quaternion_and_rotation_vector_are_the_same_rotation(vector: tuple) -> None:
    v = np.array(vector) / 20
    angle = np.linalg.norm(v)
    axis = v / angle if angle > 1e-6 else np.zeros(3)
    q = [*(np.sin(angle / 2) * axis), np.cos(angle / 2)]
    np.testing.assert_allclose(rotation_of(q), rotation_vector(angle * axis), atol=1e-9)


def test_a_quarter_turn_left_points_x_to_y() -> None:
    turn = rotation_rpy(0, 0, np.pi / 2)
    np.testing.assert_allclose(turn @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    assert yaw_of(turn) == pytest.approx(np.pi / 2)
    # REP 103: a positive pitch lets the nose sink.
    assert (rotation_rpy(0, 0.1, 0) @ [1, 0, 0])[2] < 0


@pytest.mark.parametrize("q", [[0, 0, 0, 0], [1, 1, 1, 1], [np.nan, 0, 0, 1], [0, 0, 1]])
def test_a_bad_quaternion_is_an_error_that_shows_it(q: list[float]) -> None:
    with pytest.raises(ValueError, match="quaternion must be"):
        rotation_of(q)


def test_a_bad_transform_is_an_error() -> None:
    with pytest.raises(ValueError, match="orthonormal"):
        Transform(np.diag([1.0, 1.0, -1.0]), np.zeros(3))
    with pytest.raises(ValueError, match="a transform is"):
        Transform(np.eye(3), np.array([0.0, np.nan, 0.0]))


def test_unknown_frames_have_no_place() -> None:
    assert FixedExtrinsics({}).sensor_to_base("camera", START) is None


@QUICK
@given(VECTOR.filter(lambda v: np.linalg.norm(v) > 1))
def test_levelling_turns_up_to_z_by_the_smallest_angle(vector: tuple) -> None:
    up = np.array(vector) / np.linalg.norm(vector)
    if up[2] < -0.99:
        return
    turn = levelling(up)
    np.testing.assert_allclose(turn @ up, [0, 0, 1], atol=1e-9)
    angle = np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))
    assert angle == pytest.approx(np.arccos(np.clip(up[2], -1, 1)), abs=1e-6)


def samples(tilt: np.ndarray, *, acceleration: bool) -> GravityAlignment:
    gravity = GravityAlignment(StampLimits())
    angle = 0.05 if tilt[2, 0] else 0.0
    for k in range(20):
        stamp = START + k * 10 * MS
        sample = imu(stamp, tilt)
        if not acceleration:
            # tilt turns the base to level, as the IMU's orientation does.
            q = np.array([0.0, np.sin(angle / 2), 0.0, np.cos(angle / 2)])
            sample = ImuSample(stamp, "imu", np.zeros(3), None, q)
        assert gravity.add(sample, EXTRINSICS, stamp) is None
    return gravity


@pytest.mark.parametrize("acceleration", [True, False])
def test_the_imu_gives_the_tilt(acceleration: bool) -> None:
    tilt = rotation_rpy(0, 0.05, 0)
    found = samples(tilt, acceleration=acceleration).tilt(START + 195 * MS)
    assert found is not None
    np.testing.assert_allclose(found, tilt, atol=1e-9)


def test_no_tilt_is_known_without_a_sample_near_the_stamp() -> None:
    gravity = samples(np.eye(3), acceleration=True)
    assert gravity.tilt(START + 1000 * MS) is None
    assert GravityAlignment(StampLimits()).tilt(START) is None


def test_angular_rate_is_followed_between_accelerations() -> None:
    """A base that pitches at 0.2 rad/s under an acceleration that is not gravity."""
    gravity = GravityAlignment(StampLimits())
    gravity.add(imu(START), EXTRINSICS, START)
    for k in range(1, 51):
        stamp = START + k * 10 * MS
        force = np.array([5.0, 0.0, 12.0])
        sample = ImuSample(stamp, "imu", np.array([0.0, 0.2, 0.0]), force)
        assert gravity.add(sample, EXTRINSICS, stamp) is None
    tilt = gravity.tilt(START + 500 * MS)
    assert tilt is not None
    np.testing.assert_allclose(tilt, rotation_rpy(0, 0.1, 0), atol=1e-6)


def test_the_yaw_rate_is_integrated() -> None:
    gravity = GravityAlignment(StampLimits())
    for k in range(21):
        stamp = START + k * 10 * MS
        gravity.add(imu(stamp, rate=0.5), EXTRINSICS, stamp)
    assert gravity.yaw_between(START, START + 200 * MS) == pytest.approx(0.1)
    assert gravity.yaw_between(START + 200 * MS, START) == pytest.approx(-0.1)
    motion = EgoMotion(StampLimits(), gravity).between(START, START + 200 * MS)
    assert motion.sources == Source.IMU
    # The base turned left by 0.1, so what was ahead is now 0.1 to the right.
    np.testing.assert_allclose(motion.apply(np.array([10.0, 0.0])), [9.95004, -0.99833], atol=1e-4)


def test_odometry_carries_points_and_back() -> None:
    ego = EgoMotion(StampLimits(), GravityAlignment(StampLimits()))
    for k in range(11):
        stamp = START + k * 20 * MS
        assert ego.add(odometry(stamp, x=0.1 * k, speed=5.0), stamp) is None
    there = ego.between(START, START + 200 * MS)
    assert there.sources == Source.ODOMETRY
    np.testing.assert_allclose(there.apply(np.array([[10.0, 1.0]])), [[9.0, 1.0]], atol=1e-9)
    halfway = ego.between(START, START + 110 * MS)
    np.testing.assert_allclose(halfway.apply(np.array([10.0, 1.0])), [9.45, 1.0], atol=1e-6)
    back = ego.between(START + 200 * MS, START)
    np.testing.assert_allclose(back.apply(there.apply(np.array([3.0, 4.0]))), [3, 4], atol=1e-9)
    # Beyond the newest sample, its twist: 5 m/s for 0.1 s.
    later = ego.between(START + 200 * MS, START + 300 * MS)
    np.testing.assert_allclose(later.apply(np.array([10.0, 0.0])), [9.5, 0.0], atol=1e-6)
    assert ego.between(START, START + 900 * MS).sources == Source.NONE


def test_points_with_times_are_carried_from_their_own() -> None:
    ego = EgoMotion(StampLimits(), GravityAlignment(StampLimits()))
    for k in range(11):
        stamp = START + k * 20 * MS
        ego.add(odometry(stamp, x=0.1 * k, speed=5.0), stamp)
    points = np.array([[10.0, 0.0, 1.0]] * 3, np.float32)
    moved = ego.carry(points, START, START + 200 * MS, np.array([0.0, 0.1, 0.2]))
    np.testing.assert_allclose(moved[:, 0], [9.0, 9.5, 10.0], atol=1e-5)
    assert moved.dtype == np.float32


def test_an_imu_without_acceleration_gives_the_yaw_rate_but_no_tilt() -> None:
    gravity = GravityAlignment(StampLimits())
    for k in range(21):
        stamp = START + k * 10 * MS
        sample = ImuSample(stamp, "imu", np.array([0.0, 0.0, 0.5]))
        assert gravity.add(sample, EXTRINSICS, stamp) is None
    assert gravity.tilt(START) is None
    assert gravity.yaw_between(START, START + 200 * MS) == pytest.approx(0.1)


def test_bad_samples_are_refused_and_counted() -> None:
    gravity = GravityAlignment(StampLimits())
    ego = EgoMotion(StampLimits(), gravity)
    nan = ImuSample(START, "imu", np.full(3, np.nan), np.array([0, 0, 9.81]))
    nowhere = ImuSample(START, "somewhere", np.zeros(3), np.array([0, 0, 9.81]))
    still = imu(START)
    assert gravity.add(nan, EXTRINSICS, START) is Refusal.MALFORMED
    assert gravity.add(nowhere, EXTRINSICS, START) is Refusal.NO_EXTRINSICS
    assert gravity.add(still, EXTRINSICS, START) is None
    assert gravity.add(still, EXTRINSICS, START) is Refusal.LATE
    assert gravity.add(imu(START + 100 * MS), EXTRINSICS, START) is Refusal.IN_FUTURE
    assert gravity.add(imu(START), EXTRINSICS, START + 10**9) is Refusal.TOO_OLD
    assert gravity.tally.received == 6
    assert gravity.tally.used == 1
    assert gravity.tally.refused == 5
    bad = odometry(START, x=np.inf)
    assert ego.add(bad, START) is Refusal.MALFORMED
    assert ego.add(odometry(START), START) is None
    assert ego.tally.received == ego.tally.used + ego.tally.refused == 2
