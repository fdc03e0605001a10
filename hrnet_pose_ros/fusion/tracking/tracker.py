# SPDX-License-Identifier: Apache-2.0
"""Tracks of people: puts predictor, associator, initiator, updater and deleter together."""

from __future__ import annotations

from itertools import count

import numpy as np

from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.ego_motion import EgoMotion
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.tracking.associator import Spotted, associate
from hrnet_pose_ros.fusion.tracking.existence import Existence
from hrnet_pose_ros.fusion.tracking.predictor import Predictor
from hrnet_pose_ros.fusion.tracking.track import (
    LASTING,
    PLACE,
    STATES,
    VELOCITY,
    Track,
    bearing_ranges,
    states_of,
)
from hrnet_pose_ros.fusion.tracking.updater import Sightings, update

# Standard deviation of the velocity of a new track on each axis, m/s: people over ground, and
# people relative to a vehicle of which the motion is not known.
FIRST_SPEED, FIRST_RELATIVE_SPEED = 1.2, 3.0
# A pitch that is another for longer than this, s, is the new one: the mount was moved.
JUMP_LASTS = 3.0
# Nearer than this nobody is placed, m: the body would touch the camera.
NEAREST = 0.3


class Tracker:
    """Keeps the tracks. ``tracks`` is the list of those that live, oldest first."""

    def __init__(self, settings: FusionSettings) -> None:
        self.tracks: list[Track] = []
        self._ids = count(1)
        self._jumped: int | None = None  # since when the camera's pitch is another
        self.apply(settings)

    def apply(self, settings: FusionSettings) -> None:
        """Use these settings from now on; the tracks are kept."""
        self._settings = settings
        self._predictor = Predictor(settings)
        self._existence = Existence(settings)

    def jump_goes_on(self, stamp: int, *, jumps: bool) -> bool:
        """Note whether the camera's pitch is another than the tracks know, at a stamp in ns.

        Returns whether this is a jump; what lasts longer than `JUMP_LASTS` is the new pitch.
        """
        if not jumps:
            self._jumped = None
            return False
        if self._jumped is None or self._jumped > stamp:
            self._jumped = stamp
        return stamp - self._jumped <= JUMP_LASTS * NS

    def predict(self, stamp: int, ego: EgoMotion, lasting: np.ndarray) -> None:
        """Bring all tracks to the stamp of an image, ns; delete those not seen for too long."""
        limit = self._settings.max_coast
        self.tracks = [t for t in self.tracks if (stamp - t.seen) / NS <= limit]
        for track in self.tracks:
            dt = (stamp - track.stamp) / NS
            track.existence = self._existence.predicted(track.existence, dt)
        self._predictor.predict(self.tracks, stamp, ego, lasting)

    def associate(self, spotted: Spotted, camera: np.ndarray) -> dict[int, Track]:
        """Return the track of each person that has one."""
        found = associate(self.tracks, spotted, camera)
        return {person: self.tracks[t] for person, t in found.items()}

    def expected_ranges(
        self, tracks: dict[int, Track], persons: int, camera: np.ndarray
    ) -> np.ndarray:
        """Return inverse range and variance predicted for each person, ``[N, 2]``; NaN: none."""
        result = np.full((persons, 2), np.nan)
        if tracks:
            means, covariances = states_of(list(tracks.values()))
            seen, slopes = bearing_ranges(means, camera)
            slope = slopes[:, 1:]
            variance = slope @ covariances[:, PLACE, PLACE] @ slope.swapaxes(1, 2)
            result[list(tracks)] = np.stack([seen[:, 1], variance[:, 0, 0]], axis=1)
        return result

    def speeds(self, tracks: dict[int, Track], persons: int, camera: np.ndarray) -> np.ndarray:
        """Return how fast persons go away from the camera, ``[N, 2]``: m/s, and variance.

        NaN for persons without a track.
        """
        result = np.full((persons, 2), np.nan)
        if tracks:
            means, covariances = states_of(list(tracks.values()))
            seen, _ = bearing_ranges(means, camera)
            towards = np.stack([np.cos(seen[:, 0]), np.sin(seen[:, 0])], axis=1)
            speed = (means[:, VELOCITY] * towards).sum(axis=1)
            spread = covariances[:, VELOCITY, VELOCITY]
            variance = np.einsum("ni,nij,nj->n", towards, spread, towards)
            result[list(tracks)] = np.stack([speed, variance], axis=1)
        return result

    def update(
        self,
        stamp: int,
        tracks: dict[int, Track],
        sightings: Sightings,
        priors: np.ndarray,
        anew: np.ndarray,
        camera: np.ndarray,
        lasting: np.ndarray,
        scores: np.ndarray,
        *,
        over_ground: bool,
    ) -> list[Track]:
        """Update the tracks of N persons with an image, begin those that are missing.

        Parameters
        ----------
        stamp
            Of the image, ns.
        tracks
            By index of the person; persons without one get a new track.
        sightings
            What the image says.
        priors
            float64 ``[N, 2]``: range and its standard deviation, m, at which new tracks begin.
        anew
            bool ``[N]``: the ranges agree that the person is elsewhere; the track is placed anew,
            and keeps its id.
        camera, lasting
            The place of the camera, and the standard deviations of the errors that stay.
        scores
            float64 ``[N]``: the detector's, 0 to 1.
        over_ground
            Whether velocities are over ground.
        """
        speed = FIRST_SPEED if over_ground else FIRST_RELATIVE_SPEED
        means, covariances = begin_states(sightings, priors, camera, lasting, speed)
        result = []
        for n, score in enumerate(scores):
            track = tracks.get(n)
            if track is None:
                existence = self._existence.begin(float(score))
                track = Track(
                    str(next(self._ids)), stamp, means[n], covariances[n], existence, stamp
                )
                self.tracks.append(track)
            elif not anew[n]:
                means[n], covariances[n] = track.mean, track.covariance
            result.append(track)
        means, covariances = update(means, covariances, sightings, camera)
        for track, mean, covariance in zip(result, means, covariances, strict=True):
            track.mean, track.covariance = mean, covariance
        return result

    def confirm(self, track: Track, stamp: int, score: float, detection_id: str) -> float:
        """Note that a track has a skeleton at a stamp; return the seconds since the last one."""
        since = (stamp - track.seen) / NS
        if since > 0:  # a new track has its probability already
            track.existence = self._existence.seen(track.existence, score)
        track.seen = stamp
        track.detection_id = detection_id or track.detection_id
        return since

    def coast(self, stamp: int, camera: np.ndarray, in_view: dict[str, bool]) -> list[Track]:
        """Doubt the tracks without a skeleton at this stamp, delete some; return the others.

        ``in_view`` says by id whether a track's place is in the camera's view.
        """
        seen, _ = bearing_ranges(states_of(self.tracks)[0], camera)
        with_skeleton = np.array([t.seen == stamp for t in self.tracks], bool)
        coasting = []
        for track, at, found in zip(self.tracks, seen, with_skeleton, strict=True):
            if found:
                continue
            visible = in_view.get(track.id, False)
            expected = self._existence.expected(at, seen[with_skeleton], in_view=visible)
            track.existence = self._existence.missed(track.existence, expected)
            if not self._existence.over(track, stamp):
                coasting.append(track)
        self.tracks = [t for t in self.tracks if t.seen == stamp or t in coasting]
        return coasting

    def clear(self) -> None:
        """Delete all tracks. Ids are never used again."""
        self.tracks.clear()


def begin_states(
    sightings: Sightings, priors: np.ndarray, camera: np.ndarray, lasting: np.ndarray, speed: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return means ``[N, 8]`` and covariances ``[N, 8, 8]`` of persons before their first update.

    They are at ``priors`` along the bearing.
    """
    n = len(priors)
    towards = np.stack([np.cos(sightings.azimuth), np.sin(sightings.azimuth)], axis=1)
    beside = np.stack([-towards[:, 1], towards[:, 0]], axis=1)
    r = np.maximum(priors[:, 0], NEAREST)
    means, covariances = np.zeros((n, STATES)), np.zeros((n, STATES, STATES))
    means[:, PLACE] = camera[:2] + r[:, None] * towards
    for direction, std in ((towards, priors[:, 1]), (beside, r)):
        outer = direction[:, :, None] * direction[:, None, :]
        covariances[:, PLACE, PLACE] += (std**2)[:, None, None] * outer
    covariances[:, VELOCITY, VELOCITY] = speed**2 * np.eye(2)
    covariances[:, LASTING, LASTING] = np.diag(lasting**2)
    return means, covariances
