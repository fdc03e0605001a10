# SPDX-License-Identifier: Apache-2.0
"""Assigns the persons of an image to tracks: gated, globally nearest, helped by detector ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from hrnet_pose_ros.fusion.tracking.track import PLACE, Track, bearing_ranges, states_of
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


def associate(tracks: list[Track], spotted: Spotted, camera: np.ndarray) -> dict[int, int]:
    """Return the index of the track for each person that has one.

    The cost is the squared Mahalanobis distance in azimuth and inverse range plus the logarithm of
    the determinant of its covariance, so that an uncertain track does not attract everybody.
    """
    if not tracks or not len(spotted.azimuth):
        return {}
    means, covariances = states_of(tracks)
    expected, slopes = bearing_ranges(means, camera)  # [T, 2], [T, 2, 2]
    spread = slopes @ covariances[:, PLACE, PLACE] @ slopes.swapaxes(1, 2)
    ranged = np.isfinite(spotted.value)
    own = np.zeros((len(spotted.azimuth), 2, 2))
    own[:, 0, 0] = spotted.azimuth_var
    # Without a range, everything fits: a variance larger than any inverse range.
    own[:, 1, 1] = np.where(ranged, spotted.variance, 100.0)
    residual = np.zeros((len(tracks), len(spotted.azimuth), 2))
    residual[..., 0] = wrap(spotted.azimuth - expected[:, :1])
    residual[..., 1] = np.where(ranged, np.nan_to_num(spotted.value) - expected[:, 1:], 0.0)
    total = spread[:, None] + own[None]
    weighted = np.linalg.solve(total, residual[..., None])[..., 0]
    distance = (residual * weighted).sum(axis=-1)  # [T, N]
    track_ids = np.array([track.detection_id for track in tracks])[:, None]
    ids = np.array(list(spotted.ids))[None]
    known = (track_ids != "") & (ids != "")
    same = known & (track_ids == ids)
    possible = distance < np.where(same, GATE_SAME_ID, GATE)
    # Comparable for one person over the tracks: only the track's part of the determinant differs.
    cost = distance + np.log(np.linalg.det(total) / np.linalg.det(own)[None])
    cost = cost + np.where(same, -SAME_ID, np.where(known, SAME_ID, 0.0))
    blocked = 1e6
    rows, columns = linear_sum_assignment(np.where(possible, cost, blocked))
    return {int(n): int(t) for t, n in zip(rows, columns, strict=True) if possible[t, n]}
