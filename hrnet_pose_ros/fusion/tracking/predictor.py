# SPDX-License-Identifier: Apache-2.0
"""Predicts tracks to the stamp of an image: the base moves, then the people do."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.ego_motion import EgoMotion
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.tracking.track import (
    LASTING,
    PLACE,
    STATES,
    TILT,
    VELOCITY,
    States,
    Track,
)
from hrnet_pose_ros.fusion.transforms import wrap

# The lasting errors are forgotten with this time constant, s: people change their posture, the
# vehicle its load.
FORGET = 30.0
# Spectral density of the turning of people, rad²/s: half a radian in a second.
TURNING = 0.25


class Predictor:
    """Constant velocity with white-noise acceleration; see `hrnet_pose_ros.fusion.kalman`."""

    def __init__(self, settings: FusionSettings) -> None:
        self._tilt: float | None = None  # its standard deviation at the last image, rad
        self.apply(settings)

    def apply(self, settings: FusionSettings) -> None:
        """Use these settings from now on."""
        self._density = settings.acceleration_density

    def predict(
        self,
        tracks: list[Track],
        stamp: int,
        ego: EgoMotion,
        lasting: np.ndarray,
        camera: np.ndarray,
    ) -> States:
        """Move tracks to a stamp (ns) and into the base frame of that time; return their states.

        ``lasting`` are the standard deviations of the errors that stay, ``[4]``, and ``camera`` is
        the place of the camera at that time. All tracks have the same stamp, that of the image
        before.
        """
        states = States.of(tracks, camera)
        tilt_before, self._tilt = self._tilt, float(lasting[TILT - LASTING.start])
        if not tracks:
            return states
        before = tracks[0].stamp
        motion = ego.between(before, stamp)
        dt = max((stamp - before) / NS, 0.0)
        keep = np.exp(-dt / FORGET)
        step = np.eye(STATES)
        step[PLACE, PLACE] = step[VELOCITY, VELOCITY] = motion.rotation
        step[PLACE, VELOCITY] = dt * motion.rotation
        step[LASTING, LASTING] *= keep
        means = states.means @ step.T
        means[:, PLACE] += motion.shift
        noise = np.zeros((STATES, STATES))
        one, q = np.eye(2), self._density
        noise[PLACE, PLACE], noise[VELOCITY, VELOCITY] = q * dt**3 / 3 * one, q * dt * one
        noise[PLACE, VELOCITY] = noise[VELOCITY, PLACE] = q * dt**2 / 2 * one
        noise[LASTING, LASTING] = np.diag((1 - keep**2) * lasting**2)
        covariances = step @ states.covariances @ step.T + noise
        if tilt_before is not None and tilt_before != self._tilt:
            _another_tilt(means, covariances, tilt_before, self._tilt)
        for track, mean, covariance in zip(tracks, means, covariances, strict=True):
            track.mean, track.covariance, track.stamp = mean, covariance, stamp
            track.heading = wrap(track.heading + motion.yaw)
            track.heading_var += TURNING * dt
        return States(means, covariances, camera)


def _another_tilt(means: np.ndarray, covariances: np.ndarray, before: float, after: float) -> None:
    """Change the states of tracks because the tilt has another standard deviation, rad.

    An IMU that begins to level the base leaves a tilt of which nothing is known yet. One that falls
    silent adds the tilt of the base to that of the mount.
    """
    if after > before:
        covariances[:, TILT, TILT] += after**2 - before**2
        return
    means[:, TILT] = covariances[:, TILT] = covariances[:, :, TILT] = 0.0
    covariances[:, TILT, TILT] = after**2
