# SPDX-License-Identifier: Apache-2.0
"""LaserScan and Range messages (REP 117) to the fusion's values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.inputs import LaserScan, UltrasonicRange
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.pipeline.people.message_fields import (
    MessageRefused,
    malformed,
    stamp_and_frame,
)
from hrnet_pose_ros.pipeline.people.point_clouds import LONGEST

# Range.radiation_type: ultrasound, infrared.
RADIATION_TYPES = (0, 1)
# A scan that covers more than this is not one turn: its angles are not in rad.
WIDEST = 4 * math.pi


def laser_scan_of(message: Any) -> LaserScan:
    """Return a ``sensor_msgs/LaserScan``.

    Raises MessageRefused: ``malformed`` if angles or limits are impossible; ``empty`` if there are
    no beams, or all are NaN or below ``range_min`` (+inf is a measurement: nothing is there).
    """
    stamp, frame = stamp_and_frame(message)
    start, step = float(message.angle_min), float(message.angle_increment)
    if not (math.isfinite(start) and math.isfinite(step)) or step == 0:
        raise malformed(f"angle_min is {start:g} and angle_increment {step:g}")
    low, high = float(message.range_min), float(message.range_max)
    if not low <= high or high <= 0:  # also for NaN
        raise malformed(f"range_min is {low:g} and range_max {high:g}: no beam can be between them")
    low = max(low, 0.0)
    ranges = np.asarray(message.ranges, np.float32)
    covered = abs(step) * (len(ranges) - 1)
    if covered > WIDEST:
        raise malformed(
            f"angle_increment is {step:g}: {len(ranges)} beams cover {covered:g} rad, which is "
            "more than two turns; it has to be in rad"
        )
    # -inf is a measurement too: something is too near.
    if not ((ranges >= low) | (ranges == -math.inf)).any():
        raise MessageRefused(
            Refusal.EMPTY, f"the scan has no beams, or all are NaN or below range_min ({low:g})"
        )
    between = float(message.time_increment)
    # Times beyond those of a sweep are in another unit, or are those of whole scans; also for NaN.
    timed = abs(between) * len(ranges) < LONGEST
    return LaserScan(
        stamp=stamp,
        frame=frame,
        angle_min=start,
        angle_increment=step,
        ranges=ranges,
        range_min=low,
        range_max=high,
        time_increment=between if timed else 0.0,
    )


def range_of(message: Any) -> UltrasonicRange:
    """Return a ``sensor_msgs/Range``, of ultrasound or infrared: both are cones with an echo.

    Raises MessageRefused: ``malformed`` if the type, the cone or the limits are impossible;
    ``empty`` if the range is NaN.
    """
    stamp, frame = stamp_and_frame(message)
    if int(message.radiation_type) not in RADIATION_TYPES:
        raise malformed(f"radiation_type is {message.radiation_type}; known: 0 and 1")
    angle = float(message.field_of_view)
    if not 0 < angle < 2 * math.pi:
        raise malformed(f"field_of_view is {angle:g}; allowed: an angle above 0 in rad")
    low, high = float(message.min_range), float(message.max_range)
    if not 0 <= low <= high < math.inf:
        raise malformed(f"min_range is {low:g} and max_range {high:g}")
    distance = float(message.range)
    if math.isnan(distance):
        raise MessageRefused(Refusal.EMPTY, "range is NaN")
    return UltrasonicRange(stamp, frame, angle, distance, low, high)
