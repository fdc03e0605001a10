# SPDX-License-Identifier: Apache-2.0
"""Returns of any ranging sensor as seen from the camera.

A depth image, a cloud and a scan are all points; they are looked at in the camera's directions, so
that neither registration nor distortion matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.cues.cue import Scene

# Heights above the ground between which returns can be those of a person, m. The lower limit rises
# with the range by this many standard deviations of the sensor's tilt: the ground looks higher.
LOWEST, HIGHEST = 0.05, 2.4
GROUND_STDS = 2.5
# Heights are compared in float32 with this slack, m.
ROUNDING = 1e-3


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

    @classmethod
    def none(cls) -> Returns:
        """Return those of a sensor that has measured nothing."""
        return cls(*(np.zeros(0, np.float32) for _ in range(3)))


def towards_people(points: np.ndarray, scene: Scene, margin: float = 0.0) -> np.ndarray:
    """Return the indices of the points ``[M, 3]`` of the levelled base frame that may be people's.

    They lie between the directions of the leftmost and the rightmost person, with a ``margin``,
    rad, above the ground, and are not higher than a person. Points that are not finite are left
    out.
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
        inside &= points[:, 2] > np.float32(scene.ground + LOWEST - ROUNDING)
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

    Also left out are points above every person, beyond ``max_range``, or in no person's direction.
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
