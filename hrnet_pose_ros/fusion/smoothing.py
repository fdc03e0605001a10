# SPDX-License-Identifier: Apache-2.0
"""Smooths skeletons over time with a constant-velocity Kalman filter for each id and joint.

The rules
---------
* The id identifies a person, whether the detector or `PersonIds` gave it. Persons without an id,
  and persons who have the same id in the same image, are passed through unchanged.
* A joint is initialized by its first valid measurement, and again after 0.5 s without one. An id
  that has not been seen for 0.5 s is forgotten. A stamp that goes back, or another skeleton, resets
  everything.
* Nothing is invented: a joint that is not measured in an image is invalid in the output. Its motion
  is still predicted, and is used again if a measurement follows within 0.5 s.
* A measurement outside of the gate (which contains 99.7 % of consistent measurements) is rejected;
  the output is then the prediction, with its larger covariance. The third such measurement in a row
  reinitializes the joint. So a left/right flip in one or two images is ignored, and a real change
  is followed.
* A person who suddenly appears elsewhere (the id now belongs to another person) is reinitialized at
  once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hrnet_pose_ros.fusion.kalman import Motion
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import SkeletonDefinition

# A joint or an id without a measurement for longer than this, in seconds, is reinitialized.
MAX_COAST = 0.5
# Spectral density of the joints' acceleration, in squared person sizes per s³; the size of a person
# is the longer side of the box. docs/architecture.md explains how it was chosen.
ACCELERATION_DENSITY = 0.5
# Standard deviation of a joint's initial velocity, in sizes per second: a pedestrian of 1.7 m at
# 1.5 m/s moves at 0.9, and the swinging foot at about twice that.
FIRST_SPEED = 1.5
# The 99.7 % quantile of the chi-square distribution with 2 degrees of freedom.
GATE = 11.8
# After this many rejected measurements in a row, the joint is reinitialized.
MAX_REJECTED = 3
# If a person's joints are on average this far from their predictions, in sizes, the id belongs to
# another person. A left/right flip does not change the average.
JUMP = 0.25


@dataclass(frozen=True)
class _Track:
    """One person's joints, at a stamp (ns)."""

    stamp: int
    motion: Motion  # [J] points
    age: np.ndarray  # [J] seconds since the last accepted measurement; inf: never
    rejected: np.ndarray  # [J] number of rejected measurements in a row


class SkeletonSmoother:
    """Smooths the poses of consecutive images; see the rules above. Not thread-safe."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}
        self._last: int | None = None
        self._skeleton: SkeletonDefinition | None = None

    def __len__(self) -> int:
        """The number of ids in memory: those seen within the last 0.5 s."""
        return len(self._tracks)

    def step(self, stamp_ns: int, ids: Sequence[str], poses: Poses, boxes: np.ndarray) -> Poses:
        """Take the poses of one image and return the smoothed ones.

        Parameters
        ----------
        stamp_ns
            The image's stamp, nanoseconds.
        ids
            N ids; an empty string means that there is none.
        poses
            N poses; their covariances are the measurement noise.
        boxes
            float ``[N, 4]``: x, y, width, height, px; the longer side is the person's size.

        Returns
        -------
        N poses in the same order: key points and covariances come from the filter (the covariance
        is the position block of the posterior), scores from the measurement.

        Raises
        ------
        ValueError
            The numbers of ids, poses and boxes differ.
        """
        if not len(ids) == len(poses) == len(boxes):
            raise ValueError(f"{len(ids)} ids, {len(poses)} poses and {len(boxes)} boxes differ")
        if poses.skeleton != self._skeleton:
            self._tracks.clear()
            self._skeleton = poses.skeleton
        self._forget(stamp_ns)
        times_seen = Counter(ids)
        places = [n for n, one in enumerate(ids) if one and times_seen[one] == 1]
        if not places:
            return poses
        names = [ids[n] for n in places]
        sizes = np.asarray(boxes, np.float64)[places, 2:].max(axis=1)
        smoothed = self._filter(stamp_ns, names, poses.select(np.array(places)), sizes)
        keypoints, covariances = poses.keypoints.copy(), poses.covariances.copy()
        valid = poses.valid.copy()
        keypoints[places], covariances[places] = smoothed.keypoints, smoothed.covariances
        valid[places] = smoothed.valid
        return replace(poses, keypoints=keypoints, covariances=covariances, valid=valid)

    def _forget(self, stamp: int) -> None:
        if self._last is not None and stamp < self._last:
            self._tracks.clear()
        self._last = stamp
        oldest = stamp - round(MAX_COAST * 1e9)
        self._tracks = {name: t for name, t in self._tracks.items() if t.stamp >= oldest}

    def _filter(self, stamp: int, names: list[str], poses: Poses, sizes: np.ndarray) -> Poses:
        """Run one step of the filter for persons with unique ids."""
        tracks = [self._tracks.get(name) or _unseen(stamp, poses.skeleton.joints) for name in names]
        dt = np.array([(stamp - track.stamp) * 1e-9 for track in tracks])[:, None]
        before = Motion(
            np.stack([track.motion.mean for track in tracks]),
            np.stack([track.motion.covariance for track in tracks]),
        )
        age = np.stack([track.age for track in tracks]) + dt
        rejected = np.stack([track.rejected for track in tracks])
        size = sizes[:, None]

        measured = poses.valid & np.isfinite(poses.covariances).all(axis=(2, 3))
        points = np.where(measured[..., None], poses.keypoints, 0.0).astype(np.float64)
        noise = np.where(measured[..., None, None], poses.covariances, np.eye(2))
        motion = before.predicted(dt, ACCELERATION_DENSITY * size**2)
        known = measured & (age <= MAX_COAST)
        elsewhere = _jumped(points - motion.position, known, sizes)
        unfit = known & (motion.distance(points, noise) > GATE)
        rejected = np.where(known, np.where(unfit, rejected + 1, 0), rejected)
        begins = measured & (~known | elsewhere[:, None] | (rejected >= MAX_REJECTED))
        believed = known & ~unfit & ~begins
        motion = motion.updated(points, noise, believed)
        motion = Motion.begin(points, noise, FIRST_SPEED * size).where(begins, motion)

        age = np.where(believed | begins, 0.0, np.where(elsewhere[:, None], np.inf, age))
        rejected = np.where(begins, 0, rejected)
        for n, name in enumerate(names):
            own = Motion(motion.mean[n], motion.covariance[n])
            self._tracks[name] = _Track(stamp, own, age[n], rejected[n])
        return replace(
            poses,
            keypoints=np.where(measured[..., None], motion.position, np.nan).astype(np.float32),
            covariances=np.where(
                measured[..., None, None], motion.position_covariance, np.nan
            ).astype(np.float32),
            valid=measured,
        )


def _unseen(stamp: int, joints: int) -> _Track:
    """Return the track of a person without any measured joint."""
    state = Motion(np.zeros((joints, 4)), np.tile(np.eye(4), (joints, 1, 1)))
    return _Track(stamp, state, np.full(joints, np.inf), np.zeros(joints, np.int64))


def _jumped(residuals: np.ndarray, known: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return bool ``[N]``: whether known joints are on average far from their predictions."""
    total = np.where(known[..., None], residuals, 0.0).sum(axis=1)
    mean = total / np.maximum(known.sum(axis=1), 1)[:, None]
    return np.asarray(np.hypot(mean[:, 0], mean[:, 1]) > JUMP * sizes)
