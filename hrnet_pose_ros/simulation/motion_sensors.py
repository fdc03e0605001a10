# SPDX-License-Identifier: Apache-2.0
"""IMU and wheel odometry of the simulated vehicle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.inputs import ImuSample, OdometrySample
from hrnet_pose_ros.fusion.transforms import rotation_rpy, rotation_vector
from hrnet_pose_ros.simulation.sensor import SimulatedSensor
from hrnet_pose_ros.simulation.sensor_configs import ImuConfig, OdometryConfig

GRAVITY = 9.80665  # m/s²
_STEP = 0.005  # s, of numerical derivatives
# The estimated orientation wanders with these periods in s.
_WANDER = (17.0, 41.0)


class SimulatedImu(SimulatedSensor):
    """An IMU with an orientation filter of its own (REP 145)."""

    def __init__(self, config: ImuConfig, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._config = config
        angle = math.radians(config.angle_error) / math.sqrt(2)
        self._constant = angle * self.generator.standard_normal(2)
        self._wander = angle * self.generator.standard_normal((2, len(_WANDER)))
        self._phases = self.generator.uniform(0, 2 * math.pi, (2, len(_WANDER)))
        self._yaw = self.generator.uniform(-math.pi, math.pi)  # its zero is anywhere
        self._bias = math.radians(config.rate_bias) * self.generator.standard_normal(3)

    def measure(self, time: float) -> ImuSample:
        """One sample."""
        config, generator = self._config, self.generator
        before, now, after = (
            self.vehicle.pose(time + step) @ self.mount.true for step in (-_STEP, 0.0, _STEP)
        )
        turned = before.rotation.T @ after.rotation
        # A small turn: the antisymmetric part of its matrix is its rotation vector.
        small = (turned - turned.T) / 2
        rate = np.array([small[2, 1], small[0, 2], small[1, 0]]) / (2 * _STEP)
        moved = after.translation - 2 * now.translation + before.translation
        acceleration = now.rotation.T @ (moved / _STEP**2 + np.array([0, 0, GRAVITY]))
        waves = np.sin(2 * math.pi * time / np.array(_WANDER) + self._phases)
        tilt = self._constant + (self._wander * waves).sum(axis=1)
        estimated = (
            rotation_rpy(0.0, 0.0, self._yaw)
            @ rotation_vector([tilt[0], tilt[1], 0.0])
            @ now.rotation
        )
        noise = generator.standard_normal((2, 3))
        return ImuSample(
            self.stamp(time),
            self.mount.frame,
            angular_velocity=rate + self._bias + math.radians(config.rate_error) * noise[0],
            linear_acceleration=acceleration + config.acceleration_error * noise[1],
            orientation=quaternion_of(estimated),
        )


class SimulatedOdometry(SimulatedSensor):
    """Wheel odometry: planar, with an error of its scale and of its yaw rate, integrated."""

    def __init__(self, config: OdometryConfig, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._config = config
        self._scale = 1 + config.scale_error * self.generator.standard_normal()
        self._bias = math.radians(config.yaw_rate_bias) * self.generator.standard_normal()
        self._pose = np.zeros(3)
        self._last: float | None = None

    def measure(self, time: float) -> OdometrySample:
        """One sample; times must increase."""
        speed, rate = self.vehicle.speeds(time)
        if abs(speed) > 0.01 or abs(rate) > 0.001:  # wheels that stand still count nothing
            rate += self._bias
        speed *= self._scale
        if self._last is not None:
            elapsed = time - self._last
            heading = self._pose[2] + rate * elapsed / 2
            self._pose += elapsed * np.array(
                [speed * math.cos(heading), speed * math.sin(heading), rate]
            )
        self._last = time
        noise = self._config.speed_error * self.generator.standard_normal()
        return OdometrySample(
            self.stamp(time),
            position=np.array([self._pose[0], self._pose[1], 0.0]),
            orientation=np.array(
                [0.0, 0.0, math.sin(self._pose[2] / 2), math.cos(self._pose[2] / 2)]
            ),
            linear=np.array([speed + (noise if abs(speed) > 0.01 else 0.0), 0.0, 0.0]),
            angular=np.array([0.0, 0.0, rate]),
        )


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """The quaternion x, y, z, w of a rotation matrix, w not negative.

    >>> quaternion_of(np.diag([1.0, -1.0, -1.0])).tolist()  # half a turn about x
    [1.0, 0.0, 0.0, 0.0]
    """
    # The outer product of the quaternion with itself; its longest column has no cancellation.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    product = np.array(
        [
            [1 + xx - yy - zz, xy + yx, xz + zx, zy - yz],
            [xy + yx, 1 - xx + yy - zz, yz + zy, xz - zx],
            [xz + zx, yz + zy, 1 - xx - yy + zz, yx - xy],
            [zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz],
        ]
    )
    column = product[:, int(np.argmax(np.diag(product)))]
    quaternion = column / np.linalg.norm(column)
    return np.asarray(-quaternion if quaternion[3] < 0 else quaternion)
