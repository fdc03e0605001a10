# SPDX-License-Identifier: Apache-2.0
"""Small scenarios of the simulator, without errors where a test has closed forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.scene_configs import PersonConfig, StepConfig, VehicleConfig
from hrnet_pose_ros.simulation.sensor_configs import (
    ErrorConfig,
    ImuConfig,
    LidarConfig,
    MountConfig,
    OdometryConfig,
    ScanConfig,
    SensorConfigs,
    UltrasonicConfig,
)

EXACT = ErrorConfig(mount_angle=0.0, mount_position=0.0, clock=0.0)
STILL = VehicleConfig(pitching=0.0, diving=0.0)


def level(at: tuple[float, float, float]) -> MountConfig:
    """A mount without tilt and without error."""
    return MountConfig(at, angle_error=0.0)


def exact_sensors() -> SensorConfigs:
    """Sensors that look forward, level, and without noise where that is possible."""
    default = SensorConfigs()
    return replace(
        default,
        camera=replace(default.camera, mount=level((0.0, 0.0, 1.4))),
        depth=replace(default.depth, mount=level((0.0, 0.0, 1.4)), error=0.0, holes=0.0),
        lidar=LidarConfig(mount=level((0.0, 0.0, 1.8)), error=0.0, lost=0.0),
        scan=ScanConfig(mount=level((0.5, 0.0, 0.25)), error=0.0, lost=0.0),
        ultrasonic=UltrasonicConfig(error=0.0, missed=0.0),
        imu=ImuConfig(
            mount=level((0.0, 0.0, 0.5)),
            angle_error=0.0,
            rate_error=0.0,
            rate_bias=0.0,
            acceleration_error=0.0,
        ),
        odometry=OdometryConfig(scale_error=0.0, yaw_rate_bias=0.0, speed_error=0.0),
    )


def exact_scenario(**changes: Any) -> SimulationScenario:
    """A standing vehicle and a man of 1.80 m who stands 5 m ahead and faces it."""
    standing = PersonConfig(
        (5.0, 0.0), kind="man", stature=1.8, steps=(StepConfig(stay=9.0, heading=180.0),)
    )
    values: dict[str, Any] = {
        "name": "exact",
        "duration": 1.0,
        "vehicle": STILL,
        "people": (standing,),
        "errors": EXACT,
        "configs": exact_sensors(),
    }
    return SimulationScenario(**(values | changes))
