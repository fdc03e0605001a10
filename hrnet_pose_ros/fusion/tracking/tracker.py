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
from hrnet_pose_ros.fusion.tracking.track import LASTING, PLACE, STATES, VELOCITY, Track
from hrnet_pose_ros.fusion.tracking.updater import Sighting, update

# Standard deviation of the velocity of a new track on each axis, m/s: people over ground, and
# people relative to a vehicle of which the motion is not known.
FIRST_SPEED, FIRST_RELATIVE_SPEED = 1.2, 3.0
# Nearer than this nobody is placed, m: the body would touch the camera.
NEAREST = 0.3


class Tracker:
    """Keeps the tracks. ``tracks`` is the list of those that live, oldest first."""

    def __init__(self, settings: FusionSettings) -> None:
        self.tracks: list[Track] = []
        self._settings = settings
        self._predictor = Predictor(settings)
        self._existence = Existence(settings)
        self._ids = count(1)

    def predict(self, stamp: int, ego: EgoMotion, lasting: np.ndarray) -> None:
        """Bring all tracks to the stamp of an image, ns."""
        for track in self.tracks:
            dt = (stamp - track.stamp) / NS
            track.existence = self._existence.predicted(track.existence, dt)
        self._predictor.predict(self.tracks, stamp, ego, lasting)

    def associate(self, spotted: Spotted, camera: np.ndarray) -> dict[int, Track]:
        """Return the track of each person that has one."""
        found = associate(self.tracks, spotted, camera)
        return {person: self.tracks[t] for person, t in found.items()}

    def expected_range(self, track: Track, camera: np.ndarray) -> tuple[float, float]:
        """Return the inverse range that a track predicts and its variance, 1/m and 1/m²."""
        seen, slopes = track.bearing_range(camera)
        return float(seen[1]), float(slopes[1] @ track.covariance @ slopes[1])

    def initiate(
        self,
        stamp: int,
        sighting: Sighting,
        prior: tuple[float, float],
        camera: np.ndarray,
        lasting: np.ndarray,
        *,
        score: float,
        over_ground: bool,
    ) -> Track:
        """Begin a track; ``prior`` is the range in m, and its standard deviation without ranges."""
        mean, covariance = begin_state(sighting, prior, camera, lasting, over_ground)
        existence = self._existence.begin(score)
        track = Track(str(next(self._ids)), stamp, mean, covariance, existence, stamp)
        self.tracks.append(track)
        return track

    def restart(
        self,
        track: Track,
        sighting: Sighting,
        prior: tuple[float, float],
        camera: np.ndarray,
        lasting: np.ndarray,
        *,
        over_ground: bool,
    ) -> None:
        """Place a track anew, because the ranges agree that it is elsewhere; the id stays."""
        track.mean, track.covariance = begin_state(sighting, prior, camera, lasting, over_ground)

    def update(self, track: Track, sighting: Sighting, camera: np.ndarray) -> None:
        """Update a track with what an image says."""
        track.mean, track.covariance = update(track.mean, track.covariance, sighting, camera)

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
        with_skeleton = [t for t in self.tracks if t.seen == stamp]
        coasting = []
        for track in self.tracks:
            if track.seen == stamp:
                continue
            visible = in_view.get(track.id, False)
            expected = self._existence.expected(track, with_skeleton, camera, visible)
            track.existence = self._existence.missed(track.existence, expected)
            if not self._existence.over(track, stamp):
                coasting.append(track)
        self.tracks = [t for t in self.tracks if t.seen == stamp or t in coasting]
        return coasting

    def clear(self) -> None:
        """Delete all tracks. Ids are never used again."""
        self.tracks.clear()


def begin_state(
    sighting: Sighting,
    prior: tuple[float, float],
    camera: np.ndarray,
    lasting: np.ndarray,
    over_ground: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean ``[7]`` and covariance ``[7, 7]`` of a person seen for the first time.

    The state begins at ``prior`` along the bearing, with a wide distribution, and is updated there.
    """
    towards = np.array([np.cos(sighting.azimuth), np.sin(sighting.azimuth)])
    beside = np.array([-towards[1], towards[0]])
    r = max(prior[0], NEAREST)
    mean, covariance = np.zeros(STATES), np.zeros((STATES, STATES))
    mean[PLACE] = camera[:2] + r * towards
    ranged = len(sighting.ranges) > 0
    along = 2 * r if ranged else prior[1]
    covariance[PLACE, PLACE] = along**2 * np.outer(towards, towards) + r**2 * np.outer(
        beside, beside
    )
    speed = FIRST_SPEED if over_ground else FIRST_RELATIVE_SPEED
    covariance[VELOCITY, VELOCITY] = speed**2 * np.eye(2)
    covariance[LASTING, LASTING] = np.diag(lasting**2)
    return update(mean, covariance, sighting, camera)
