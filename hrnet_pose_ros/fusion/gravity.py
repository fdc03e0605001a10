# SPDX-License-Identifier: Apache-2.0
"""Which way is up: the tilt of the base against gravity, from an IMU.

An IMU that estimates an orientation is believed. From one that does not, a complementary filter
takes the direction of the acceleration, slowly, and the angular rate, quickly (Mahony, Hamel and
Pflimlin, Nonlinear complementary filters on the special orthogonal group, 2008).
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from hrnet_pose_ros.fusion.buffers import JUMP_NS, NS, StampLimits
from hrnet_pose_ros.fusion.inputs import ImuSample
from hrnet_pose_ros.fusion.refusals import Refusal, Tally
from hrnet_pose_ros.fusion.transforms import Extrinsics, rotation_vector

# Time constant with which the acceleration corrects the angular rate, s.
CORRECTION_TIME = 2.0
GRAVITY = 9.81
# An acceleration whose length differs more from gravity than this is not taken as "up", m/s².
STILL = 0.5
# The tilt at a stamp is taken from a sample at most this far away, s.
NEAREST = 0.1
# A vehicle on the ground never weighs so little, m/s²: in units of gravity, an IMU measures 1.
LEAST_FORCE = 2.0
# Samples are kept this long, s.
MEMORY = 3.0
# The cosine of the largest tilt of a vehicle. Beyond it, the IMU's z axis points down (NED), the
# sign of its acceleration is wrong, or its transform is: believed, it would turn the world over.
LEAST_UP = 0.7


class GravityAlignment:
    """Keeps the samples of an IMU and returns the tilt and the yaw rate of the base."""

    def __init__(self, limits: StampLimits) -> None:
        self.tally = Tally()
        self.limits = limits
        self._stamps: list[int] = []
        self._up: list[np.ndarray | None] = []  # [3] in the base frame; None: not known yet
        self._rate: list[np.ndarray] = []  # [3] rad/s in the base frame

    def add(self, sample: ImuSample, extrinsics: Extrinsics, now: int) -> Refusal | None:
        """Take a sample; return why it was refused, or None."""
        reason = self._take(sample, extrinsics, now)
        self.tally.count(reason)
        return reason

    @property
    def last_stamp(self) -> int | None:
        """The stamp of the newest sample that was accepted, ns; None if there was none."""
        return self._stamps[-1] if self._stamps else None

    def tilt(self, stamp: int) -> np.ndarray | None:
        """Return the rotation ``[3, 3]`` from the base frame to one with z up, at a stamp in ns.

        It is the smallest such rotation, so the heading does not change. None if no sample is near.
        """
        at = self._nearest(stamp)
        up = None if at is None else self._up[at]
        if at is None or up is None:
            return None
        dt = (stamp - self._stamps[at]) / NS
        return levelling(rotation_vector(-dt * self._rate[at]) @ up)

    def yaw_between(self, start: int, stop: int) -> float | None:
        """Return the angle that the base turned about the vertical, rad; None if not covered."""
        if self._nearest(start) is None or self._nearest(stop) is None:
            return None
        rates = [
            float(rate[2] if up is None else rate @ up)
            for rate, up in zip(self._rate, self._up, strict=True)
        ]
        first, last = min(start, stop), max(start, stop)
        inside = [s for s in self._stamps if first < s < last]
        times = np.array([first, *inside, last], np.int64)
        origin = self._stamps[0]
        at = np.interp(times - origin, np.array(self._stamps) - origin, rates)
        turned = float((np.diff(times) / NS) @ (at[1:] + at[:-1]) / 2)
        return turned if stop >= start else -turned

    def _nearest(self, stamp: int) -> int | None:
        if not self._stamps:
            return None
        at = bisect_left(self._stamps, stamp)
        near = [n for n in (at - 1, at) if 0 <= n < len(self._stamps)]
        best = min(near, key=lambda n: abs(self._stamps[n] - stamp))
        return best if abs(self._stamps[best] - stamp) <= NEAREST * NS else None

    def _take(self, sample: ImuSample, extrinsics: Extrinsics, now: int) -> Refusal | None:
        reason = self.limits.check(sample.stamp, now)
        if reason is not None:
            return reason
        if self._stamps and sample.stamp <= self._stamps[-1]:
            if self._stamps[-1] - sample.stamp < JUMP_NS:
                return Refusal.LATE
            self.clear()
        place = extrinsics.sensor_to_base(sample.frame, sample.stamp)
        if place is None:
            return Refusal.NO_EXTRINSICS
        rate = place.rotation @ np.asarray(sample.angular_velocity, np.float64)
        if not np.isfinite(rate).all():
            return Refusal.MALFORMED
        force = None if sample.orientation is not None else sample.linear_acceleration
        if force is not None and np.linalg.norm(np.asarray(force, np.float64)) < LEAST_FORCE:
            return Refusal.MALFORMED
        up = self._upwards(sample, place.rotation, rate)
        if up is not None and up[2] < LEAST_UP:
            return Refusal.MALFORMED
        old = bisect_left(self._stamps, sample.stamp - round(MEMORY * NS))
        for values in (self._stamps, self._up, self._rate):
            del values[:old]
        self._stamps.append(sample.stamp)
        self._up.append(up)
        self._rate.append(rate)
        return None

    def clear(self) -> None:
        """Forget all samples."""
        for values in (self._stamps, self._up, self._rate):
            values.clear()

    def _upwards(
        self, sample: ImuSample, rotation: np.ndarray, rate: np.ndarray
    ) -> np.ndarray | None:
        """Return the upward direction in the base frame, unit length; None if it is not known."""
        if sample.orientation is not None:
            x, y, z, w = np.asarray(sample.orientation, np.float64)
            if not abs(x * x + y * y + z * z + w * w - 1) < 0.1:  # also for NaN
                return None
            up = np.array([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)])
            return _unit(rotation @ up)
        measured = None
        if sample.linear_acceleration is not None:
            force = rotation @ np.asarray(sample.linear_acceleration, np.float64)
            if abs(np.linalg.norm(force) - GRAVITY) < STILL:
                measured = _unit(force)
        before = self._up[-1] if self._up else None
        if before is None or sample.stamp - self._stamps[-1] > NEAREST * NS:
            return measured
        dt = (sample.stamp - self._stamps[-1]) / NS
        carried = rotation_vector(-dt * rate) @ before
        if measured is None:
            return carried
        return _unit(carried + min(dt / CORRECTION_TIME, 1.0) * (measured - carried))


def levelling(up: np.ndarray) -> np.ndarray:
    """Return the smallest rotation ``[3, 3]`` that turns a unit vector ``[3]`` to z.

    >>> import numpy as np
    >>> (levelling(np.array([0.6, 0.0, 0.8])) @ [0.6, 0.0, 0.8]).round(12).tolist()
    [0.0, 0.0, 1.0]
    """
    axis = np.array([up[1], -up[0], 0.0])  # up × z
    sine = float(np.hypot(up[0], up[1]))
    if sine < 1e-12:
        return np.eye(3)
    return rotation_vector(axis / sine * np.arctan2(sine, up[2]))


def _unit(vector: np.ndarray) -> np.ndarray | None:
    length = float(np.linalg.norm(vector))
    return vector / length if 0 < length < np.inf else None
