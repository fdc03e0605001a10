# SPDX-License-Identifier: Apache-2.0
"""Returns of any ranging sensor as seen from the camera: regions of them, and clusters.

A depth image, a cloud and a scan are all points; they are looked at in the camera's directions, so
that neither registration nor distortion matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hrnet_pose_ros.fusion.cues.cue import Scene

# Heights above the ground between which returns can be those of a person, m. The lower limit rises
# with the range by this many standard deviations of the sensor's tilt: the ground looks higher.
LOWEST, HIGHEST = 0.05, 2.4
GROUND_STDS = 2.5


@dataclass(frozen=True)
class Returns:
    """M returns in directions from the camera, by azimuth; see `PersonViews` for the directions.

    Attributes
    ----------
    azimuth, slope, range
        float32 ``[M]``: rad from the camera's heading, increasing; slope; horizontal distance in m.
    times
        None, or float32 ``[M]``: seconds from the measurement's stamp.
    """

    azimuth: np.ndarray
    slope: np.ndarray
    range: np.ndarray
    times: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.range)

    def between(self, low: float, high: float) -> slice:
        """Return where the azimuths lie between two of them."""
        first, last = np.searchsorted(self.azimuth, (low, high))
        return slice(int(first), int(last))


def towards_people(points: np.ndarray, scene: Scene, margin: float = 0.0) -> np.ndarray:
    """Return the indices of the points ``[M, 3]`` of the levelled base frame that may be people's.

    They lie between the directions of the leftmost and the rightmost person, with a ``margin``,
    rad, and are not higher than a person. Points that are not finite are left out.
    """
    camera, box = scene.views.camera_position, scene.views.box
    c, s = np.float32(np.cos(scene.views.heading)), np.float32(np.sin(scene.views.heading))
    x, y = points[:, 0] - np.float32(camera[0]), points[:, 1] - np.float32(camera[1])
    ahead, aside = c * x + s * y, c * y - s * x
    # As wide as the widest region about a person who is 1 m away.
    wide = 0.5 + scene.mount_margin + margin
    low = float(box[:, :2].min()) - wide if len(box) else 0.0
    high = float(box[:, :2].max()) + wide if len(box) else 0.0
    with np.errstate(invalid="ignore"):
        inside = points[:, 2] < np.float32(scene.ground + HIGHEST)
        if min(low, -high) <= -np.pi / 2 + 0.05:  # a fisheye camera
            return np.flatnonzero(inside & np.isfinite(ahead + aside))
        inside &= ahead > 0
        inside &= aside > np.float32(np.tan(low)) * ahead
        inside &= aside < np.float32(np.tan(high)) * ahead
    return np.flatnonzero(inside)


def returns_of(
    points: np.ndarray,
    scene: Scene,
    max_range: float,
    times: np.ndarray | None = None,
    *,
    ground_stds: float = GROUND_STDS,
) -> Returns:
    """Return the directions of points ``[M, 3]`` of the levelled base frame, without the ground.

    Points lower than a person, beyond ``max_range``, or in no person's direction are left out.
    """
    kept = towards_people(points, scene)
    points = points[kept]
    camera = scene.views.camera_position
    c, s = np.float32(np.cos(scene.views.heading)), np.float32(np.sin(scene.views.heading))
    x, y, z = (points - camera.astype(np.float32)).T
    ahead, aside = c * x + s * y, c * y - s * x
    across = np.hypot(ahead, aside)
    lowest = scene.ground - float(camera[2]) + LOWEST + ground_stds * scene.sensor_tilt * across
    inside = (z > lowest) & (across > 0.1) & (across < max_range)
    ahead, aside, z, across = ahead[inside], aside[inside], z[inside], across[inside]
    azimuth = np.arctan2(aside, ahead)
    order = np.argsort(azimuth)
    own = None if times is None else times[kept][inside][order].astype(np.float32)
    return Returns(azimuth[order], (z / across)[order], across[order], own)


@dataclass(frozen=True)
class Region:
    """Where a person's returns are looked for, and what one has to know about them.

    Attributes
    ----------
    indices
        Of the returns in it.
    least
        A cluster has so many returns at least.
    share
        The part of the region that a body fills: returns beyond that part tell nothing, and a wall
        around the person has more of them than the person.
    noise
        Standard deviation of the middle of the returns against the person, m, which is another in
        each image: of swinging legs.
    """

    indices: np.ndarray
    least: int
    share: float
    noise: float = 0.0


def clusters_of(ranges: np.ndarray, gap: float, least: int) -> list[np.ndarray]:
    """Return the indices of groups of ranges without gaps and not too small, nearest first.

    The indices of a group are in the order of its ranges.

    >>> [one.tolist() for one in clusters_of(np.array([5.0, 2.0, 5.1, 2.1]), 0.35, 2)]
    [[1, 3], [0, 2]]
    """
    order = np.argsort(ranges)
    ordered = ranges[order]
    cuts = [0, *(np.flatnonzero(ordered[1:] - ordered[:-1] > gap) + 1).tolist(), len(order)]
    return [order[i:j] for i, j in pairwise(cuts) if j - i >= max(least, 1)]


def median(ordered: np.ndarray) -> float:
    """Return the median of ordered values."""
    n = len(ordered)
    return (float(ordered[(n - 1) // 2]) + float(ordered[n // 2])) / 2


def strip(
    returns: Returns, top: np.ndarray, bottom: np.ndarray, half_width: float, margin: float = 0.0
) -> np.ndarray:
    """Return the indices of returns in a strip between two directions (azimuth, slope).

    ``margin`` is added on all sides, rad.
    """
    wide = half_width + margin
    near = returns.between(min(top[0], bottom[0]) - wide, max(top[0], bottom[0]) + wide)
    azimuth, slope = returns.azimuth[near] - top[0], returns.slope[near] - top[1]
    along = bottom - top
    length = float(np.hypot(*along))
    if length == 0:
        return np.zeros(0, np.int64)
    dx, dy = along / length
    inside = np.abs(azimuth * dy - slope * dx) <= wide
    done = azimuth * dx + slope * dy
    inside &= (done >= -margin) & (done <= length + margin)
    return near.start + np.flatnonzero(inside)


def share_of(top: np.ndarray, bottom: np.ndarray, half_width: float, margin: float) -> float:
    """Return the part of a strip with a margin that the strip without has."""
    length = float(np.hypot(*(bottom - top)))
    whole = (half_width + margin) * (length + 2 * margin)
    return half_width * length / whole if whole > 0 else 1.0


def torso_lines(scene: Scene) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Return the upper and lower end of each torso (azimuth, slope), and half its width."""
    views, stance = scene.views, scene.stance
    top = np.stack([stance.shoulders.azimuth, stance.shoulders.slope], axis=1)
    bottom = np.stack([stance.hips.azimuth, stance.hips.slope], axis=1)
    # Seen from the side, half a torso's depth: 0.11 m of 0.49 m.
    half = 0.22 * np.hypot(*(top - bottom).T)
    for left, right in (one for one in (scene.roles.shoulders, scene.roles.hips) if one):
        breadth = np.abs(views.azimuth[:, left] - views.azimuth[:, right]) / 2
        both = views.seen[:, left] & views.seen[:, right]
        half = np.where(both, np.fmax(half, breadth), half)
    half = 0.9 * half
    seen = np.isfinite(top).all(axis=1) & np.isfinite(bottom).all(axis=1)
    left, right, low, high = views.box.T
    middle, height = (left + right) / 2, high - low
    top = np.where(seen[:, None], top, np.stack([middle, high - 0.25 * height], axis=1))
    bottom = np.where(seen[:, None], bottom, np.stack([middle, high - 0.55 * height], axis=1))
    half = np.where(seen, half, 0.2 * np.abs(left - right))
    return list(zip(top, bottom, half.tolist(), strict=True))
