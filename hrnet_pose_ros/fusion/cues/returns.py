# SPDX-License-Identifier: Apache-2.0
"""Returns of any ranging sensor as seen from the camera, and the cluster that is the person.

A depth image, a cloud and a scan are all points; they are looked at in the camera's directions, so
that neither registration nor distortion matters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hrnet_pose_ros.fusion.cues.cue import Answer, InverseRange, M, Scene, SensorCue
from hrnet_pose_ros.fusion.refusals import Refusal

# Returns whose ranges differ by more than this, m, are of different things.
GAP = 0.35
# Heights above the ground between which returns can be those of a person, m.
LOWEST, HIGHEST = 0.05, 2.4
# A cluster that no earlier estimate makes plausible keeps this weight: the estimates may be wrong.
FLOOR = 0.02
# Two clusters are two answers if the second has at least this fraction of the first one's weight.
RIVAL = 0.5


@dataclass(frozen=True)
class Returns:
    """M returns in directions from the camera; see `PersonViews` for the directions.

    Attributes
    ----------
    azimuth, slope, range
        float32 ``[M]``: rad from the camera's heading, slope, horizontal distance in m.
    """

    azimuth: np.ndarray
    slope: np.ndarray
    range: np.ndarray

    def __len__(self) -> int:
        return len(self.range)


def returns_of(points: np.ndarray, scene: Scene, max_range: float) -> Returns:
    """Return the directions of points ``[M, 3]`` of the levelled base frame, without the ground.

    Points that are not finite, lower or higher than a person, or beyond ``max_range`` are left out.
    """
    camera = scene.views.camera_position.astype(np.float32)
    ground = scene.ground - float(camera[2])
    c, s = np.float32(np.cos(scene.views.heading)), np.float32(np.sin(scene.views.heading))
    x, y, z = (points - camera).astype(np.float32, copy=False).T
    with np.errstate(invalid="ignore"):
        across = np.hypot(x, y)
        kept = (z > ground + LOWEST) & (z < ground + HIGHEST)
        kept &= (across > 0.1) & (across < max_range)
    x, y, z, across = x[kept], y[kept], z[kept], across[kept]
    return Returns(np.arctan2(c * y - s * x, c * x + s * y), z / across, across)


class ReturnsCue(SensorCue[M]):
    """The base of the cues that find a person among returns.

    A child prepares ``self.returns`` and gives the regions to look in, its noise, and how a
    cluster's ranges become the range of the body's axis.
    """

    least: int = 3  # returns
    gap: float = GAP

    def measure(self, scene: Scene, priors: list[list[tuple[float, float]]]) -> list[Answer]:
        """Return the answer for each person; returns belong to one person at most."""
        self.returns = Returns(*(np.zeros(0, np.float32) for _ in range(3)))
        self._found: dict[int, tuple[float, np.ndarray]] = {}
        answers = super().measure(scene, priors)
        owned = np.zeros(len(self.returns), bool)
        for person, (_, members) in sorted(self._found.items(), key=lambda one: -one[1][0]):
            if owned[members].mean() > 0.5:
                answers[person] = Refusal.OTHER_PERSON
            else:
                owned[members] = True
        return answers

    def members(self, person: int) -> np.ndarray:
        """Return the indices of the returns that are this person's in the last scene."""
        found = self._found.get(person)
        return np.zeros(0, np.int64) if found is None else found[1]

    def _measure(self, scene: Scene, person: int, priors: list[tuple[float, float]]) -> Answer:
        if not self._in_view(scene, person):
            return Refusal.OUT_OF_VIEW
        for region in self._regions(scene, person):
            clusters = clusters_of(self.returns.range[region], self.gap, self.least)
            if clusters:
                return self._chosen(scene, person, [region[one] for one in clusters], priors)
        return Refusal.NO_RETURN

    def _chosen(
        self,
        scene: Scene,
        person: int,
        clusters: list[np.ndarray],
        priors: list[tuple[float, float]],
    ) -> Answer:
        """Return the answer of the cluster with the most returns that earlier estimates allow."""
        answers = [self._answer(scene, self.returns.range[one]) for one in clusters]
        weights = []
        for members, answer in zip(clusters, answers, strict=True):
            fits = [
                np.exp(-((answer.value - value) ** 2) / (2 * (variance + answer.variance)))
                for value, variance in priors
            ]
            weights.append(len(members) * (FLOOR + max(fits, default=1.0)))
        order = np.argsort(weights)[::-1]
        best = answers[order[0]]
        for other in order[1:]:
            apart = abs(answers[other].value - best.value)
            alike = apart < 3 * np.sqrt(best.variance + answers[other].variance)
            if weights[other] > RIVAL * weights[order[0]] and not alike:
                return Refusal.AMBIGUOUS
        self._found[person] = (float(weights[order[0]]), clusters[order[0]])
        return best

    def _answer(self, scene: Scene, ranges: np.ndarray) -> InverseRange:
        """Return the answer of one cluster's ranges ``[K]``, m."""
        middle, noise, axis = self._axis(scene, ranges)
        value = 1 / middle
        variance = noise**2 + self.waiting_variance(scene)
        return InverseRange(value, variance * value**4, axis=-(value**2) * axis)

    def _in_view(self, scene: Scene, person: int) -> bool:
        return True

    @abstractmethod
    def _regions(self, scene: Scene, person: int) -> Iterator[np.ndarray]:
        """Yield indices of the returns in each region to look in, the best region first."""

    @abstractmethod
    def _axis(self, scene: Scene, ranges: np.ndarray) -> tuple[float, float, float]:
        """Return the range of the body's axis, its noise, and the share of the axis's error.

        ``ranges`` are those of one cluster, ``[K]`` in increasing order, m.
        """


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


