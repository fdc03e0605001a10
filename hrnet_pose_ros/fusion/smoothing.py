# SPDX-License-Identifier: Apache-2.0
"""Skeletons smoothed over time: a constant-velocity Kalman filter for each id and joint.

The rules
---------
* A person is known by the detector's id. A person without an id, and persons that share one in the
  same image, pass through as they are.
* A joint begins at its first valid measurement and again after 0.5 s without one. An id that was
  not seen for 0.5 s is forgotten. A stamp that goes back forgets everything.
* Nothing is invented: a joint that is not measured in this image is invalid in the answer. Its
  motion goes on unseen, and is taken up again within the 0.5 s.
* A measurement that does not fit the motion (99.7 % of those that do are nearer) is not believed:
  the answer is then the prediction, with its larger covariance. The third in a row begins anew. So
  a left/right flip of one or two images is passed over, and a real change is followed.
* A person that is somewhere else at once (an id given to somebody else) begins anew at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.kalman import Motion
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import JOINTS

# A joint or an id that was not measured for longer than this, seconds, begins anew.
MAX_COAST = 0.5
# Density of the joints' acceleration, in squared person sizes per s³; a size is the box's longer
# side. docs/architecture.md says what it was chosen by.
ACCELERATION_DENSITY = 0.5
# Standard deviation of a joint's first velocity, in sizes per second: a walker of 1.7 m at 1.5 m/s
# moves at 0.9, and the swinging foot at about twice that.
FIRST_SPEED = 1.5
# Chi-square with 2 degrees of freedom: 99.7 % lie below.
GATE = 11.8
# So many measurements in a row that do not fit are believed after all.
MAX_REJECTED = 3
# A person whose joints lie this far, in sizes and in the mean, from where they should be is
# somewhere else. A left/right flip does not move the mean.
JUMP = 0.25


@dataclass(frozen=True)
class _Track:
    """One person's joints, at a stamp (ns)."""

    stamp: int
    motion: Motion  # [17] points
    age: np.ndarray  # [17] seconds since the last measurement that was believed; inf: never
    rejected: np.ndarray  # [17] measurements in a row that were not


class SkeletonSmoother:
    """Smooths the poses of consecutive images; see the rules above. Not thread-safe."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}
        self._last: int | None = None

    def __len__(self) -> int:
        """The ids in memory: those seen within the last 0.5 s."""
        return len(self._tracks)

    def step(self, stamp_ns: int, ids: Sequence[str], poses: Poses, boxes: np.ndarray) -> Poses:
        """Take the poses of one image and return the smoothed ones.

        Parameters
        ----------
        stamp_ns
            The image's stamp, nanoseconds.
        ids
            N ids, as the detector gave them; empty where there is none.
        poses
            N poses; the covariances are the noise of the measurements.
        boxes
            float ``[N, 4]``: x, y, width, height, px; the longer side is the person's size.

        Returns
        -------
        N poses in the same order: key points and covariances are those of the filter (the
        covariance is the position's block of the posterior), scores are the measurement's.

        Raises
        ------
        ValueError
            The numbers of ids, poses and boxes differ.
        """
        if not len(ids) == len(poses) == len(boxes):
            raise ValueError(f"{len(ids)} ids, {len(poses)} poses and {len(boxes)} boxes differ")
        self._forget(stamp_ns)
        times_seen = Counter(ids)
        places = [n for n, one in enumerate(ids) if one and times_seen[one] == 1]
        if not places:
            return poses
        names = [ids[n] for n in places]
        sizes = np.asarray(boxes, np.float64)[places, 2:].max(axis=1)
        part = Poses(
            *(a[places] for a in (poses.keypoints, poses.scores, poses.covariances, poses.valid))
        )
        smoothed = self._filter(stamp_ns, names, part, sizes)
        keypoints, covariances = poses.keypoints.copy(), poses.covariances.copy()
        valid = poses.valid.copy()
        keypoints[places], covariances[places] = smoothed.keypoints, smoothed.covariances
        valid[places] = smoothed.valid
        return Poses(keypoints, poses.scores, covariances, valid)

    def _forget(self, stamp: int) -> None:
        if self._last is not None and stamp < self._last:
            self._tracks.clear()
        self._last = stamp
        oldest = stamp - round(MAX_COAST * 1e9)
        self._tracks = {name: t for name, t in self._tracks.items() if t.stamp >= oldest}

    def _filter(self, stamp: int, names: list[str], poses: Poses, sizes: np.ndarray) -> Poses:
        """One step of the filter for persons with ids of their own."""
        tracks = [self._tracks.get(name) or _unseen(stamp) for name in names]
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
        return Poses(
            keypoints=np.where(measured[..., None], motion.position, np.nan).astype(np.float32),
            scores=poses.scores,
            covariances=np.where(
                measured[..., None, None], motion.position_covariance, np.nan
            ).astype(np.float32),
            valid=measured,
        )


def _unseen(stamp: int) -> _Track:
    """A person without any joint yet."""
    state = Motion(np.zeros((JOINTS, 4)), np.tile(np.eye(4), (JOINTS, 1, 1)))
    return _Track(stamp, state, np.full(JOINTS, np.inf), np.zeros(JOINTS, np.int64))


def _jumped(residuals: np.ndarray, known: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """bool ``[N]``: persons whose known joints are in the mean far from their predictions."""
    total = np.where(known[..., None], residuals, 0.0).sum(axis=1)
    mean = total / np.maximum(known.sum(axis=1), 1)[:, None]
    return np.asarray(np.hypot(mean[:, 0], mean[:, 1]) > JUMP * sizes)
