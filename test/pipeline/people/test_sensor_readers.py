# SPDX-License-Identifier: Apache-2.0
"""Depth images, scans, ranges, IMU and odometry as messages: units, conventions, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sensor_messages import (
    camera_info,
    header,
    image,
    imu,
    odometry,
    quaternion,
    range_reading,
    scan,
    vector,
)

from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion.transforms import FixedExtrinsics, Transform, rotation_rpy
from hrnet_pose_ros.pipeline.people.depth_images import depth_image_of
from hrnet_pose_ros.pipeline.people.message_fields import MessageRefused
from hrnet_pose_ros.pipeline.people.motion_samples import imu_sample_of, odometry_sample_of
from hrnet_pose_ros.pipeline.people.range_readings import laser_scan_of, range_of

METRES = np.array([[1.5, 0.0, 2.25], [4.0, 8.0, 0.5]], np.float32)
NOWHERE = FixedExtrinsics({})


def refusal(read: Callable[[], Any]) -> Refusal:
    with pytest.raises(MessageRefused) as error:
        read()
    assert str(error.value)
    return error.value.reason


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(("encoding", "kind", "unit"), [("16UC1", "u2", 1000), ("32FC1", "f4", 1)])
def test_depth_in_both_encodings(
    encoding: str, kind: str, unit: int, padding: int, order: str
) -> None:
    raw = (METRES * unit).astype(order + kind)
    rows = np.zeros((2, 3 * raw.itemsize + padding), np.uint8)
    rows[:, : 3 * raw.itemsize] = raw.view(np.uint8)
    message = image(
        raw, encoding, data=rows.ravel(), step=rows.shape[1], is_bigendian=int(order == ">")
    )
    answer = depth_image_of(message, camera_info(3, 2), rectified=False)
    np.testing.assert_allclose(answer.depth, METRES, atol=1e-6)
    assert answer.camera.fx == 100 and answer.frame == "depth"


def test_depth_that_cannot_be_used() -> None:
    info = camera_info(3, 2)
    good = image(METRES, "32FC1")

    def of(message: Any, info: Any = info) -> Refusal:
        return refusal(lambda: depth_image_of(message, info, rectified=False))

    assert of(good, None) is Refusal.NO_CAMERA_INFO
    assert of(good, camera_info(3, 2, frame="colour")) is Refusal.NO_CAMERA_INFO
    assert of(good, camera_info(3, 2, k=np.zeros(9))) is Refusal.NO_CAMERA_INFO
    assert of(image(METRES, "32FC1", frame="")) is Refusal.NO_EXTRINSICS
    assert of(image(METRES, "mono16")) is Refusal.MALFORMED
    assert of(image(METRES, "32FC1", step=4)) is Refusal.MALFORMED
    assert of(image(METRES, "32FC1", height=3)) is Refusal.MALFORMED
    assert of(image(METRES, "32FC1", width=0)) is Refusal.MALFORMED
    assert of(image(np.full_like(METRES, np.nan), "32FC1")) is Refusal.EMPTY
    assert of(image(np.zeros((2, 3), np.uint16), "16UC1")) is Refusal.EMPTY


def test_scans() -> None:
    answer = laser_scan_of(scan([math.inf, math.nan, 2.0], time_increment=math.nan))
    assert answer.ranges.tolist()[2] == 2.0 and answer.time_increment == 0
    assert laser_scan_of(scan([math.inf] * 3)).range_max == 30  # nothing there: a measurement
    assert refusal(lambda: laser_scan_of(scan([math.nan] * 3))) is Refusal.EMPTY
    assert refusal(lambda: laser_scan_of(scan([]))) is Refusal.EMPTY
    for wrong in ({"angle_increment": 0.0}, {"angle_min": math.nan}, {"range_max": 0.0}):
        assert refusal(lambda wrong=wrong: laser_scan_of(scan([1], **wrong))) is Refusal.MALFORMED


def test_a_scan_without_any_measurement_is_empty() -> None:
    """Below range_min is no measurement (LaserScan.msg): a covered scanner may send zeros."""
    assert refusal(lambda: laser_scan_of(scan([0.0] * 3))) is Refusal.EMPTY
    assert refusal(lambda: laser_scan_of(scan([-1.0, math.nan]))) is Refusal.EMPTY
    assert len(laser_scan_of(scan([-math.inf] * 3)).ranges) == 3  # something is too near
    unset = {"range_min": 0.0, "range_max": 0.0}
    assert refusal(lambda: laser_scan_of(scan([1.0], **unset))) is Refusal.MALFORMED


def test_units_of_a_scan_that_cannot_be() -> None:
    degrees = scan([1.0] * 541, angle_min=-135.0, angle_increment=0.5)
    with pytest.raises(MessageRefused, match=r"541 beams cover 270 rad.*in rad"):
        laser_scan_of(degrees)
    turn = laser_scan_of(scan([1.0] * 361, angle_increment=-math.radians(1), time_increment=1e-4))
    assert turn.time_increment == 1e-4
    # The time of a whole scan, or ms: the beams would be of minutes later.
    assert laser_scan_of(scan([1.0] * 361, time_increment=0.1)).time_increment == 0


def test_ranges_of_ultrasound_and_infrared() -> None:
    assert range_of(range_reading(1.5)).range == 1.5
    assert range_of(range_reading(math.inf, radiation_type=1)).range == math.inf
    assert range_of(range_reading(-math.inf)).range == -math.inf
    assert refusal(lambda: range_of(range_reading(math.nan))) is Refusal.EMPTY
    for wrong in ({"radiation_type": 7}, {"field_of_view": 0.0}, {"min_range": 5.0}):
        assert refusal(lambda wrong=wrong: range_of(range_reading(1, **wrong))) is Refusal.MALFORMED


def test_an_imu_without_some_quantities() -> None:
    missing = np.array([-1.0] + [0.0] * 8)
    whole = imu_sample_of(imu())
    assert whole.orientation is not None and whole.linear_acceleration is not None
    assert imu_sample_of(imu(orientation_covariance=missing)).orientation is None
    assert imu_sample_of(imu(orientation=quaternion(w=0.0))).orientation is None
    assert imu_sample_of(imu(linear_acceleration_covariance=missing)).linear_acceleration is None
    for wrong in (
        {"angular_velocity_covariance": missing},
        {"angular_velocity": vector(math.nan)},
        {"orientation": quaternion(w=2.0)},
    ):
        assert refusal(lambda wrong=wrong: imu_sample_of(imu(**wrong))) is Refusal.MALFORMED
    assert refusal(lambda: imu_sample_of(imu(header=header("")))) is Refusal.NO_EXTRINSICS


def test_odometry_of_the_base_and_of_another_frame() -> None:
    own = odometry_sample_of(odometry(), "base_link", NOWHERE)
    assert own.position.tolist() == [1, 2, 0] and own.linear.tolist() == [1, 0, 0]
    # The rear axle is 1 m behind the base and turned by 90°: a turn moves the base sideways.
    axle = Transform(rotation_rpy(0, 0, math.pi / 2), np.array([-1.0, 0.0, 0.0]))
    places = FixedExtrinsics({"axle": axle})
    moved = odometry_sample_of(
        odometry("/axle", linear=vector(0, 0, 0), angular=vector(z=0.5)), "base_link", places
    )
    np.testing.assert_allclose(moved.linear, [0, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(moved.angular, [0, 0, 0.5], atol=1e-12)
    np.testing.assert_allclose(moved.position, [1, 1, 0], atol=1e-12)
    # And back: the axle's pose follows from the base's.
    back = Transform.from_quaternion(moved.orientation, moved.position) @ axle
    np.testing.assert_allclose(back.rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(back.translation, [1, 2, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (odometry(""), Refusal.MALFORMED),
        (odometry("drone"), Refusal.NO_EXTRINSICS),
        (odometry(position=(math.nan, 0, 0)), Refusal.MALFORMED),
        (odometry(orientation=quaternion(w=0.0)), Refusal.MALFORMED),
        (odometry(angular=vector(math.inf)), Refusal.MALFORMED),
    ],
)
def test_odometry_that_cannot_be_used(message: Any, reason: Refusal) -> None:
    assert refusal(lambda: odometry_sample_of(message, "base_link", NOWHERE)) is reason
