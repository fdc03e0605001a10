# SPDX-License-Identifier: Apache-2.0
"""Predicts tracks to the stamp of an image: the base moves, then the people do."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.ego_motion import EgoMotion, PlanarMotion
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.tracking.track import LASTING, PLACE, STATES, VELOCITY, Track

# The lasting errors are forgotten with this time constant, s: people change their posture, the
# vehicle its load.
FORGET = 30.0
# Spectral density of the turning of people, rad²/s: half a radian in a second.
TURNING = 0.25


class Predictor:
    """Constant velocity with white-noise acceleration; see `hrnet_pose_ros.fusion.kalman`."""

    def __init__(self, settings: FusionSettings) -> None:
        self._density = settings.acceleration_density

    def predict(self, tracks: list[Track], stamp: int, ego: EgoMotion, lasting: np.ndarray) -> None:
        """Move tracks to a stamp (ns) and into the base frame of that time.

        ``lasting`` are the standard deviations of the errors that stay, ``[3]``.
        """
        motions: dict[int, PlanarMotion] = {}
        for track in tracks:
            if track.stamp not in motions:
                motions[track.stamp] = ego.between(track.stamp, stamp)
            self._predict(track, stamp, motions[track.stamp], lasting)

    def _predict(self, track: Track, stamp: int, motion: PlanarMotion, lasting: np.ndarray) -> None:
        dt = max((stamp - track.stamp) / NS, 0.0)
        turn = motion.rotation
        step = np.eye(STATES)
        step[PLACE, PLACE] = step[VELOCITY, VELOCITY] = turn
        step[PLACE, VELOCITY] = dt * turn
        keep = np.exp(-dt / FORGET)
        step[LASTING, LASTING] *= keep
        mean = step @ track.mean
        mean[PLACE] += motion.shift
        covariance = step @ track.covariance @ step.T
        q = self._density
        for axis in (0, 1):
            covariance[axis, axis] += q * dt**3 / 3
            covariance[axis + 2, axis + 2] += q * dt
            covariance[axis, axis + 2] += q * dt**2 / 2
            covariance[axis + 2, axis] += q * dt**2 / 2
        errors = np.arange(LASTING.start, LASTING.stop)
        covariance[errors, errors] += (1 - keep**2) * lasting**2
        track.heading = (track.heading + motion.yaw + np.pi) % (2 * np.pi) - np.pi
        track.heading_var += TURNING * dt
        track.mean, track.covariance, track.stamp = mean, covariance, stamp
