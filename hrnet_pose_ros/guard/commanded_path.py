# SPDX-License-Identifier: Apache-2.0
"""The way of the vehicle along its command: one arc, whatever the speed.

A constant twist moves the vehicle on an arc; scaled by one factor it is the same arc. Places on it
are counted in metres of the footprint's fastest point, so that turning on the spot is an arc too.
"""

from __future__ import annotations

import math

import numpy as np

from hrnet_pose_ros.guard.footprint import Footprint

# The footprint is placed along the way with this step, m. After so many places the step doubles,
# and again whenever the way has become twice as long: a long way has few places, but none of its
# steps is long against the way before it, so that nobody near is between two places.
STEP, FINE_PLACES = 0.05, 96
# Convex shapes are compared in so many directions: distances are up to 0.2 % too small.
DIRECTIONS = 48
# Below this nothing moves, m/s.
STILL = 1e-6

ANGLES = 2 * math.pi * np.arange(DIRECTIONS) / DIRECTIONS
NORMALS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def pose_after(twist: np.ndarray, time: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Heading (rad) ``[...]`` and place (m) ``[..., 2]`` after seconds of a planar twist.

    >>> turn, place = pose_after(np.array([1.0, 0.0, math.pi / 2]), 1.0)
    >>> place.round(6).tolist()  # a quarter of a circle with the radius 2 / pi
    [0.63662, 0.63662]
    """
    vx, vy, rate = twist
    time = np.asarray(time, np.float64)
    turn = rate * time
    along = time * np.sinc(turn / math.pi)
    across = time * turn / 2 * np.sinc(turn / (2 * math.pi)) ** 2
    return turn, np.stack([vx * along - vy * across, vx * across + vy * along], axis=-1)


class CommandedPath:
    """The footprint at places along the way of a command.

    Parameters
    ----------
    twist
        float64 ``[3]``: vx, vy, yaw rate in the base frame.
    footprint
        Of the vehicle.
    length
        Of the way, m of the fastest point.

    Attributes
    ----------
    speed
        Of the fastest point, m/s.
    places
        float64 ``[M]``, m: 0, `STEP`, …; the last is at the length or beyond.
    steps
        float64 ``[M]``, m: the longer one of those before and after each place.
    supports
        float64 ``[M, DIRECTIONS]``, m: how far the footprint at each place reaches.
    """

    def __init__(self, twist: np.ndarray, footprint: Footprint, length: float) -> None:
        self.twist = twist
        self.footprint = footprint
        self.speed = footprint.largest_speed(twist)
        moving = self.speed > STILL
        self.places, self.steps = _places(length if moving else 0.0)
        turns, centres = pose_after(twist / self.speed if moving else twist, self.places)
        self._turns, self._centres = turns, centres
        self.supports = footprint.support(ANGLES - turns[:, None]) + centres @ NORMALS.T

    def outlines(self, length: float, margin: float = 0.0) -> np.ndarray:
        """float64 ``[K, P, 2]``: the footprint's outline at the places up to a length, grown."""
        inside = self.places <= length + self.steps
        outline = self.footprint.outline(margin)
        cos, sin = np.cos(self._turns[inside]), np.sin(self._turns[inside])
        turns = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], axis=-2)
        return outline @ turns.swapaxes(1, 2) + self._centres[inside][:, None]

    def bearing(self, length: float) -> float:
        """Direction from here to where the base frame is after a length, rad; NaN: on the spot."""
        vx, vy, rate = self.twist / max(self.speed, STILL)
        if math.hypot(vx, vy) < 0.05 * abs(rate) * self.footprint.reach or self.speed <= STILL:
            return math.nan
        return math.atan2(vy, vx) + rate * length / 2


def _places(length: float) -> tuple[np.ndarray, np.ndarray]:
    """The places of a way of a length (m), and the steps at them.

    >>> places, steps = _places(100.0)
    >>> len(places), steps.max().item()
    (303, 1.6)
    """
    step, count = STEP, FINE_PLACES
    parts = [step * np.arange(min(count, math.ceil(length / step)) + 1)]
    while parts[-1][-1] < length:
        step, count = 2 * step, FINE_PLACES // 2
        rest = math.ceil((length - parts[-1][-1]) / step)
        parts.append(parts[-1][-1] + step * np.arange(1, min(count, rest) + 1))
    places = np.concatenate(parts)
    steps = np.diff(places, append=places[-1] + step)
    return places, steps
