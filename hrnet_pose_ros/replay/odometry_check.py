# SPDX-License-Identifier: Apache-2.0
"""Whether the positions of an odometry move as its twist says: units, signs and axes."""

from __future__ import annotations

import math
from typing import Any

# A way by the odometry's twist, m, from which on it is compared with that of its positions, and how
# often the one may be the other. Samples further apart than this, s, are not compared.
LEAST_WAY, LEAST_RATIO, MOST_RATIO, LONGEST_STEP = 1.0, 0.5, 2.0, 0.5


class OdometryWay:
    """Compares the positions of an odometry with its twist."""

    def __init__(self) -> None:
        self._last: tuple[int, float, float] | None = None
        self._length = self._both = self._twist = 0.0

    def take(self, stamp: int, message: Any) -> None:
        """Take the next ``nav_msgs/Odometry``, with its stamp in ns."""
        at, q = message.pose.pose.position, message.pose.pose.orientation
        linear = message.twist.twist.linear
        if not math.isfinite(at.x + at.y + q.x + q.y + q.z + q.w + linear.x + linear.y):
            return
        before, self._last = self._last, (stamp, at.x, at.y)
        dt = 0.0 if before is None else (stamp - before[0]) / 1e9
        if before is None or not 0 < dt < LONGEST_STEP:
            return
        yaw = math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
        c, s = math.cos(yaw), math.sin(yaw)
        x, y = (c * linear.x - s * linear.y) * dt, (s * linear.x + c * linear.y) * dt
        self._length += math.hypot(x, y)
        self._both += (at.x - before[1]) * x + (at.y - before[2]) * y
        self._twist += x * x + y * y

    def problems(self) -> list[str]:
        """Return what is wrong; the ratio is that of a regression, so noise plays no part."""
        if self._length < LEAST_WAY or LEAST_RATIO <= self._both / self._twist <= MOST_RATIO:
            return []
        return [
            f"the position moves {self._both / self._twist:.2f} times as far as the twist says, "
            f"over {self._length:.1f} m: pose is that of child_frame_id in m, and twist is along "
            "the axes of child_frame_id, x forward; both are used"
        ]
