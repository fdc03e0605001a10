# SPDX-License-Identifier: Apache-2.0
"""Simulated sensors against closed forms, and their clocks, losses and faults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_scenes import EXACT, STILL, exact_scenario

from hrnet_pose_ros.fusion.transforms import rotation_of
from hrnet_pose_ros.simulation.motion_sensors import GRAVITY
from hrnet_pose_ros.simulation.residuals import ABSENT, VISIBLE
from hrnet_pose_ros.simulation.scenario import FaultConfig
from hrnet_pose_ros.simulation.scene_configs import (
    DriveConfig,
    ObstacleConfig,
    PersonConfig,
    PitchJumpConfig,
    StepConfig,
    VehicleConfig,
)
from hrnet_pose_ros.simulation.sensor import START_NS
from hrnet_pose_ros.simulation.sensor_configs import ErrorConfig, SensorConfigs
from hrnet_pose_ros.simulation.simulator import Simulator
from hrnet_pose_ros.simulation.skeleton_sensor import SimulatedCamera

WALL = ObstacleConfig("box", at=(8.0, 0.0), size=(0.2, 60.0), height=40.0)
DRIVING = VehicleConfig(drive=(DriveConfig(9.0, 2.0, yaw_rate=10.0),), pitching=0.0, diving=0.0)


def camera_of(simulator: Simulator) -> SimulatedCamera:
    camera = simulator.sensors["camera"]
    assert isinstance(camera, SimulatedCamera)
    return camera


def test_projections_are_those_of_a_pinhole() -> None:
    simulator = Simulator(exact_scenario())
    camera = camera_of(simulator)
    [view] = camera.views(0.5)
    joints = simulator.scene.points(np.array([0.5]))[0, 0, :17]
    x, y, z = joints.T  # the camera is at (0, 0, 1.4) and looks along x
    focal = 640 / np.tan(np.radians(35))
    expected = np.stack([639.5 - focal * y / x, 359.5 - focal * (z - 1.4) / x], axis=1)
    assert view.pixels == pytest.approx(expected, abs=1e-6)
    assert view.visibility[0] == VISIBLE  # the nose of someone who faces the camera
    assert view.visible > 0.9
    left, _, width, height = view.box
    assert left < view.pixels[:, 0].min() < view.pixels[:, 0].max() < left + width
    assert height == pytest.approx(focal * 1.8 / 5, rel=0.05)


@pytest.mark.parametrize(
    ("heading", "left_of_right", "nose"),
    [(180.0, False, VISIBLE), (0.0, True, ABSENT)],
)
def test_who_turns_away_shows_no_face(heading: float, left_of_right: bool, nose: int) -> None:
    person = PersonConfig((5.0, 0.0), steps=(StepConfig(stay=9.0, heading=heading),))
    [view] = camera_of(Simulator(exact_scenario(people=(person,)))).views(0.5)
    assert (view.pixels[5, 0] < view.pixels[6, 0]) == left_of_right  # the shoulders
    assert view.visibility[0] == nose


def test_who_is_hidden_is_not_detected() -> None:
    screen = ObstacleConfig("box", at=(3.0, 0.0), size=(0.2, 3.0), height=2.5)
    simulator = Simulator(exact_scenario(obstacles=(screen,)))
    assert camera_of(simulator).views(0.5) == []
    assert len(camera_of(simulator).measure(0.5)) == 0


def test_depth_is_along_the_optical_axis() -> None:
    simulator = Simulator(exact_scenario(people=(), obstacles=(WALL,)))
    depth = simulator.sensors["depth"].measure(0.5).depth
    flat = depth[: len(depth) // 2]  # above the horizon
    assert flat[flat > 0] == pytest.approx(7.9, abs=5e-4)  # as near at the edge as in the middle
    assert (flat == 0).mean() < 0.02


def test_a_sweep_is_measured_where_the_vehicle_is_at_each_time() -> None:
    """On a turning vehicle, each point lies on the wall from the pose at its own time."""
    simulator = Simulator(exact_scenario(people=(), obstacles=(WALL,), vehicle=DRIVING))
    lidar = simulator.sensors["lidar"]
    cloud = lidar.measure(0.5)
    assert cloud.times is not None
    assert (cloud.times.min(), cloud.times.max()) == pytest.approx((0.0, 0.1), abs=2e-4)
    assert np.isnan(cloud.points).any()  # beams into the sky
    place = lidar.mount.nominal
    seen = np.isfinite(cloud.points[:, 0]) & (cloud.points[:, 2] > -1.0)
    x = [
        (simulator.vehicle.pose(0.5 + float(t)) @ place).apply(point)[0]
        for point, t in zip(cloud.points[seen], cloud.times[seen], strict=True)
    ]
    # The instants of the simulation are 5 ms apart: 2.5 ms at 2 m/s and at 10 degrees per second.
    assert np.array(x) == pytest.approx(7.9, abs=0.03)
    still = (simulator.vehicle.pose(0.5) @ place).apply(cloud.points[seen])[:, 0]
    assert np.abs(still - 7.9).max() > 0.1


def test_a_scan_has_infinities_as_rep_117_says() -> None:
    near = ObstacleConfig("pole", at=(0.56, 0.0), size=(0.04,), height=1.0)
    person = PersonConfig((1.5, -2.5), steps=(StepConfig(stay=9.0, heading=120.0),))
    simulator = Simulator(exact_scenario(people=(person,), obstacles=(near,)))
    scan = simulator.sensors["scan"].measure(0.5)
    assert scan.ranges[270] == -np.inf  # 2 cm ahead
    assert scan.ranges[0] == np.inf
    angles = scan.angle_min + scan.angle_increment * np.arange(len(scan.ranges))
    with np.errstate(invalid="ignore"):
        hits = np.stack([scan.ranges * np.cos(angles), scan.ranges * np.sin(angles)], axis=1)
    legs = hits[np.isfinite(scan.ranges)] + [0.5, 0.0]
    assert len(legs) >= 4
    assert np.abs(legs - [1.5, -2.5]).max() < 0.25
    assert len(np.unique(legs[:, 1] > -2.5)) == 2  # both legs


@pytest.mark.parametrize(
    ("at", "expected"), [((2.6, 0.12), 1.9), ((9.0, 0.0), np.inf), ((0.85, 0.2), -np.inf)]
)
def test_an_ultrasonic_sensor_gives_the_nearest_echo(
    at: tuple[float, float], expected: float
) -> None:
    pole = ObstacleConfig("pole", at=at, size=(0.1,), height=2.0)
    simulator = Simulator(exact_scenario(people=(), obstacles=(pole,)))
    value = simulator.sensors["ultrasonic_front_left"].measure(0.5).range
    assert value == pytest.approx(expected, abs=0.02)


def test_an_imu_at_rest_points_up() -> None:
    sample = Simulator(exact_scenario(people=())).sensors["imu"].measure(0.5)
    assert sample.linear_acceleration == pytest.approx([0, 0, GRAVITY], abs=1e-6)
    assert sample.angular_velocity == pytest.approx([0, 0, 0], abs=1e-9)


def test_an_imu_knows_the_pitch_and_its_rate() -> None:
    vehicle = replace(STILL, pitch_jumps=(PitchJumpConfig(time=0.3, angle=4.0, duration=9.0),))
    simulator = Simulator(exact_scenario(people=(), vehicle=vehicle))
    imu = simulator.sensors["imu"]
    times = np.arange(0.0, 0.9, 0.01)
    samples = [imu.measure(float(time)) for time in times]
    turned = np.sum([sample.angular_velocity for sample in samples], axis=0) * 0.01
    assert np.degrees(turned) == pytest.approx([0, 4.0, 0], abs=0.02)  # about y: nose down
    up = rotation_of(samples[-1].orientation)[2]
    assert np.degrees(np.arcsin(up[0])) == pytest.approx(-4.0, abs=0.02)


def test_odometry_without_errors_is_the_drive() -> None:
    simulator = Simulator(exact_scenario(people=(), vehicle=DRIVING, duration=3.0))
    events = list(simulator.sensors["odometry"].events())
    first, last = events[0], events[-1]
    begin, end = (
        simulator.vehicle.level_pose((event.time - START_NS) / 1e9) for event in (first, last)
    )
    true = begin.inverse() @ end
    assert last.value.position[:2] == pytest.approx(true.translation[:2], abs=0.01)
    assert rotation_of(last.value.orientation) == pytest.approx(true.rotation, abs=1e-3)
    assert last.value.linear[0] == pytest.approx(2.0, abs=1e-4)


def test_clocks_and_latencies() -> None:
    errors = replace(EXACT, clock=0.02)
    simulator = Simulator(exact_scenario(errors=errors, duration=2.0))
    for name, sensor in simulator.sensors.items():
        events = list(sensor.events())
        offsets = {event.value.stamp - event.time for event in events}
        assert len(offsets) == 1, name  # a clock is off by a constant
        assert abs(offsets.pop()) <= (0 if name == "camera" else 20_000_000)
        arrivals = [event.arrival for event in events]
        assert arrivals == sorted(arrivals)
        latency = sensor.timing.latency
        assert min(e.arrival - e.time for e in events) >= latency * 1e9 - 1


def test_mounts_are_off_by_what_the_scenario_says() -> None:
    angles = []
    for seed in range(25):
        errors = ErrorConfig(mount_angle=0.5)
        scenario = exact_scenario(errors=errors, seed=seed, people=(), configs=SensorConfigs())
        simulator = Simulator(scenario)
        for name in ("camera", "lidar", "depth"):
            mount = simulator.sensors[name].mount
            turn = mount.nominal.rotation.T @ mount.true.rotation
            angles.append(np.degrees(np.array([turn[2, 1], turn[0, 2], turn[1, 0]])))
    # 225 draws: the standard error of a standard deviation is 4.7 %.
    assert np.std(angles) == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("inside", [True, False])
def test_an_imu_in_the_camera_has_the_cameras_mount_error(inside: bool) -> None:
    configs = SensorConfigs()
    configs = replace(configs, imu=replace(configs.imu, in_camera=inside))
    scenario = exact_scenario(errors=ErrorConfig(mount_angle=0.5), people=(), configs=configs)
    sensors = Simulator(scenario).sensors
    camera, imu = sensors["camera"].mount, sensors["imu"].mount
    known, real = (
        (pose[0].inverse() @ pose[1]).rotation
        for pose in ((camera.nominal, imu.nominal), (camera.true, imu.true))
    )
    assert np.allclose(known, real, atol=1e-9) == inside
    assert not np.allclose(imu.nominal.rotation, imu.true.rotation, atol=1e-4)


def faulty(sensor: str, kind: str, amount: float = 1.0) -> list:
    fault = FaultConfig(sensor, kind, start=0.4, end=0.8, amount=amount)  # type: ignore[arg-type]
    simulator = Simulator(exact_scenario(duration=1.2, faults=(fault,)))
    return list(simulator.sensors[sensor].events())


def during(events: list) -> list:
    return [event for event in events if 0.4 <= (event.time - START_NS) / 1e9 < 0.8]


def test_a_silent_sensor_returns() -> None:
    events = faulty("lidar", "silent")
    assert during(events) == []
    assert events[-1].time > START_NS + 800_000_000


def test_late_messages_arrive_late() -> None:
    events = faulty("camera", "late", 0.5)
    assert min(event.arrival - event.time for event in during(events)) >= 0.5e9
    arrivals = [event.arrival for event in events]
    assert arrivals == sorted(arrivals)


def test_stamps_jump() -> None:
    events = faulty("imu", "stamp_offset", -3.0)
    assert {event.value.stamp - event.time for event in during(events)} == {-3_000_000_000}


@pytest.mark.parametrize("sensor", ["camera", "depth", "lidar", "scan"])
def test_empty_measurements(sensor: str) -> None:
    for event in during(faulty(sensor, "empty")):
        value = event.value
        content = {
            "camera": lambda v: len(v),
            "depth": lambda v: np.count_nonzero(v.depth),
            "lidar": lambda v: len(v.points),
            "scan": lambda v: len(v.ranges),
        }[sensor]
        assert content(value) == 0


@pytest.mark.parametrize(
    ("sensor", "array"),
    [
        ("camera", lambda v: v.poses.keypoints),
        ("depth", lambda v: v.depth),
        ("lidar", lambda v: v.points),
        ("scan", lambda v: v.ranges),
        ("ultrasonic_left", lambda v: np.array([v.range])),
        ("imu", lambda v: v.angular_velocity),
        ("odometry", lambda v: v.linear),
    ],
)
def test_nan_measurements(sensor: str, array) -> None:  # type: ignore[no-untyped-def]
    events = during(faulty(sensor, "nan"))
    assert events
    assert all(np.isnan(array(event.value)).all() for event in events)
