# SPDX-License-Identifier: Apache-2.0
"""People as a point cloud, which collision monitors and costmaps take as obstacles.

The points of a person cover the disc of the person's radius grown by 2 sigma of its position: a
ring, and the surface inside of it, because a zone that lies within the ring alone would see nobody.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.person import PeopleStatus, Person
from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.people.person_extent import radius_of
from hrnet_pose_ros.pipeline.people.person_messages import PeopleOutput, header_of

SIGMAS = 2.0
# Heights of the points in the frame of the message, m, within 0.05 to 0.5, which nav2 looks at by
# default. One column of them is enough for nav2's default of min_points, 4. They do not follow the
# ground's height under a person: a wrong one would take somebody out of the band.
HEIGHTS = (0.1, 0.2, 0.3, 0.4)
# Nobody in view: a single point so far below the ground that nobody takes it for an obstacle. An
# empty cloud is no alternative: nav2's iterators over one are undefined.
NOBODY = (0.0, 0.0, -100.0)
# Columns are this far apart, m; further if there would be more of them than this, but never further
# than a robot is wide.
SPACING, WIDEST_SPACING = 0.1, 0.25
MOST_COLUMNS = 1000
# A person who may be anywhere on a larger surface, m², has no place.
LARGEST_SURFACE = 1250.0
# The ring is a polygon with at least so many sides, all of them outside of what they enclose.
SIDES = 48
TINY = 1e-6  # m
# Constants of sensor_msgs/PointField.
FLOAT32 = 7


def people_cloud(types: MessageClasses, output: PeopleOutput) -> Any | None:
    """Return the PointCloud2 of an output; None if its status is ERROR.

    On a fault there must be no message, so that the consumer's own watchdog stops the robot.

    Raises
    ------
    ValueError
        A person has no place, so that a cloud would show too few people.
    """
    if output.status is PeopleStatus.ERROR:
        return None
    points = np.array([NOBODY], np.float32)
    if output.people:
        flat = np.concatenate([person_columns(person) for person in output.people])
        points = np.empty((len(flat), len(HEIGHTS), 3), np.float32)
        points[..., :2], points[..., 2] = flat[:, None], HEIGHTS
        points = points.reshape(-1, 3)
    field = types["sensor_msgs/msg/PointField"]
    return types["sensor_msgs/msg/PointCloud2"](
        header=header_of(types, output),
        height=1,
        width=len(points),
        fields=[
            field(name=name, offset=4 * place, datatype=FLOAT32, count=1)
            for place, name in enumerate("xyz")
        ],
        is_bigendian=False,
        point_step=12,
        row_step=12 * len(points),
        data=array("B", points.astype("<f4").tobytes()),
        is_dense=True,
    )


def person_columns(person: Person) -> np.ndarray:
    """Return places on the ground that cover a person, float64 ``[N, 2]``, m; first its ring.

    Raises ValueError if the position or its covariance is not known.
    """
    corners, axes = _ring_along_axes(person)
    nexts = np.roll(corners, -1, axis=0)
    surface = float(_cross(corners, nexts).sum()) / 2
    if not surface <= LARGEST_SURFACE:
        raise ValueError(f"person {person.id} may be anywhere on {surface:.0f} m²")
    spacing = float(np.clip(math.sqrt(surface / MOST_COLUMNS), SPACING, WIDEST_SPACING))
    # Points of the ring's sides, no further apart than those of the grid inside.
    sides = nexts - corners
    counts = np.maximum(np.ceil(np.linalg.norm(sides, axis=1) / spacing).astype(int), 1)
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    begins, steps = np.repeat(corners, counts, axis=0), sides / counts[:, None]
    outline = begins + places[:, None] * np.repeat(steps, counts, axis=0)
    # The ring is symmetric about both axes: one quarter of it says how wide each line is.
    quarter = corners[(corners >= 0).all(axis=1)]
    quarter = quarter[np.argsort(quarter[:, 1])]
    half = np.abs(corners).max(axis=0)
    lines = [np.linspace(-h, h, max(math.ceil(2 * h / spacing), 1) + 1) for h in half]
    grid: np.ndarray = np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2)
    across, along = np.abs(grid).T
    inside = across <= np.interp(along, quarter[:, 1], quarter[:, 0])
    columns: np.ndarray = np.concatenate([outline, grid[inside]]) @ axes.T + person.position[:2]
    return columns


def grown_ring(person: Person) -> np.ndarray:
    """Return the corners of a convex polygon around a person, float64 ``[N, 2]``, m, in order.

    In the direction u it reaches at least r + 2 sqrt(u' C u) from the person's position, with the
    radius r, and C the covariance of the position and of the radius: whoever stands within the 2
    sigma ellipse is inside with the whole body.

    Raises ValueError if the position or its covariance is not known.
    """
    corners, axes = _ring_along_axes(person)
    ring: np.ndarray = corners @ axes.T + np.asarray(person.position[:2], np.float64)
    return ring


def _ring_along_axes(person: Person) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners about the position, along the axes of its uncertainty, and these axes.

    The corners are counterclockwise, ``[N, 2]`` m; the axes are columns, ``[2, 2]``.
    """
    covariance = np.asarray(person.covariance, np.float64)[:2, :2]
    if not (np.isfinite(person.position[:2]).all() and np.isfinite(covariance).all()):
        raise ValueError(f"the place of person {person.id} or its covariance is not known")
    variances, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    if math.isfinite(person.radius_variance):
        variances = variances + person.radius_variance
    a, b = SIGMAS * np.sqrt(np.maximum(variances, 0.0))
    # Tangents in directions that are even for the body's circle, and in others for the ellipse.
    even = 2 * np.pi / SIDES * np.arange(SIDES)
    slender = np.arctan2(max(a, TINY) * np.sin(even), max(b, TINY) * np.cos(even))
    angles = np.unique(np.round(np.concatenate([even, slender]) % (2 * np.pi), 4))
    turns = (np.roll(angles, -1) - angles) % (2 * np.pi)
    cosines, sines = np.cos(angles), np.sin(angles)
    reach = radius_of(person) + np.sqrt((a * cosines) ** 2 + (b * sines) ** 2)
    # Where each tangent meets the next.
    along = (np.roll(reach, -1) - reach * np.cos(turns)) / np.sin(turns)
    corners = np.stack([reach * cosines - along * sines, reach * sines + along * cosines], axis=1)
    return corners, axes


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the z component of the cross products of vectors in the plane, ``[..., 2]``."""
    z: np.ndarray = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return z
