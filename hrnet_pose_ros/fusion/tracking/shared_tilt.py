# SPDX-License-Identifier: Apache-2.0
"""The camera's tilt is one for everybody: what each track has learned of it, the others know too.

A track learns the error of the camera's tilt where the ground contact and other ranges of its
person differ. A single person may as well be tall or short; but of ten persons, the mean stature is
known much better than that of one. Given the tilt, the tracks of different persons are independent.
So what a track tells of it beyond the prior (its likelihood, an inverse variance and a mean) adds
up over the tracks, and each track takes what the *others* tell as one measurement of its own tilt:
message passing in a graph that is a star, which is exact for linear normal models (Pearl,
Probabilistic Reasoning in Intelligent Systems, 1988). Each track keeps only its own knowledge, so
nothing is counted twice.

Two things the tracks have in common besides: key points and statures that are off for everybody,
and the pitching of a vehicle that drives. The evidence of many is therefore no better than
`COMMON_STD`. One whose evidence does not fit that of the others, for wrong feet or a wrong age,
counts less, as in an estimate with Student's t distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hrnet_pose_ros.fusion.range_table import ErrorModel
from hrnet_pose_ros.fusion.tracking.associator import Association
from hrnet_pose_ros.fusion.tracking.track import PLACE, STATES, TILT, States, bearing_ranges

# Standard deviation of what is common to the evidence of all persons, rad: statures that are 2 %
# off, or ankles that are 3 cm off, for somebody 7 m away. And that of pitching, in multiples of the
# deviation in one image: it is averaged over the images, but not over persons.
COMMON_STD = float(np.deg2rad(0.25))
COMMON_JITTER = 1.0
# Degrees of freedom of the evidence, and how often the weights that follow are computed.
FREEDOM, ROUNDS = 4.0, 2
# Less information than this part of the prior's tells nothing.
LEAST = 1e-3
# A range is not moved by more than this factor, and nobody who is nearer than this, m.
FURTHER, NEAR = 2.0, 0.5


@dataclass(frozen=True)
class SharedTilt:
    """What T tracks tell of the error of the camera's tilt, beyond its prior.

    The tilt that moves a person is the one in the person's direction: that of the camera's pitch
    ahead, and that of its roll to the side, with the same prior.

    Attributes
    ----------
    towards
        float64 ``[T, 2]``: unit vectors from the camera to the persons.
    value, information
        float64 ``[T]``: the tilt in this direction that each track alone finds, rad, and its
        inverse variance with the weight of its evidence, 1/rad²; 0 and 0 where it tells nothing.
    prior
        The variance of the tilt before anything is known, rad².
    common
        The variance of what all evidence has in common, rad².
    """

    towards: np.ndarray
    value: np.ndarray
    information: np.ndarray
    prior: float
    common: float

    @classmethod
    def of(cls, states: States, model: ErrorModel) -> SharedTilt:
        """Return what tracks tell, by their states and the errors before anything is known."""
        prior = model.tilt**2
        common = COMMON_STD**2 + (COMMON_JITTER * model.tilt_jitter) ** 2
        own = states.covariances[:, TILT, TILT]
        information = 1 / own - 1 / prior
        information = np.where(information > LEAST / prior, information, 0.0)
        known = information > 0
        value = np.zeros(len(states))
        value[known] = states.means[known, TILT] / own[known] / information[known]
        azimuth = states.seen[:, 0]
        towards = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
        found = cls(towards, value, information, prior, common)
        for _ in range(ROUNDS if known.sum() > 1 else 0):
            middle, variance = found.at(towards).T
            apart = (value - middle) ** 2 / (1 / np.where(known, information, 1.0) + variance)
            weight = np.minimum((FREEDOM + 1) / (FREEDOM + apart), 1.0)
            found = cls(towards, value, weight * information, prior, common)
        return found

    def at(self, towards: np.ndarray) -> np.ndarray:
        """Return the tilt in some directions and its variance, ``[M, 2]``, by all tracks.

        ``towards`` are unit vectors, ``[M, 2]``.
        """
        return self._tilts(towards, self._told_by.sum(axis=0))

    @cached_property
    def by_others(self) -> np.ndarray:
        """The tilt of each track and its variance, ``[T, 2]``, by all tracks but this one."""
        told_by = self._told_by
        return self._tilts(self.towards, told_by.sum(axis=0) - told_by)

    def of_persons(self, azimuth: np.ndarray, association: Association) -> np.ndarray | None:
        """Return the tilt towards N persons and its variance, ``[N, 2]``, for each by the others.

        None where nobody tells anything. ``azimuth`` ``[N]`` are the bearings, rad.
        """
        if not self.information.any():
            return None
        tilts = self.at(np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1))
        tilts[list(association.tracks)] = self.by_others[association.rows]
        return tilts

    @cached_property
    def _told_by(self) -> np.ndarray:
        """What each track tells of pitch and roll, ``[T, 5]``: the evidence, and its information.

        That is its matrix's elements xx, xy and yy.
        """
        (x, y), v, i = self.towards.T, self.value, self.information
        return np.stack([i * v * x, i * v * y, i * x * x, i * x * y, i * y * y], axis=1)

    def _tilts(self, towards: np.ndarray, told_by: np.ndarray) -> np.ndarray:
        """Return tilts and variances ``[M, 2]`` by the sums of what some tracks tell."""
        first, second, xx, xy, yy = told_by.T
        xx, yy = xx + 1 / self.prior, yy + 1 / self.prior
        x, y = towards.T
        determinant = xx * yy - xy * xy
        # The covariance of pitch and roll is the inverse of the information matrix.
        along, across = (yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant
        value, own = along * first + across * second, along * x + across * y
        # What is common adds to the variance of the evidence, which is what exceeds the prior.
        exceeds = np.maximum(1 / own - 1 / self.prior, 1e-12)
        shrunk = 1 / (1 / exceeds + self.common)
        variance = 1 / (1 / self.prior + shrunk)
        return np.stack([value / (own * exceeds) * shrunk * variance, variance], axis=-1)


def told(states: States, shared: SharedTilt) -> States:
    """Return the states of T tracks with what each is told by the others in ``shared``.

    The update is made in azimuth and inverse range, in which a tilt moves people linearly: half a
    degree that moves somebody at 10 m by 1 m moves somebody at 20 m by 4 m or more.
    """
    # The evidence is what exceeds the prior, which each track has already.
    value, variance = shared.by_others[: len(states)].T
    information = 1 / variance - 1 / shared.prior
    rows = np.flatnonzero((information > LEAST / shared.prior) & (states.seen[:, 1] < 1 / NEAR))
    if not len(rows):
        return states
    told_ones, information = states.select(rows), information[rows]
    value, variance = value[rows] / variance[rows] / information, 1 / information
    turned = np.tile(np.eye(STATES), (len(rows), 1, 1))
    turned[:, PLACE, PLACE] = told_ones.slopes
    own = turned @ told_ones.covariances @ turned.swapaxes(1, 2)
    column = own[:, :, TILT]
    gain = column / (column[:, TILT] + variance)[:, None]
    change = gain * (value - told_ones.means[:, TILT])[:, None]
    azimuth, inverse = (told_ones.seen + change[:, :2]).T
    before = told_ones.seen[:, 1]
    inverse = np.clip(inverse, before / FURTHER, before * FURTHER)
    means = told_ones.means + change
    ahead = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    means[:, PLACE] = states.camera[:2] + ahead / inverse[:, None]
    own = own - gain[:, :, None] * column[:, None, :]
    turned[:, PLACE, PLACE] = np.linalg.inv(bearing_ranges(means, states.camera)[1])
    own = turned @ own @ turned.swapaxes(1, 2)
    all_means, covariances = states.means.copy(), states.covariances.copy()
    all_means[rows], covariances[rows] = means, (own + own.swapaxes(1, 2)) / 2
    return States(all_means, covariances, states.camera)
