# SPDX-License-Identifier: Apache-2.0
"""Updates a track with a bearing and inverse ranges: an iterated extended Kalman filter.

The measurements stay what they are, an angle and inverse ranges, whose errors are normal; it is the
state that is mapped to them. A place computed from them first would have a skewed error, and a
nearer measurement a smaller variance than an equally good one further away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.range_fusion import RangeStack
from hrnet_pose_ros.fusion.tracking.track import LASTING, STATES, bearing_range

# Iterations of the update: the second one linearizes at the first one's result.
ITERATIONS = 2


@dataclass(frozen=True)
class Sighting:
    """What one image says about one person.

    Attributes
    ----------
    azimuth, azimuth_var
        In the levelled base frame, rad and rad².
    ranges
        The inverse ranges that are used; may be none.
    """

    azimuth: float
    azimuth_var: float
    ranges: RangeStack


def update(
    mean: np.ndarray, covariance: np.ndarray, sighting: Sighting, camera: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean ``[7]`` and covariance ``[7, 7]`` after an update, in Joseph form.

    ``camera`` is the place of the camera in the levelled base frame.
    """
    stack = sighting.ranges
    count = 1 + len(stack)
    noise = np.zeros((count, count))
    noise[0, 0] = sighting.azimuth_var
    noise[1:, 1:] = stack.noise
    at = mean
    for _ in range(ITERATIONS):
        seen, slopes = bearing_range(at, camera)
        h = np.zeros((count, STATES))
        h[0], h[1:] = slopes[0], slopes[1]
        h[1:, LASTING] = stack.lasting
        residual = np.empty(count)
        residual[0] = (sighting.azimuth - seen[0] + np.pi) % (2 * np.pi) - np.pi
        residual[1:] = stack.values - seen[1] - stack.lasting @ at[LASTING]
        crossed = covariance @ h.T
        gain = np.linalg.solve(h @ crossed + noise, crossed.T).T
        at = mean + gain @ (residual - h @ (mean - at))
    rest = np.eye(STATES) - gain @ h
    after = rest @ covariance @ rest.T + gain @ noise @ gain.T
    return at, (after + after.T) / 2
