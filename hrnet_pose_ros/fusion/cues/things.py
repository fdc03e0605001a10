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
from hrnet_pose_ros.fusion.cues.segments import Segments

# A thing is followed so far to either side, m, over gaps that are no wider than the second figure,
# m. Not further: something at the same distance stands beside many people (KITTI). So `OVERHANG` of
# `hrnet_pose_ros.fusion.cues.cluster_judge` is for what begins at the side of the person's box.
BESIDE, BESIDE_GAP = 1.1, 0.3
# A gap at the person's direction is the person's shadow, up to this width, m: dark clothes may send
# nothing back, and what is behind them goes on.
SHADOW = 0.9
# Its depth may change to the side, as that of a wall seen at an angle, if it is wider than this, m,
# and by at most so many metres per metre.
LINE_WIDTH, STEEPEST = 0.5, 1.5


@dataclass(frozen=True)
class Things:
    """T things seen by a sensor; each array is ``[T]``.

    Attributes
    ----------
    hit
        How wide the part is that was hit, m; what something nearer hides in its middle counts.
    width
        The same with half of what lies between the outer beams and the next ones, m.
    hidden
        At one side at least, something nearer hides where it ends: it may be wider.
    right, left
        The azimuths of its ends, rad.
    above
        How many returns of it are higher than a person may be, in the same directions.
    """

    hit: np.ndarray
    width: np.ndarray
    hidden: np.ndarray
    right: np.ndarray
    left: np.ndarray
    above: np.ndarray


def things_of(
    returns: Returns,
    members: np.ndarray,
    of: Segments,
    gap: float,
    step: float,
    band: float,
    person: np.ndarray,
    top: np.ndarray,
) -> Things:
    """Return the things of which some clusters of returns are a part.

    Parameters
    ----------
    returns
        All returns of the sensor.
    members, of
        Indices of those of T clusters, int ``[E]``, each cluster's in the order of their ranges.
    gap
        Ranges that differ by more are of different things, m.
    step
        The angle between two beams beside each other, rad.
    band
        Returns that differ by no more in slope are of the same beam or a neighbouring one.
    person
        float ``[T]``: the azimuth of each cluster's person, rad.
    top
        float ``[T]``: the slope above which nothing of that person is.
    """
    azimuth = returns.azimuth
    middle = members[of.starts + of.sizes // 2]
    r = returns.range[middle].astype(np.float64)
    low, high = of.min(members), of.max(members)  # indices are in the order of azimuths
    begin = np.searchsorted(azimuth, azimuth[low] - BESIDE / r)
    near, places = Segments.between(begin, np.searchsorted(azimuth, azimuth[high] + BESIDE / r))
    whose = near.group
    around, slope = azimuth[places], returns.slope[places]
    away = (returns.range[places] - r[whose]).astype(np.float64)
    aside = (around - azimuth[middle][whose]) * r[whose]
    level = returns.slope[members]
    alike_slope = slope > (of.min(level) - np.float32(band))[whose]
    alike_slope &= slope < (of.max(level) + np.float32(band))[whose]
    away -= _line(near, aside, away, alike_slope & (np.abs(away) < gap))
    alike = np.abs(away) < gap
    same = alike_slope & alike

    # Chains of what is the thing or hides it, and the pieces of them between gaps.
    chain = np.flatnonzero(same | (alike_slope & (away < -gap)))
    owner, at = whose[chain], around[chain]
    own = same[chain]
    reach = at[1:] - at[:-1]
    seen_past = owner[1:]
    shadow = (at[:-1] < person[seen_past]) & (at[1:] > person[seen_past])
    shadow &= reach < SHADOW / r[seen_past]
    cut = (owner[1:] != owner[:-1]) | ((reach > BESIDE_GAP / r[seen_past]) & ~shadow)
    piece = np.concatenate([[0], np.cumsum(cut)])[: len(chain)]
    # The piece with the cluster's middle, or the one after it if the line leads elsewhere.
    sizes = np.bincount(owner, minlength=len(r))
    some = sizes > 0
    starts = np.cumsum(sizes) - sizes
    here = np.searchsorted(chain, near.starts + middle - begin)
    here = np.clip(here, starts, np.maximum(starts + sizes - 1, 0))
    mine = np.full(len(r), -1)
    mine[some] = piece[here[some]]
    own &= piece == mine[owner]
    found = np.flatnonzero(own)
    count = np.bincount(owner[found], minlength=len(r))
    known = count > 0
    ends = np.cumsum(count)
    first, last = found[(ends - count)[known]], found[ends[known] - 1]
    right, left = middle.copy(), middle.copy()
    right[known], left[known] = places[chain[first]], places[chain[last]]
    hidden = ~known
    # Is the next return beyond an edge, not further than two beams, of something nearer?
    for edge, beyond in ((first, first - 1), (last, last + 1)):
        inside = (beyond >= 0) & (beyond < len(chain))
        beyond = np.clip(beyond, 0, max(len(chain) - 1, 0))
        inside &= piece[beyond] == piece[edge]
        hidden[known] |= inside & (np.abs(at[beyond] - at[edge]) < 2.5 * step)

    hit = (azimuth[left] - azimuth[right]) * r
    within = (around > (azimuth[low] - step)[whose]) & (around < (azimuth[high] + step)[whose])
    above = np.bincount(whose[within & alike & (slope > top[whose])], minlength=len(r))
    ends_at = azimuth[right].astype(np.float64), azimuth[left].astype(np.float64)
    return Things(hit, hit + step * r, hidden, *ends_at, above)


def _line(near: Segments, aside: np.ndarray, away: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return the depths ``[E]`` of lines through what is ``same``, 0 where it is not wide."""
    x, y = np.where(same, aside, 0.0), np.where(same, away, 0.0)
    wide = near.max(np.where(same, aside, -np.inf)) - near.min(np.where(same, aside, np.inf))
    number = np.maximum(near.sum(same), 1.0)
    x_mean, y_mean = near.sum(x) / number, near.sum(y) / number
    whose = near.group
    dx = np.where(same, x - x_mean[whose], 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rise = near.sum(dx * (y - y_mean[whose])) / near.sum(dx * dx)
    steep = np.clip(rise, -STEEPEST, STEEPEST)
    line = y_mean[whose] + steep[whose] * (aside - x_mean[whose])
    return np.where((wide > LINE_WIDTH)[whose], line, 0.0)


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
