# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 messages of any layout to the fusion's `PointCloud`."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.inputs import PointCloud
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.pipeline.people.message_fields import (
    MessageRefused,
    malformed,
    rows_of,
    stamp_and_frame,
)

# By sensor_msgs/PointField: INT8 to FLOAT64.
DATATYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
# Names of the time of a point: of Velodyne, Ouster, Hesai and Robosense, Livox, Autoware.
TIME_FIELDS = ("time", "t", "timestamp", "offset_time", "time_stamp", "time_offset")
# Seconds in the units of absolute times.
ABSOLUTE_UNITS = (1.0, 1e-3, 1e-6, 1e-9)
# The times of a sweep lie within this of the stamp, s.
LONGEST = 1.0


def point_cloud_of(message: Any) -> PointCloud:
    """Return the returns of a PointCloud2, whatever its fields and whether it is organised.

    A point that is not finite is none, nor is one at the origin: many drivers send zeros for a beam
    without a return. Raises MessageRefused: ``malformed`` if x, y or z is missing, or the sizes
    contradict each other; ``empty`` if there is no return; ``no_extrinsics`` if the frame is empty.
    """
    stamp, frame = stamp_and_frame(message)
    layout = _layout(message)
    height, width, step = int(message.height), int(message.width), int(message.point_step)
    if height * width == 0:
        raise MessageRefused(Refusal.EMPTY, "the cloud has no points")
    table = rows_of(
        message.data,
        height=height,
        width=width,
        row_step=int(message.row_step) if height > 1 else max(int(message.row_step), width * step),
        item=np.dtype((np.void, step)),
        name="row_step",
    ).reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        columns = [_column(table, layout[name]) for name in ("x", "y", "z")]
        points = np.stack([column.astype(np.float32) for column in columns], axis=1)
    returns = np.isfinite(points).all(axis=1) & points.any(axis=1)
    if not returns.any():
        raise MessageRefused(Refusal.EMPTY, "no point of the cloud is finite and not 0, 0, 0")
    times = None
    name = next((one for one in TIME_FIELDS if one in layout), None)
    if name is not None:
        times = seconds_after(_column(table, layout[name])[returns], name, stamp)
    return PointCloud(stamp, frame, points[returns], times)


def seconds_after(values: np.ndarray, name: str, stamp: int) -> np.ndarray | None:
    """Return the times of points as seconds after the stamp; None if their unit is not known.

    Integers are nanoseconds, small floating-point numbers seconds, both after the stamp. Large ones
    are absolute, in seconds to nanoseconds: the unit is the one in which they are near the stamp.

    >>> seconds_after(np.array([0, 50_000_000], np.uint32), "t", 0).tolist()
    [0.0, 0.05]
    >>> seconds_after(np.array([1.7e9 + 0.125]), "timestamp", 1_700_000_000_000_000_000).tolist()
    [0.125]
    """
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers)
    if not finite.any():
        return None
    units: tuple[float, ...] = (1e-9,) if values.dtype.kind in "iu" else (1.0,)
    relative = [numbers * unit for unit in units]
    absolute = []
    if values.dtype.itemsize == 8:
        if values.dtype.kind in "iu":  # exact, where a double is not
            absolute = [(values.astype(np.int64) - np.int64(stamp)) * 1e-9]
        absolute += [numbers * unit - stamp * 1e-9 for unit in ABSOLUTE_UNITS]
    for seconds in (*relative, *absolute):
        if (np.abs(seconds[finite]) < LONGEST).all():
            return np.where(finite, seconds, 0.0)
    return None


def _layout(message: Any) -> dict[str, tuple[int, np.dtype]]:
    """Return offset and type of the fields that are used, by name."""
    step = int(message.point_step)
    if step <= 0:
        raise malformed(f"point_step is {step}")
    order = ">" if message.is_bigendian else "<"
    layout: dict[str, tuple[int, np.dtype]] = {}
    for field in message.fields:
        name = str(field.name)
        if name not in ("x", "y", "z", *TIME_FIELDS) or name in layout:
            continue
        kind = DATATYPES.get(int(field.datatype))
        if kind is None:
            raise malformed(f"the field {name} has the datatype {field.datatype}; known: 1 to 8")
        offset, item = int(field.offset), np.dtype(order + kind)
        if offset < 0 or offset + item.itemsize > step:
            raise malformed(f"the field {name} at {offset} does not fit into point_step {step}")
        layout[name] = offset, item
    if missing := [name for name in ("x", "y", "z") if name not in layout]:
        found = ", ".join(str(field.name) for field in message.fields) or "none"
        raise malformed(f"the cloud has no field {missing[0]}; its fields are {found}")
    return layout


def _column(table: np.ndarray, field: tuple[int, np.dtype]) -> np.ndarray:
    """Return one field of N points."""
    offset, item = field
    record = np.dtype(
        {"names": ["value"], "formats": [item], "offsets": [offset], "itemsize": table.itemsize}
    )
    column: np.ndarray = table.view(record)["value"]
    return column
