# SPDX-License-Identifier: Apache-2.0
"""How the base moved between two stamps: measurements are carried to the image's stamp with it."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.buffers import JUMP_NS, NS, StampLimits
from hrnet_pose_ros.fusion.gravity import GravityAlignment
from hrnet_pose_ros.fusion.inputs import OdometrySample
from hrnet_pose_ros.fusion.refusals import Refusal, Source, Tally
from hrnet_pose_ros.fusion.transforms import rotation_of, yaw_of

# Poses are extrapolated with the last twist for at most this time, s.
EXTRAPOLATE = 0.25
# Samples are kept this long, s.
MEMORY = 3.0


@dataclass(frozen=True)
class PlanarMotion:
    """From coordinates in the levelled base frame at one time to those at another.

    Attributes
    ----------
    yaw
        The angle by which coordinates turn about z, rad: minus the turn of the base.
    shift
        float64 ``[2]``, m, added after the turn.
    sources
        ODOMETRY or IMU; 0 if nothing is known and the motion is therefore the identity.
    """

    yaw: float
    shift: np.ndarray
    sources: Source

    @property
    def rotation(self) -> np.ndarray:
        """float64 ``[2, 2]``."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[c, -s], [s, c]])

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Return points ``[..., 2 or 3]`` at the second time; z does not change."""
        moved = np.array(points, np.float64)
        moved[..., :2] = moved[..., :2] @ self.rotation.T + self.shift
        return moved


class EgoMotion:
    """Keeps samples of the odometry; without any, the IMU's yaw rate gives the rotation alone."""

    def __init__(self, limits: StampLimits, gravity: GravityAlignment) -> None:
        self.tally = Tally()
        self.limits = limits
        self._gravity = gravity
        self._stamps: list[int] = []
        self._poses: list[tuple[float, float, float]] = []  # x, y, unwrapped yaw
        self._twist = (0.0, 0.0, 0.0)  # of the newest sample: vx, vy, yaw rate in the base frame

    def add(self, sample: OdometrySample, now: int) -> Refusal | None:
        """Take a sample; return why it was refused, or None."""
        reason = self._take(sample, now)
        self.tally.count(reason)
        return reason

    @property
    def last_stamp(self) -> int | None:
        """The stamp of the newest sample that was accepted, ns; None if there was none."""
        return self._stamps[-1] if self._stamps else None

    def between(self, start: int, stop: int) -> PlanarMotion:
        """Return the motion from the stamp ``start`` to ``stop``, ns; either may be the earlier."""
        at_start, at_stop = self._pose(start), self._pose(stop)
        if at_start is not None and at_stop is not None:
            c, s = math.cos(at_stop[2]), math.sin(at_stop[2])
            x, y = at_start[0] - at_stop[0], at_start[1] - at_stop[1]
            shift = np.array([c * x + s * y, c * y - s * x])
            return PlanarMotion(at_start[2] - at_stop[2], shift, Source.ODOMETRY)
        turned = self._gravity.yaw_between(start, stop)
        if turned is not None:
            return PlanarMotion(-turned, np.zeros(2), Source.IMU)
        return PlanarMotion(0.0, np.zeros(2), Source.NONE)

    def carry(
        self, points: np.ndarray, start: int, stop: int, times: np.ndarray | None = None
    ) -> np.ndarray:
        """Return points ``[N, 3]`` of the levelled base frame at another stamp.

        ``times`` are the points' own seconds after ``start``, ``[N]``, or None.
        """
        if times is None or not len(times):
            motion = self.between(start, stop)
            still = motion.yaw == 0 and not motion.shift.any()
            return points if still else motion.apply(points).astype(points.dtype, copy=False)
        # The motion is smooth: at five times of the sweep it is computed, between them linear.
        knots = np.linspace(float(times.min()), float(times.max()), 5)
        motions = [self.between(start + round(t * NS), stop) for t in knots]
        yaw = np.interp(times, knots, [m.yaw for m in motions])
        dx = np.interp(times, knots, [m.shift[0] for m in motions])
        dy = np.interp(times, knots, [m.shift[1] for m in motions])
        c, s = np.cos(yaw), np.sin(yaw)
        x, y = points[:, 0], points[:, 1]
        moved = np.stack([c * x - s * y + dx, s * x + c * y + dy, points[:, 2]], axis=1)
        return moved.astype(points.dtype, copy=False)

    def clear(self) -> None:
        """Forget all samples."""
        self._stamps.clear()
        self._poses.clear()

    def _take(self, sample: OdometrySample, now: int) -> Refusal | None:
        reason = self.limits.check(sample.stamp, now)
        if reason is not None:
            return reason
        numbers = [*sample.position, *sample.orientation, *sample.linear, *sample.angular]
        if not np.isfinite(numbers).all():
            return Refusal.MALFORMED
        try:
            yaw = yaw_of(rotation_of(sample.orientation))
        except ValueError:
            return Refusal.MALFORMED
        if self._stamps and sample.stamp <= self._stamps[-1]:
            if self._stamps[-1] - sample.stamp < JUMP_NS:
                return Refusal.LATE
            self.clear()
        if self._poses:
            before = self._poses[-1][2]
            yaw = before + (yaw - before + math.pi) % (2 * math.pi) - math.pi
        old = bisect_left(self._stamps, sample.stamp - round(MEMORY * NS))
        del self._stamps[:old], self._poses[:old]
        self._stamps.append(sample.stamp)
        self._poses.append((float(sample.position[0]), float(sample.position[1]), yaw))
        self._twist = float(sample.linear[0]), float(sample.linear[1]), float(sample.angular[2])
        return None

    def _pose(self, stamp: int) -> tuple[float, float, float] | None:
        """Return x, y and yaw at a stamp; None if the samples do not cover it."""
        if not self._stamps or stamp < self._stamps[0]:
            return None
        late = (stamp - self._stamps[-1]) / NS
        if late > EXTRAPOLATE:
            return None
        if late >= 0:
            x, y, yaw = self._poses[-1]
            vx, vy, rate = self._twist
            middle = yaw + rate * late / 2
            c, s = math.cos(middle), math.sin(middle)
            return (
                x + (c * vx - s * vy) * late,
                y + (s * vx + c * vy) * late,
                yaw + rate * late,
            )
        after = bisect_right(self._stamps, stamp)
        first, second = self._stamps[after - 1 : after + 1]
        part = (stamp - first) / (second - first)
        x, y, yaw = self._poses[after - 1]
        next_x, next_y, next_yaw = self._poses[after]
        return x + part * (next_x - x), y + part * (next_y - y), yaw + part * (next_yaw - yaw)
