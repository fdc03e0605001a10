# SPDX-License-Identifier: Apache-2.0
"""Whose returns are those in a person's region: the regions of people beside each other overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.cues.priors import PRIOR_GROWTH
from hrnet_pose_ros.fusion.cues.regions import Lines, Regions
from hrnet_pose_ros.fusion.cues.returns import Returns
from hrnet_pose_ros.fusion.cues.segments import Segments

# Returns against the silhouette of a person, m; and how deep a body is.
OUTLINE_STD, BODY_DEPTH = 0.05, 0.3
# A return that fits another person better by this much (half a difference of chi-squares) is that
# person's.
OWNED = 3.0


@dataclass(frozen=True)
class Owners:
    """The N persons of a scene, to whom returns may belong.

    Attributes
    ----------
    lines
        Of each torso.
    sides
        float64 ``[N, 2]``: the azimuths of the boxes' sides, in order, rad.
    known
        float64 ``[N, 2]``: inverse range and variance that are known of each person; NaN: none.
    variance
        float64 ``[N]``: of the bearings, rad².
    aside
        How far all returns are beside the camera's directions, rad.
    """

    lines: Lines
    sides: np.ndarray
    known: np.ndarray
    variance: np.ndarray
    aside: float

    def keep(self, regions: Regions, returns: Returns) -> Regions:
        """Return the regions without the returns that fit the place of another person better.

        Compared are how far a return is beside this person's torso or the other one's box (arms and
        knees too), and how far it is from the range that is known of each.
        """
        persons = np.flatnonzero(regions.of.sizes)
        if len(self.sides) < 2 or not len(persons):
            return regions
        starts, sizes = regions.of.starts[persons], regions.of.sizes[persons]
        first = returns.azimuth[regions.indices[starts]] - self.aside
        last = returns.azimuth[regions.indices[starts + sizes - 1]] - self.aside
        near = (self.sides[:, 0] < last[:, None]) & (self.sides[:, 1] > first[:, None])
        near[np.arange(len(persons)), persons] = False
        near &= np.isfinite(self.known[:, 0])
        at, others = np.nonzero(near)  # pairs of a person and another one near by
        if not len(at):
            return regions
        azimuth = returns.azimuth[regions.indices] - self.aside
        inverse = 1 / (returns.range[regions.indices] + np.float32(0.1))
        half_torso = self.lines.half_width
        own = self._unlike(regions.of.group, azimuth, inverse, self.lines.middle, half_torso)
        pairs, places = Segments.between(starts[at], starts[at] + sizes[at])
        middle, half = self.sides.mean(axis=1), (self.sides[:, 1] - self.sides[:, 0]) / 2
        whose = others[pairs.group]
        cost = self._unlike(whose, azimuth[places], inverse[places], middle, half)
        lost = np.zeros(len(azimuth), bool)
        lost[places[cost + 2 * OWNED < own[places]]] = True
        return regions.only(~lost)

    def _unlike(
        self,
        person: np.ndarray,
        azimuth: np.ndarray,
        inverse: np.ndarray,
        middle: np.ndarray,
        half: np.ndarray,
    ) -> np.ndarray:
        """Return the squared distances ``[E]`` of returns from persons, in standard deviations.

        ``middle`` and ``half`` ``[N]`` are those of the persons' outlines, rad.
        """
        outside = np.maximum(np.abs(azimuth - middle[person]) - half[person], 0.0)
        cost = outside**2 / (self.variance[person] + (OUTLINE_STD * inverse) ** 2)
        value, variance = self.known.T
        depth = (PRIOR_GROWTH * variance + (BODY_DEPTH * value * value) ** 2)[person]
        away = (inverse - value[person]) ** 2 / depth
        return np.asarray(cost + np.where(np.isfinite(away), away, 0.0))
