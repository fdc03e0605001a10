# SPDX-License-Identifier: Apache-2.0
"""What a cluster of returns is a part of: how wide and how high the thing is, up to its own edges.

An edge in depth belongs to the nearer side: what ends where something nearer begins does not end
there, it goes on behind. So the two pieces of a wall that are seen beside a person are one wall,
and something that is hidden at one side may be wider than it looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.cues.returns import Returns

# A thing is followed so far to either side, m, over gaps that are no wider than this, m.
BESIDE, BESIDE_GAP = 1.1, 0.3
# A gap at the person's direction is the person's shadow, up to this width, m: dark clothes may send
# nothing back, and what is behind them goes on.
SHADOW = 0.9
# Its depth may change to the side, as that of a wall seen at an angle, if it is wider than this, m,
# and by at most so many metres per metre.
LINE_WIDTH, STEEPEST = 0.5, 1.5
# Returns of one beam of a LIDAR have slopes that differ by this much with the distance: the camera
# sits lower or higher.
BAND = 0.04


@dataclass(frozen=True)
class Thing:
    """A thing seen by a sensor.

    Attributes
    ----------
    hit
        How wide the part is that was hit, m; what something nearer hides in its middle counts.
    width
        The same with half of what lies between the outer beams and the next ones, m.
    hidden
        At one side at least, something nearer hides where it ends: it may be wider.
    sides
        The azimuths of its right and left end, rad.
    above
        How many returns of it are higher than a person may be, in the same directions.
    """

    hit: float
    width: float
    hidden: bool
    sides: tuple[float, float]
    above: int


def thing_of(
    returns: Returns, members: np.ndarray, gap: float, step: float, person: float, top: float
) -> Thing:
    """Return the thing of which some returns are a part.

    Parameters
    ----------
    returns
        All returns of the sensor.
    members
        Indices of those of the cluster, ``[K]``, in the order of their ranges.
    gap
        Ranges that differ by more are of different things, m.
    step
        The angle between two beams beside each other, rad.
    person
        The azimuth of the person, rad.
    top
        The slope above which nothing of the person is.
    """
    middle = members[len(members) // 2]
    r = float(returns.range[middle])
    low, high = int(members.min()), int(members.max())  # indices are in the order of azimuths
    azimuth = returns.azimuth
    near = returns.between(float(azimuth[low]) - BESIDE / r, float(azimuth[high]) + BESIDE / r)
    around, slope = azimuth[near], returns.slope[near]
    away = returns.range[near] - r
    aside = (around - azimuth[middle]) * r
    level = returns.slope[members]
    band = (slope > level.min() - BAND) & (slope < level.max() + BAND)
    same = band & (np.abs(away) < gap)
    if float(np.ptp(aside[same])) > LINE_WIDTH:
        x, y = aside[same].astype(np.float64), away[same].astype(np.float64)
        x_mean, y_mean = x.mean(), y.mean()
        rise = float((x - x_mean) @ (y - y_mean) / ((x - x_mean) @ (x - x_mean)))
        rise = min(max(rise, -STEEPEST), STEEPEST)
        away = away - (y_mean + rise * (aside - x_mean))
        same = band & (np.abs(away) < gap)
    before = band & (away < -gap)
    chain = np.flatnonzero(same | before)
    place = chain + near.start
    begin, end = around[chain[:-1]], around[chain[1:]]
    shadow = (begin < person) & (end > person) & (end - begin < SHADOW / r)
    cuts = np.flatnonzero((end - begin > BESIDE_GAP / r) & ~shadow) + 1
    piece = int(np.searchsorted(cuts, np.searchsorted(place, middle), side="right"))
    first = int(cuts[piece - 1]) if piece else 0
    last = int(cuts[piece]) if piece < len(cuts) else len(chain)
    own = first + np.flatnonzero(same[chain[first:last]])
    if not len(own):  # the line leads elsewhere: the cluster alone
        left = right = int(middle)
        hidden = True
    else:
        left, right = int(place[own[0]]), int(place[own[-1]])
        # Is the next return beyond an edge, not further than two beams, of something nearer?
        sides = [(own[0] - 1, own[0]), (own[-1] + 1, own[-1])]
        hidden = any(
            first <= beyond < last
            and abs(float(around[chain[beyond]] - around[chain[edge]])) < 2.5 * step
            for beyond, edge in sides
        )
    hit = float(azimuth[right] - azimuth[left]) * r
    inside = (around > azimuth[low] - step) & (around < azimuth[high] + step)
    above = int((inside & (slope > top) & (np.abs(away) < gap)).sum())
    ends = (float(azimuth[left]), float(azimuth[right]))
    return Thing(hit, hit + step * r, hidden, ends, above)


def angular_step(azimuth: np.ndarray, elevation: np.ndarray) -> float:
    """Return the usual angle between neighbouring beams of a ring, rad; 0 if it cannot be told.

    ``azimuth`` and ``elevation`` ``[M]`` are those of returns in the sensor's frame, rad.

    >>> a, e = np.meshgrid(np.arange(0, 1, 0.01), np.deg2rad([0.0, 2.0]))
    >>> round(angular_step(a.ravel(), e.ravel()), 4)
    0.01
    """
    ring = np.round(np.rad2deg(elevation) * 5)
    order = np.lexsort((azimuth, ring))
    steps = np.diff(azimuth[order])[np.diff(ring[order]) == 0]
    steps = steps[steps > 1e-4]
    return float(np.median(steps)) if len(steps) else 0.0
