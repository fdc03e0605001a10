# SPDX-License-Identifier: Apache-2.0
"""A jump of the camera's pitch: all persons' ground contacts are off by the same angle.

A kerb, a pothole or braking turns the camera for a moment. For one person this looks like a step
forward or like wrong feet; but the camera has one pitch, so the contradictions between ground
contacts and tracks, as angles, are the same for everybody. Their median over the persons is known
much better than that of one, and does not follow a person whose feet are wrong.
"""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.range_table import ErrorModel, RangeTable
from hrnet_pose_ros.fusion.tracking.associator import Association
from hrnet_pose_ros.fusion.tracking.track import LASTING, TILT

GROUND = "ground"
# So many persons are needed, and the median angle has to be so many standard deviations from 0.
PERSONS, SIGNIFICANT = 2, 3.0
# The variance of a median over that of a mean, of normal errors.
MEDIAN = np.pi / 2


def pitch_jumped(
    table: RangeTable, association: Association, expected: np.ndarray, model: ErrorModel
) -> bool:
    """Return whether the camera's pitch at an image is another than the tracks know.

    Parameters
    ----------
    table
        The ranges of the N persons, with ground contacts.
    association
        The tracks of the persons, as predicted.
    expected
        float64 ``[N, 2]``: inverse ranges that the tracks predict, and variances.
    model
        The errors that are shared.
    """
    if GROUND not in table.names:
        return False
    column = table.names.index(GROUND)
    given, tracks = table.given[:, column].tolist(), association.tracks
    settled = [given[person] and track.settled for person, track in tracks.items()]
    if sum(settled) < PERSONS:
        return False
    rows = np.flatnonzero(settled)
    persons = np.array(list(tracks))[rows]
    by_tilt = table.lasting[persons, column, TILT - LASTING.start]
    learned = association.states.means[rows, TILT]
    apart = table.measured[persons, column] - expected[persons, 0] - by_tilt * learned
    noise = (table.own + table.joints + table.posture)[persons, column, column]
    noise = noise - (model.tilt_jitter * by_tilt) ** 2 + expected[persons, 1]
    angle, variance = apart / by_tilt, noise / by_tilt**2
    total = model.tilt_jitter**2 + MEDIAN / float((1 / variance).sum())
    return bool(abs(float(np.median(angle))) > SIGNIFICANT * np.sqrt(total))
