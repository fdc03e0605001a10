# SPDX-License-Identifier: Apache-2.0
"""Assigns the persons of an image to tracks: gated, globally nearest, helped by detector ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from hrnet_pose_ros.fusion.range_fusion import distance_from_tracks
from hrnet_pose_ros.fusion.tracking.track import PLACE, VELOCITY, States, Track
from hrnet_pose_ros.fusion.transforms import wrap

# Chi-square with 2 degrees of freedom: 99.9 % of consistent sightings.
GATE = 13.8
# The same detector id makes an assignment cheaper by this, another id dearer: twice the logarithm
# of how much more often a detector's id is right than wrong, about 20 to 1.
SAME_ID = 6.0
# With the same id, the gate is wider: the person may have done what the motion model does not know.
GATE_SAME_ID = 40.0


@dataclass(frozen=True)
class Spotted:
    """The N persons of an image in azimuth and inverse range.

    Attributes
    ----------
    azimuth, azimuth_var
        float64 ``[N]``, rad and rad², in the levelled base frame.
    value, variance
        float64 ``[N]``, 1/m and 1/m²; NaN where there is no range.
    ids
        The detector's ids, empty where there is none.
    """

    azimuth: np.ndarray
    azimuth_var: np.ndarray
    value: np.ndarray
    variance: np.ndarray
    ids: Sequence[str]


@dataclass(frozen=True)
class Association:
    """Which of the N persons of an image have a track, and what the tracks predict of them.

    Attributes
    ----------
    persons
        N.
    tracks
        By index of the person.
    states
        Predicted, of ``tracks`` in their order.
    rows
        int64: the places of ``tracks`` among all tracks.
    """

    persons: int
    tracks: dict[int, Track]
    states: States
    rows: np.ndarray

    def expected_ranges(self) -> np.ndarray:
        """Return inverse range and variance predicted for each person, ``[N, 2]``; NaN: none."""
        result = np.full((self.persons, 2), np.nan)
        if self.tracks:
            states, rows = self.states, list(self.tracks)
            slope = states.slopes[:, 1:]
            variance = slope @ states.covariances[:, PLACE, PLACE] @ slope.swapaxes(1, 2)
            result[rows, 0], result[rows, 1] = states.seen[:, 1], variance[:, 0, 0]
        return result

    def speeds(self) -> np.ndarray:
        """Return how fast persons go away from the camera, ``[N, 2]``: m/s, and variance.

        NaN for persons without a track.
        """
        result = np.full((self.persons, 2), np.nan)
        if self.tracks:
            states, rows = self.states, list(self.tracks)
            azimuth = states.seen[:, 0]
            towards = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
            spread = states.covariances[:, VELOCITY, VELOCITY]
            result[rows, 0] = (states.means[:, VELOCITY] * towards).sum(axis=1)
            result[rows, 1] = np.einsum("ni,nij,nj->n", towards, spread, towards)
        return result


def associate(tracks: list[Track], states: States, spotted: Spotted) -> Association:
    """Assign the persons of an image to tracks with predicted ``states``.

    The cost is the squared Mahalanobis distance in azimuth and inverse range plus the logarithm of
    the determinant of its covariance, so that an uncertain track does not attract everybody. The
    distance is not less than that of the ranges alone, in which a track's error is one in metres.
    """
    persons = len(spotted.azimuth)
    if not tracks or not persons:
        return Association(persons, {}, states.select([]), np.zeros(0, np.int64))
    expected, slopes = states.seen, states.slopes  # [T, 2], [T, 2, 2]
    spread = slopes @ states.covariances[:, PLACE, PLACE] @ slopes.swapaxes(1, 2)
    ranged = np.isfinite(spotted.value)
    # Without a range, everything fits: a variance larger than any inverse range.
    range_var = np.where(ranged, spotted.variance, 100.0)
    aside = wrap(spotted.azimuth - expected[:, :1])  # [T, N]
    along = np.where(ranged, np.where(ranged, spotted.value, 0.0) - expected[:, 1:], 0.0)
    # The covariance of the two, a symmetric 2x2 matrix of tracks and persons.
    first = spread[:, :1, 0] + spotted.azimuth_var
    second = spread[:, 1:, 1] + range_var
    both = spread[:, :1, 1]
    determinant = first * second - both * both
    distance = second * aside * aside - 2 * both * aside * along + first * along * along
    distance /= determinant
    by_range = distance_from_tracks(
        spotted.value, spotted.variance, expected[:, 1:], spread[:, 1:, 1]
    )
    distance = np.fmax(distance, by_range)  # NaN: no range
    track_ids = np.array([track.detection_id for track in tracks])[:, None]
    ids = np.array(list(spotted.ids))[None]
    known = (track_ids != "") & (ids != "")
    same = known & (track_ids == ids)
    possible = distance < np.where(same, GATE_SAME_ID, GATE)
    # Comparable for one person over the tracks: only the track's part of the determinant differs.
    cost = distance + np.log(determinant / (spotted.azimuth_var * range_var))
    cost = cost + np.where(same, -SAME_ID, np.where(known, SAME_ID, 0.0))
    blocked = 1e6
    rows, columns = linear_sum_assignment(np.where(possible, cost, blocked))
    kept = possible[rows, columns]
    rows, columns = rows[kept], columns[kept]
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return Association(persons, {n: tracks[t] for t, n in pairs}, states.select(rows), rows)
