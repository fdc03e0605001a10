# SPDX-License-Identifier: Apache-2.0
"""A node's time: its ROS clock for stamps, and a steady one for durations."""

from __future__ import annotations

import time

from builtin_interfaces.msg import Time
from rclpy.clock import Clock


class NodeClock:
    """Under ``use_sim_time`` the ROS clock is the one of ``/clock``; the steady one is not."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> int:
        """The ROS clock, ns."""
        nanoseconds: int = self._clock.now().nanoseconds
        return nanoseconds

    def steady(self) -> float:
        """Seconds since whenever, never going back."""
        return time.monotonic()

    def stamp(self) -> Time:
        """The ROS clock as a message."""
        message: Time = self._clock.now().to_msg()
        return message
