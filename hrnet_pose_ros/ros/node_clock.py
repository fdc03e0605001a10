# SPDX-License-Identifier: Apache-2.0
"""A node's clocks: the ROS clock for stamps, and a steady clock for durations."""

from __future__ import annotations

import time

from builtin_interfaces.msg import Time
from rclpy.clock import Clock


class NodeClock:
    """The clocks of a node. Under ``use_sim_time`` only the ROS clock follows ``/clock``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> int:
        """Return the time of the ROS clock, ns."""
        nanoseconds: int = self._clock.now().nanoseconds
        return nanoseconds

    def steady(self) -> float:
        """Return the time of a monotonic clock, in seconds since an arbitrary start."""
        return time.monotonic()

    def stamp(self) -> Time:
        """Return the time of the ROS clock as a message."""
        message: Time = self._clock.now().to_msg()
        return message