def strip(returns: Returns, top: np.ndarray, bottom: np.ndarray, half_width: float) -> np.ndarray:
    """Return the indices of returns in a strip between two directions (azimuth, slope)."""
    low, high = np.minimum(top, bottom) - half_width, np.maximum(top, bottom) + half_width
    near = np.flatnonzero((returns.azimuth > low[0]) & (returns.azimuth < high[0]))
    azimuth, slope = returns.azimuth[near] - top[0], returns.slope[near] - top[1]
    along = bottom - top
    length = float(np.hypot(*along))
    if length == 0:
        return near[:0]
    dx, dy = along / length
    inside = np.abs(azimuth * dy - slope * dx) <= half_width
    done = azimuth * dx + slope * dy
    return near[inside & (done >= 0) & (done <= length)]


def torso_strip(scene: Scene, person: int, returns: Returns) -> np.ndarray:
    """Return the returns on the torso, or in the middle of the box where joints are missing."""
    top, bottom, half_width = torso_line(scene, person)
    return strip(returns, top, bottom, half_width)


def torso_line(scene: Scene, person: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the upper and lower end of the torso (azimuth, slope), and half its width."""
    views, stance = scene.views, scene.stance
    top = np.array([stance.shoulders.azimuth[person], stance.shoulders.slope[person]])
    bottom = np.array([stance.hips.azimuth[person], stance.hips.slope[person]])
    left, right, low, high = views.box[person]
    if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
        middle = (left + right) / 2
        top = np.array([middle, high - 0.25 * (high - low)])
        bottom = np.array([middle, high - 0.55 * (high - low)])
        return top, bottom, 0.2 * abs(left - right)
    wide = [
        abs(views.azimuth[person, one[0]] - views.azimuth[person, one[1]]) / 2
        for one in (scene.roles.shoulders, scene.roles.hips)
        if views.seen[person, list(one)].all()
    ]
    # Seen from the side, half a torso's depth: 0.11 m of 0.49 m.
    return top, bottom, 0.9 * max(*wide, 0.0, 0.22 * float(np.hypot(*(top - bottom))))
