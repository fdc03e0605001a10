# SPDX-License-Identifier: Apache-2.0
"""What the guard allows, as a nav2_msgs/SpeedLimit for planners."""

from __future__ import annotations

from typing import Any

from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.stamps import time_fields

SPEED_LIMIT = "nav2_msgs/msg/SpeedLimit"
# In nav2, 0 means that there is no limit. So a stop is this speed, m/s: the guard itself stops the
# vehicle.
SLOWEST = 0.01


def speed_limit(
    types: MessageClasses, stamp: int, frame: str, allowed: float, max_speed: float
) -> Any:
    """Return the message.

    Parameters
    ----------
    stamp
        Of the clock, ns.
    frame
        The base frame.
    allowed
        Of `max_speed`, m/s.
    max_speed
        What the vehicle can drive, m/s.
    """
    limited = allowed < max_speed
    return types[SPEED_LIMIT](
        header=types["std_msgs/msg/Header"](
            stamp=types["builtin_interfaces/msg/Time"](**time_fields(stamp)), frame_id=frame
        ),
        percentage=False,
        speed_limit=max(allowed, SLOWEST) if limited else 0.0,
    )
