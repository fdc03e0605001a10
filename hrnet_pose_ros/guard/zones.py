# SPDX-License-Identifier: Apache-2.0
"""The zones about the vehicle and its commanded way, for drawings. Nothing is decided by them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hrnet_pose_ros.guard.commanded_path import STILL, CommandedPath
from hrnet_pose_ros.guard.separation import braking_distance, reaction_distance
from hrnet_pose_ros.guard.settings import GuardSettings

# Outlines of swept ground are found on a grid with about this cell, m, of at most so many cells.
CELL, MOST_CELLS = 0.02, 600


@dataclass(frozen=True)
class Zones:
    """Outlines on the ground, float64 ``[K, 2]`` m in the base frame, anticlockwise, not closed.

    Attributes
    ----------
    footprint
        Of the vehicle.
    stop
        The footprint grown by C: with somebody in it, only a way that leads away is driven.
    way_to_stand
        What the vehicle covers before it stands from the commanded speed, grown by C; empty at
        rest.
    slowdown
        The slowdown zone; empty at rest, or if it is switched off.
    """

    footprint: np.ndarray
    stop: np.ndarray
    way_to_stand: np.ndarray
    slowdown: np.ndarray


def zones_of(twist: np.ndarray, settings: GuardSettings) -> Zones:
    """The zones of a planar twist (vx, vy, yaw rate) that is commanded.

    >>> zones = zones_of(np.array([1.0, 0.0, 0.0]), GuardSettings())
    >>> round(float(zones.stop[:, 0].max()), 2)  # 0.65 m and C
    0.8
    >>> bool(abs(zones.slowdown[:, 0].max() - (0.65 + 2.0 + 0.3)) < 0.1)
    True
    """
    footprint = settings.footprint
    speed = footprint.largest_speed(twist)
    nothing = np.zeros((0, 2))
    way_to_stand, slowdown = nothing, nothing
    if speed > STILL:
        stopping = reaction_distance(speed, settings) + braking_distance(speed, settings)
        ahead = settings.horizon * speed
        path = CommandedPath(twist, footprint, max(stopping, ahead))
        way_to_stand = swept_outline(path.outlines(stopping, settings.intrusion))
        if settings.slowdown_ratio < 1:
            slowdown = swept_outline(path.outlines(ahead, settings.slowdown_margin))
    return Zones(footprint.outline(), footprint.outline(settings.intrusion), way_to_stand, slowdown)


def swept_outline(outlines: np.ndarray) -> np.ndarray:
    """The outline ``[L, 2]`` of the ground that convex outlines ``[K, P, 2]`` cover together, m.

    To about a cell; a hole in a way that closes to a ring is not shown.
    """
    low = outlines.min(axis=(0, 1))
    cell = max(CELL, float((outlines.max(axis=(0, 1)) - low).max()) / MOST_CELLS)
    pixels = np.round((outlines - low) / cell).astype(np.int32) + 1
    width, height = (pixels.max(axis=(0, 1)) + 2).tolist()
    covered = np.zeros((height, width), np.uint8)
    for one in pixels:
        cv2.fillConvexPoly(covered, one, 1)
    found, _ = cv2.findContours(covered, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    largest = max(found, key=cv2.contourArea)
    points = cv2.approxPolyDP(largest, 0.75, True)[:, 0].astype(np.float64)
    x, y = points.T
    area = x @ np.roll(y, -1) - y @ np.roll(x, -1)
    return (points if area > 0 else points[::-1]) * cell - cell + low
