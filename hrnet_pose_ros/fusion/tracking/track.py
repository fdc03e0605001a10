# SPDX-License-Identifier: Apache-2.0
"""The state of one tracked person."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hrnet_pose_ros.fusion.refusals import Source

# The order of the state: place and velocity in the levelled base frame, then the errors that stay,
# of stature (relative), of the camera's tilt (rad), and of surface to axis (m).
PLACE, VELOCITY, LASTING = slice(0, 2), slice(2, 4), slice(4, 7)
STATES = 7


@dataclass
class Track:
    """One person over time.

    The errors that stay from image to image are part of the state. A filter that took them for
    noise would average them away, and report a certainty that it does not have. Where an
    independent range shows them, they are learned: after a LIDAR was there, the length of the body
    tells the range better than before.

    Attributes
    ----------
    id
        Unique while the fusion lives.
    stamp
        Of the state, ns.
    mean, covariance
        float64 ``[7]`` and ``[7, 7]``; see `PLACE`, `VELOCITY` and `LASTING`.
    existence
        Probability that the person exists.
    seen
        Stamp of the last skeleton, ns.
    detection_id
        The detector's last id for this person.
    sources
        Of the last update with a skeleton.
    heading, heading_var
        Where the chest points, rad about z, and its variance; infinite until it was seen.
    beliefs
        What the other attributes remember, by attribute.
    """

    id: str
    stamp: int
    mean: np.ndarray
    covariance: np.ndarray
    existence: float
    seen: int
    detection_id: str = ""
    sources: Source = Source.NONE
    heading: float = 0.0
    heading_var: float = np.inf
    beliefs: dict[str, np.ndarray] = field(default_factory=dict)

    def bearing_range(self, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return azimuth and inverse range from a point, and their derivatives by the state.

        Parameters
        ----------
        camera
            float64 ``[>= 2]``: x and y in the levelled base frame.

        Returns
        -------
        float64 ``[2]`` (rad, 1/m) and ``[2, 7]``. Nearer than 0.2 m, the distance counts as 0.2 m.
        """
        return bearing_range(self.mean, camera)


def bearing_range(mean: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return azimuth and inverse range of a state; see `Track.bearing_range`."""
    x, y = mean[0] - camera[0], mean[1] - camera[1]
    r = max(float(np.hypot(x, y)), 0.2)
    slope = np.zeros((2, STATES))
    slope[0, 0], slope[0, 1] = -y / r**2, x / r**2
    slope[1, 0], slope[1, 1] = -x / r**3, -y / r**3
    return np.array([np.arctan2(y, x), 1 / r]), slope
