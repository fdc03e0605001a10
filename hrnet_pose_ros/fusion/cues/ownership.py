# SPDX-License-Identifier: Apache-2.0
"""Whose returns are those in a person's region: the regions of people beside each other overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.cues.returns import Returns

# The camera's errors last and have heavy tails: where its ranges choose among returns, their
# variances are as many times as large.
PRIOR_GROWTH = 2.0
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
        Of each torso: upper and lower end (azimuth, slope), and half its width, rad.
    sides
        float64 ``[N, 2]``: the azimuths of the boxes' sides, in order, rad.
    priors
        Inverse ranges that are known, and their variances, of each person.
    variance
        float64 ``[N]``: of the bearings, rad².
    aside
        How far all returns are beside the camera's directions, rad.
    """

    lines: Sequence[tuple[np.ndarray, np.ndarray, float]]
    sides: np.ndarray
    priors: Sequence[Sequence[tuple[float, float]]]
    variance: np.ndarray
    aside: float

    def of_others(self, person: int, returns: Returns, indices: np.ndarray) -> np.ndarray:
        """Return which of some returns fit the place of another person better, bool ``[K]``.

        Compared are how far a return is beside this person's torso or the other one's box (arms and
        knees too), and how far it is from the range that is known of each. ``indices`` are in the
        order of azimuths, as the returns are, and not empty.
        """
        lost = np.zeros(len(indices), bool)
        first, last = returns.azimuth[indices[[0, -1]]] - self.aside
        near = (self.sides[:, 0] < last) & (self.sides[:, 1] > first)
        others = [n for n in np.flatnonzero(near).tolist() if n != person and self.priors[n]]
        if not others:
            return lost
        azimuth = returns.azimuth[indices] - self.aside
        inverse = 1 / (returns.range[indices] + 0.1)
        top, bottom, half = self.lines[person]
        own = self._unlike(person, azimuth, inverse, float(top[0] + bottom[0]) / 2, half)
        for other in others:
            left, right = self.sides[other].tolist()
            cost = self._unlike(other, azimuth, inverse, (left + right) / 2, (right - left) / 2)
            lost |= cost + 2 * OWNED < own
        return lost

    def _unlike(
        self, person: int, azimuth: np.ndarray, inverse: np.ndarray, middle: float, half: float
    ) -> np.ndarray:
        """Return the squared distances ``[K]`` of returns from a person, in standard deviations."""
        outside = np.maximum(np.abs(azimuth - middle) - half, 0.0)
        cost = outside**2 / (self.variance[person] + (OUTLINE_STD * inverse) ** 2)
        if self.priors[person]:
            value, variance = self.priors[person][-1]
            depth = (BODY_DEPTH * value * value) ** 2
            cost = cost + (inverse - value) ** 2 / (PRIOR_GROWTH * variance + depth)
        return np.asarray(cost)
