# SPDX-License-Identifier: Apache-2.0
"""The ground that the vehicle covers: a polygon, or a circle."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

LARGEST = 50.0  # m


@dataclass(frozen=True)
class Footprint:
    """The convex hull of points in the base frame, grown by a radius.

    Attributes
    ----------
    corners
        (x, y) in m in the base frame (REP 103), 1 or more. A single one with a radius is a circle.
    radius
        m, 0 or more.

    Raises ValueError for values that are not finite, beyond 50 m, or for a footprint without area.

    Examples
    --------
    >>> Footprint.circle(0.3).reach
    0.3
    >>> Footprint(((0.6, 0.3), (0.6, -0.3), (-0.4, -0.3), (-0.4, 0.3))).support(0.0)
    0.6
    """

    corners: tuple[tuple[float, float], ...]
    radius: float = 0.0
    _polar: tuple[np.ndarray, np.ndarray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        points = np.asarray(self.corners, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise ValueError(f"footprint must be points (x, y) in m, got {self.corners}")
        if not (np.abs(points) <= LARGEST).all() or not 0 <= self.radius <= LARGEST:
            raise ValueError(
                f"footprint must lie within {LARGEST:g} m with a radius of at least 0, "
                f"got {self.corners} and {self.radius:g}"
            )
        spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        if self.radius == 0 and (len(points) < 3 or spread[1] < 1e-6):
            raise ValueError(
                "footprint must have 3 corners that are not on a line, or a radius above 0; "
                f"got {self.corners}"
            )
        polar = (np.linalg.norm(points, axis=1), np.arctan2(points[:, 1], points[:, 0]))
        object.__setattr__(self, "_polar", polar)

    @classmethod
    def circle(cls, radius: float, at: tuple[float, float] = (0.0, 0.0)) -> Footprint:
        """A circle about a point of the base frame, m."""
        return cls((at,), radius)

    @classmethod
    def rectangle(cls, back: float, front: float, width: float) -> Footprint:
        """A rectangle from x = ``back`` to x = ``front``, symmetric about the x axis, m."""
        half = width / 2
        return cls(((front, half), (front, -half), (back, -half), (back, half)))

    @property
    def reach(self) -> float:
        """The largest distance of its points from the base frame's origin, m."""
        return float(self._polar[0].max()) + self.radius

    def support(self, angle: np.ndarray | float) -> np.ndarray:
        """How far it reaches in directions of the base frame (rad), in m; same shape."""
        lengths, angles = self._polar
        turned = np.asarray(angle, np.float64)[..., None] - angles
        return (lengths * np.cos(turned)).max(axis=-1) + self.radius

    def outline(self, margin: float = 0.0, count: int = 48) -> np.ndarray:
        """float64 ``[count, 2]``: its boundary, grown by a margin in m, anticlockwise."""
        points = np.asarray(self.corners, np.float64)
        angles = 2 * math.pi * np.arange(count) / count
        towards = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        furthest = points[(towards @ points.T).argmax(axis=1)]
        return furthest + (self.radius + margin) * towards

    def largest_speed(self, twist: np.ndarray) -> float:
        """The speed of its fastest point, m/s, for a planar twist (vx, vy, yaw rate).

        For a circle about the origin that turns on the spot, that is the rim's.
        """
        vx, vy, rate = (float(one) for one in twist)
        points = np.asarray(self.corners, np.float64)
        speeds = np.hypot(vx - rate * points[:, 1], vy + rate * points[:, 0])
        return float(speeds.max()) + abs(rate) * self.radius
