# SPDX-License-Identifier: Apache-2.0
"""A jump of the camera's pitch: all persons' ground contacts are off by the same angle.

A kerb, a pothole or braking turns the camera for a moment. For one person this looks like a step
forward or like wrong feet; but the camera has one pitch, so the contradictions between ground
contacts and tracks, as angles, are the same for everybody. Their median over the persons is known
much better than that of one, and does not follow a person whose feet are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hrnet_pose_ros.fusion.range_table import ErrorModel, RangeTable
from hrnet_pose_ros.fusion.tracking.track import LASTING, Track

GROUND = "ground"
# So many persons are needed, and the median angle has to be so many standard deviations from 0.
PERSONS, SIGNIFICANT = 2, 3.0
# The variance of a median over that of a mean, of normal errors.
MEDIAN = np.pi / 2
# The place of LASTING's tilt.
TILT = 1


def pitch_jumped(
    table: RangeTable, tracks: Mapping[int, Track], expected: np.ndarray, model: ErrorModel
) -> bool:
    """Return whether the camera's pitch at an image is another than the tracks know.

    Parameters
    ----------
    table
        The ranges of the N persons, with ground contacts.
    tracks
        By index of the person.
    expected
        float64 ``[N, 2]``: inverse ranges that the tracks predict, and variances.
    model
        The errors that are shared.
    """
    if GROUND not in table.names:
        return False
    column = table.names.index(GROUND)
    persons = [n for n, track in tracks.items() if table.given[n, column] and track.settled]
    if len(persons) < PERSONS:
        return False
    by_tilt = table.lasting[persons, column, TILT]
    learned = np.array([tracks[n].mean[LASTING][TILT] for n in persons])
    apart = table.values[persons, column] - expected[persons, 0] - by_tilt * learned
    noise = table.own[persons, column, column] + table.joints[persons, column, column]
    noise = noise - (model.tilt_jitter * by_tilt) ** 2 + expected[persons, 1]
    angle, variance = apart / by_tilt, noise / by_tilt**2
    total = model.tilt_jitter**2 + MEDIAN / float((1 / variance).sum())
    return bool(abs(float(np.median(angle))) > SIGNIFICANT * np.sqrt(total))
