# SPDX-License-Identifier: Apache-2.0
"""The vehicle: where it is and how it pitches at any time, and where its sensors really sit.

``base_link`` lies on the ground under the middle of the vehicle, fixed to its body (REP 105), so
that it pitches and rolls with it. The level base frame has the same origin and heading, with z
against gravity: the truth is in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hrnet_pose_ros.fusion.transforms import (
    OPTICAL_TO_BODY,
    Transform,
    rotation_rpy,
    rotation_vector,
)
from hrnet_pose_ros.simulation.curves import Curve, blur
from hrnet_pose_ros.simulation.scene_configs import VehicleConfig
from hrnet_pose_ros.simulation.sensor_configs import ErrorConfig, MountConfig

GRID = 0.01  # s
MARGIN = 2.0  # s before and after the scenario
SMOOTHING = 0.3  # s: standard deviation of the blur of speeds
PITCH_SMOOTHING = 0.06  # s: the same of pitch jumps
# Frequencies of pitch and roll in Hz, with the fraction of the variance of each.
PITCH_WAVES = ((1.3, 0.6), (2.1, 0.3), (4.0, 0.1))


class MovingVehicle(Protocol):
    """What sensors and truth ask of a vehicle."""

    def pose(self, time: float) -> Transform:
        """From ``base_link`` to the world."""
        ...

    def level_pose(self, time: float) -> Transform:
        """From the level base frame to the world."""
        ...

    def speeds(self, time: float) -> tuple[float, float]:
        """Forward speed in m/s and yaw rate in rad/s."""
        ...

    def tilt(self, time: float) -> tuple[float, float]:
        """Roll and pitch in rad."""
        ...


class Vehicle:
    """The motion of the vehicle through a scenario of some duration in s."""

    def __init__(
        self, config: VehicleConfig, duration: float, generator: np.random.Generator
    ) -> None:
        times = np.arange(-MARGIN, duration + MARGIN + GRID, GRID)
        speed, rate = np.zeros((2, len(times)))
        now = 0.0
        for number, part in enumerate(config.drive):
            begin = now if number else -math.inf  # it moves already at time 0
            inside = (times >= begin) & (times < now + part.duration)
            speed[inside], rate[inside] = part.speed, math.radians(part.yaw_rate)
            now += part.duration
        speed = blur(speed, SMOOTHING / GRID)
        rate = blur(rate, SMOOTHING / GRID)
        start = int(np.argmin(np.abs(times)))
        yaw = np.cumsum(rate) * GRID
        yaw -= yaw[start]
        x, y = np.cumsum(speed * np.cos(yaw)) * GRID, np.cumsum(speed * np.sin(yaw)) * GRID
        pitch, roll = self._pitch_and_roll(config, times, speed, generator)
        values = [x - x[start], y - y[start], yaw, pitch, roll]
        self._curve = Curve(float(times[0]), GRID, np.stack(values, axis=1))

    @staticmethod
    def _pitch_and_roll(
        config: VehicleConfig,
        times: np.ndarray,
        speed: np.ndarray,
        generator: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        moving = np.clip(np.abs(speed), 0, 1)
        angles = []
        for deviation in (config.pitching, 0.5 * config.pitching):
            angle = np.zeros_like(times)
            for frequency, part in PITCH_WAVES:
                phase = generator.uniform(0, 2 * math.pi)
                wave = np.sin(2 * math.pi * frequency * times + phase)
                angle += deviation * math.sqrt(2 * part) * wave
            angles.append(moving * angle)
        pitch = angles[0] - config.diving * np.gradient(speed, GRID)
        jumps = np.zeros_like(times)
        for jump in config.pitch_jumps:
            jumps[(times >= jump.time) & (times < jump.time + jump.duration)] += jump.angle
        pitch += blur(jumps, PITCH_SMOOTHING / GRID)
        return np.radians(pitch), np.radians(angles[1])

    def pose(self, time: float) -> Transform:
        """From ``base_link`` to the world."""
        x, y, yaw, pitch, roll = self._curve(time)
        return Transform(rotation_rpy(roll, pitch, yaw), np.array([x, y, 0.0]))

    def level_pose(self, time: float) -> Transform:
        """From the level base frame to the world."""
        x, y, yaw, _, _ = self._curve(time)
        return Transform(rotation_rpy(0.0, 0.0, yaw), np.array([x, y, 0.0]))

    def speeds(self, time: float) -> tuple[float, float]:
        """Forward speed in m/s and yaw rate in rad/s."""
        x, y, yaw, _, _ = self._curve.rates(time)
        heading = self._curve(time)[2]
        return float(x * np.cos(heading) + y * np.sin(heading)), float(yaw)

    def tilt(self, time: float) -> tuple[float, float]:
        """Roll and pitch in rad."""
        _, _, _, pitch, roll = self._curve(time)
        return float(roll), float(pitch)


@dataclass(frozen=True)
class Mount:
    """Where a sensor is: what its transform says, and what is true, both to ``base_link``."""

    frame: str
    nominal: Transform
    true: Transform


def mount_of(
    frame: str,
    config: MountConfig,
    errors: ErrorConfig,
    generator: np.random.Generator,
    *,
    optical: bool = False,
) -> Mount:
    """The mount of a sensor, with the errors drawn."""
    angles = np.radians([config.roll, config.pitch, config.yaw])
    body = Transform(rotation_rpy(*angles), np.array(config.at))
    error = errors.mount_angle if config.angle_error is None else config.angle_error
    turn = rotation_vector(math.radians(error) * generator.standard_normal(3))
    shift = errors.mount_position * generator.standard_normal(3)
    true = Transform(body.rotation @ turn, body.translation + shift)
    if optical:
        looks = Transform(OPTICAL_TO_BODY, np.zeros(3))
        body, true = body @ looks, true @ looks
    return Mount(frame, body, true)
