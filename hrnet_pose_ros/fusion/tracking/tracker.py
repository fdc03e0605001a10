# SPDX-License-Identifier: Apache-2.0
"""Tracks of people: puts predictor, associator, initiator, updater and deleter together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import numpy as np

from hrnet_pose_ros.fusion.buffers import NS
from hrnet_pose_ros.fusion.ego_motion import EgoMotion
from hrnet_pose_ros.fusion.range_table import ErrorModel
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.tracking.associator import Association, Spotted, associate
from hrnet_pose_ros.fusion.tracking.existence import Existence
from hrnet_pose_ros.fusion.tracking.predictor import Predictor
from hrnet_pose_ros.fusion.tracking.shared_tilt import SharedTilt, told
from hrnet_pose_ros.fusion.tracking.track import (
    LASTING,
    PLACE,
    STATES,
    VELOCITY,
    States,
    Track,
)
from hrnet_pose_ros.fusion.tracking.updater import Sightings, update

# Standard deviation of the velocity of a new track on each axis, m/s. Over ground: pedestrians walk
# at 1.34 m/s ± 0.26 (Weidmann, Transporttechnik der Fußgänger, 1993) in any direction, so each axis
# has half of the mean square. And relative to a vehicle of which the motion is not known.
FIRST_SPEED, FIRST_RELATIVE_SPEED = 0.97, 3.0
# A pitch that is another for longer than this, s, is the new one: the mount was moved.
JUMP_LASTS = 3.0
# Nearer than this nobody is placed, m: the body would touch the camera.
NEAREST = 0.3


class Tracker:
    """Keeps the tracks. ``tracks`` is the list of those that live, oldest first."""

    def __init__(self, settings: FusionSettings) -> None:
        self.tracks: list[Track] = []
        # Of the tracks, at the last image: what each one knows, and with what the others know.
        self._predicted = self._told = States.of([], np.zeros(2))
        self._ids = count(1)
        self._jumped: int | None = None  # since when the camera's pitch is another
        self._predictor = Predictor(settings)
        self.apply(settings)

    def apply(self, settings: FusionSettings) -> None:
        """Use these settings from now on; the tracks are kept."""
        self._settings = settings
        self._predictor.apply(settings)
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

    def predict(
        self, stamp: int, ego: EgoMotion, model: ErrorModel, camera: np.ndarray
    ) -> SharedTilt:
        """Bring all tracks to the stamp of an image, ns; delete those not seen for too long.

        ``model`` are the errors, and ``camera`` is the place of the camera in the levelled base
        frame. Returns what the tracks know of the camera's tilt.
        """
        limit = self._settings.max_coast
        self.tracks = [t for t in self.tracks if (stamp - t.seen) / NS <= limit]
        for track in self.tracks:
            dt = (stamp - track.stamp) / NS
            track.existence = self._existence.predicted(track.existence, dt)
        self._predicted = self._predictor.predict(self.tracks, stamp, ego, model.lasting, camera)
        shared = SharedTilt.of(self._predicted, model)
        self._told = told(self._predicted, shared)
        return shared

    def associate(self, spotted: Spotted) -> Association:
        """Return the tracks of the persons, as predicted, with what others know of the tilt.

        They are found by what each one knows: a jump of the pitch, which what all know excludes,
        must not make everybody a new person.
        """
        found = associate(self.tracks, self._predicted, spotted)
        return replace(found, states=self._told.select(found.rows))

    def update(
        self,
        stamp: int,
        association: Association,
        sightings: Sightings,
        priors: np.ndarray,
        anew: np.ndarray,
        model: ErrorModel,
        scores: np.ndarray,
        *,
        over_ground: bool,
    ) -> tuple[list[Track], States]:
        """Update the tracks of N persons with an image, begin those that are missing.

        Returns the tracks and their states, in the order of the persons, with what they know
        together of the camera's tilt. Each track remembers what it alone knows.

        Parameters
        ----------
        stamp
            Of the image, ns.
        association
            Persons without a track get a new one.
        sightings
            What the image says.
        priors
            float64 ``[N, 2]``: range and its standard deviation, m, at which new tracks begin.
        anew
            bool ``[N]``: the ranges agree that the person is elsewhere; the track is placed anew,
            and keeps its id.
        model
            The errors before anything is known.
        scores
            float64 ``[N]``: the detector's, 0 to 1.
        over_ground
            Whether velocities are over ground.
        """
        speed = FIRST_SPEED if over_ground else FIRST_RELATIVE_SPEED
        camera, known, count = self._predicted.camera, association.tracks, len(scores)
        means, covariances = np.empty((count, STATES)), np.empty((count, STATES, STATES))
        persons, rows = np.array(list(known), np.int64), association.rows
        means[persons] = self._predicted.means[rows]
        covariances[persons] = self._predicted.covariances[rows]
        begins = np.ones(count, bool)
        begins[persons] = anew[persons]
        if begins.any():
            means[begins], covariances[begins] = begin_states(
                sightings.azimuth[begins], priors[begins], camera, model.lasting, speed
            )
        states = States(*update(means, covariances, sightings, camera), camera)
        begun = self._existence.begin(scores).tolist() if len(known) < count else []
        result = []
        for n, (mean, covariance) in enumerate(zip(states.means, states.covariances, strict=True)):
            track = known.get(n)
            if track is None:
                track = Track(str(next(self._ids)), stamp, mean, covariance, begun[n], stamp)
                self.tracks.append(track)
            track.mean, track.covariance = mean, covariance
            result.append(track)
        unseen = np.ones(len(self._predicted), bool)
        unseen[rows] = False
        everybody = states.and_those(self._predicted.select(unseen))
        return result, told(states, SharedTilt.of(everybody, model))

    def confirm(
        self, tracks: list[Track], stamp: int, scores: np.ndarray, detection_ids: Sequence[str]
    ) -> list[float]:
        """Note that tracks have skeletons at a stamp; return the seconds since the last ones."""
        existence = self._existence.seen(np.array([t.existence for t in tracks]), scores)
        passed = []
        for track, chance, name in zip(tracks, existence.tolist(), detection_ids, strict=True):
            since = (stamp - track.seen) / NS
            passed.append(since)
            if since > 0:  # a new track has its probability already
                track.existence = chance
            track.seen = stamp
            track.detection_id = name or track.detection_id
        return passed

    def coast(
        self, stamp: int, updated: States, in_view: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[list[Track], States]:
        """Doubt the tracks without a skeleton at this stamp, delete some; return the others.

        Parameters
        ----------
        stamp
            Of the image, ns.
        updated
            The states of the tracks with a skeleton.
        in_view
            Returns which azimuths ``[M]`` are in the camera's view, bool ``[M]``.
        """
        # New tracks come after those that were predicted, and have a skeleton.
        rows = [row for row, track in enumerate(self.tracks) if track.seen != stamp]
        if not rows:
            return [], self._told.select([])
        states = self._told.select(rows)
        coasting, left, gone = [], [], set()
        visible = in_view(states.seen[:, 0]).tolist()
        for place, row in enumerate(rows):
            track, at = self.tracks[row], states.seen[place]
            expected = self._existence.expected(at, updated.seen, in_view=visible[place])
            track.existence = self._existence.missed(track.existence, expected)
            if self._existence.over(track, stamp):
                gone.add(track.id)
            else:
                coasting.append(track)
                left.append(place)
        if gone:
            self.tracks = [t for t in self.tracks if t.id not in gone]
        return coasting, states.select(left)

    def clear(self) -> None:
        """Delete all tracks. Ids are never used again."""
        self.tracks.clear()


def begin_states(
    azimuth: np.ndarray, priors: np.ndarray, camera: np.ndarray, lasting: np.ndarray, speed: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return means ``[N, 8]`` and covariances ``[N, 8, 8]`` of persons before their first update.

    They are at ``priors`` along the azimuths ``[N]``.
    """
    n = len(priors)
    towards = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
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
