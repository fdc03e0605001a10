# SPDX-License-Identifier: Apache-2.0
"""A simulated vehicle that obeys commands while the simulation runs."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.transforms import Transform, rotation_rpy
from hrnet_pose_ros.guard.commanded_path import STILL, pose_after
from hrnet_pose_ros.guard.footprint import Footprint
from hrnet_pose_ros.simulation.scene_configs import VehicleConfig
from hrnet_pose_ros.simulation.vehicle import PITCH_WAVES

STEP = 0.01  # s


@dataclass(frozen=True)
class Drivetrain:
    """What becomes of a command.

    Attributes
    ----------
    delay
        From a command to the begin of its effect, s.
    acceleration, deceleration
        Of the footprint's fastest point, m/s².
    command_timeout
        The base stops by itself without commands for this time, s.
    """

    delay: float = 0.1
    acceleration: float = 0.8
    deceleration: float = 1.5
    command_timeout: float = 0.5


class DrivenVehicle:
    """A vehicle that starts at the origin, at rest; `advance` moves it by one `STEP`.

    A command changes the speed within the limits of the drivetrain; the curvature follows at once.
    It pitches and rolls as the simulator's own vehicle does.
    """

    def __init__(
        self,
        footprint: Footprint,
        drivetrain: Drivetrain,
        generator: np.random.Generator,
        config: VehicleConfig | None = None,
    ) -> None:
        self.footprint, self.drivetrain = footprint, drivetrain
        self._config = config or VehicleConfig()
        self._phases = generator.uniform(0, 2 * math.pi, (2, len(PITCH_WAVES)))
        self._waiting: deque[tuple[float, np.ndarray]] = deque()
        self._target = np.zeros(3)
        self._unit = np.array([1.0, 0.0, 0.0])  # twist for each m/s of the fastest point
        self._received = -math.inf
        self.speed = 0.0
        # x, y, yaw, speed forward, yaw rate, dive (rad) at each step
        self._states = [np.zeros(6)]

    @property
    def time(self) -> float:
        """Now, s."""
        return (len(self._states) - 1) * STEP

    @property
    def twist(self) -> np.ndarray:
        """The planar twist now, ``[3]``."""
        return self._unit * self.speed

    @property
    def place(self) -> np.ndarray:
        """x, y in m and yaw in rad now, ``[3]``."""
        return self._states[-1][:3]

    def command(self, twist: np.ndarray) -> None:
        """A planar twist is commanded now."""
        self._received = self.time
        self._waiting.append((self.time + self.drivetrain.delay, np.array(twist)))

    def advance(self) -> None:
        """Move by one step."""
        while self._waiting and self._waiting[0][0] <= self.time + 1e-9:
            self._target = self._waiting.popleft()[1]
        if self.time - self._received > self.drivetrain.command_timeout:
            self._target = np.zeros(3)
        before = self.speed
        wanted = self.footprint.largest_speed(self._target)
        if wanted > STILL:
            unit = self._target / wanted
            # Another sense of motion only after the vehicle has stopped.
            if unit @ self._unit > 0 or self.speed == 0:
                self._unit = unit
            else:
                wanted = 0.0
        faster = self.drivetrain.acceleration * STEP
        slower = self.drivetrain.deceleration * STEP
        self.speed = min(max(wanted, before - slower), before + faster)
        x, y, yaw, *_ = self._states[-1]
        _, moved = pose_after(self._unit * (before + self.speed) / 2, STEP)
        cos, sin = math.cos(yaw), math.sin(yaw)
        forward, _, rate = self.twist
        self._states.append(
            np.array(
                [
                    x + cos * moved[0] - sin * moved[1],
                    y + sin * moved[0] + cos * moved[1],
                    yaw + self._unit[2] * (before + self.speed) / 2 * STEP,
                    forward,
                    rate,
                    -math.radians(self._config.diving) * (self.speed - before) / STEP,
                ]
            )
        )

    def state(self, time: float) -> np.ndarray:
        """x, y, yaw, speed, yaw rate, dive ``[6]`` at a time that has passed, in s."""
        place = min(max(time / STEP, 0.0), len(self._states) - 1.0)
        low = min(int(place), max(len(self._states) - 2, 0))
        if len(self._states) == 1:
            return self._states[0]
        return self._states[low] + (place - low) * (self._states[low + 1] - self._states[low])

    def pose(self, time: float) -> Transform:
        """From ``base_link`` to the world."""
        x, y, yaw, *_ = self.state(time)
        roll, pitch = self.tilt(time)
        return Transform(rotation_rpy(roll, pitch, yaw), np.array([x, y, 0.0]))

    def level_pose(self, time: float) -> Transform:
        """From the level base frame to the world."""
        x, y, yaw, *_ = self.state(time)
        return Transform(rotation_rpy(0.0, 0.0, yaw), np.array([x, y, 0.0]))

    def speeds(self, time: float) -> tuple[float, float]:
        """Forward speed in m/s and yaw rate in rad/s."""
        _, _, _, speed, rate, _ = self.state(time)
        return float(speed), float(rate)

    def tilt(self, time: float) -> tuple[float, float]:
        """Roll and pitch in rad."""
        _, _, _, speed, _, dive = self.state(time)
        waves = [0.0, 0.0]
        for axis in (0, 1):
            for (frequency, part), phase in zip(PITCH_WAVES, self._phases[axis], strict=True):
                wave = math.sin(2 * math.pi * frequency * time + phase)
                waves[axis] += math.sqrt(2 * part) * wave
        moving = min(abs(speed), 1.0) * math.radians(self._config.pitching)
        return moving * 0.5 * waves[1], moving * waves[0] + float(dive)
