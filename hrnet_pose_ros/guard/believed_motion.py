# SPDX-License-Identifier: Apache-2.0
"""How the vehicle has moved since an image, as the guard's own answers tell it.

People are reported where they were at the image's stamp, in the base frame of that time. The
vehicle follows an answer that raises its speed at once, and one that lowers it with the braking
deceleration: so it is believed further along rather than less. For those who are remembered for
seconds that would not do: who is believed to be behind the vehicle may be beside it. So there is a
second belief of the least motion, which accelerates slowly and brakes at once.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from hrnet_pose_ros.guard.commanded_path import STILL
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard.watchdog import NS

MEMORY = 3.0  # s
# A vehicle accelerates with at least so much of its braking deceleration.
LEAST_ACCELERATION = 0.5


class BelievedMotion:
    """Keeps the twists of the last seconds; ``least``: those of the least motion."""

    def __init__(self, settings: GuardSettings, *, least: bool = False) -> None:
        self._settings = settings
        self._least = least
        self._parts: deque[tuple[int, np.ndarray]] = deque()  # begin in ns, twist from then on

    def apply(self, settings: GuardSettings) -> None:
        """Use other settings from now on."""
        self._settings = settings

    def add(self, twist: np.ndarray, now: int) -> None:
        """The vehicle was told a planar twist at a time in ns."""
        footprint = self._settings.footprint
        wanted = footprint.largest_speed(twist)
        begin, before = self._parts[-1] if self._parts else (now, np.zeros(3))
        speed, passed = footprint.largest_speed(before), (now - begin) / NS
        braked = speed - self._settings.braking_deceleration * passed
        risen = speed if before @ twist > 0 else 0.0  # from 0 into another direction
        risen += LEAST_ACCELERATION * self._settings.braking_deceleration * passed
        believed = np.array(twist, np.float64)
        if self._least and wanted > risen:
            believed *= risen / wanted
        elif not self._least and wanted < braked and speed > STILL:
            believed = before * (braked / speed)
        self._parts.append((now, believed))
        while len(self._parts) > 1 and self._parts[1][0] < now - MEMORY * NS:
            self._parts.popleft()

    def since(self, stamp: int, now: int) -> tuple[float, np.ndarray]:
        """Heading (rad) and place (m) of the base now, in the base frame of a stamp, both in ns."""
        turn, x, y = 0.0, 0.0, 0.0
        parts = list(self._parts)
        ends = [*(begin for begin, _ in parts[1:]), now][: len(parts)]
        for (begin, twist), end in zip(parts, ends, strict=True):
            duration = (min(end, now) - max(begin, stamp)) / NS
            if duration <= 0 or not twist.any():
                continue
            vx, vy, rate = twist.tolist()
            # A part is short: the chord of its arc, in the middle of its turn.
            cos, sin = math.cos(turn + rate * duration / 2), math.sin(turn + rate * duration / 2)
            x += (cos * vx - sin * vy) * duration
            y += (sin * vx + cos * vy) * duration
            turn += rate * duration
        return turn, np.array([x, y])

    def clear(self) -> None:
        """The clock jumped."""
        self._parts.clear()
