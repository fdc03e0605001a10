# SPDX-License-Identifier: Apache-2.0
"""Tracks persons in the image from frame to frame: which box is whose.

The parts have the names of the tracking field. For each frame

* the **predictor** moves every track to the frame's stamp with a constant-velocity model of the
  centre and of the size of its box, all relative to the size of the person. It is the Kalman filter
  of `kalman.Motion` for the case that all axes are alike and independent, which takes a quarter of
  the time;
* the **associator** pairs tracks and boxes. A pair's cost is twice the negative log likelihood of
  the box under the prediction (Student's t, because boxes that contain two persons are common) and
  of the pose, by its OKS with the track's last pose moved along. The pairs with the smallest total
  cost are taken (`_best_pairs`). Tracks that were seen a moment ago and found no box may then still
  take a box that nobody claimed, at a higher cost;
* the **updater** corrects the tracks with their boxes; a box that fits badly counts less;
* the **initiator** begins a track for every box that is left, so every box has a track;
* the **deleter** removes tracks that were not seen for `MAX_COAST`, and those seen only once, which
  are often false detections, after `MAX_COAST_ONCE`.

There is no model of appearance: who comes back later than that is a new person. The figures were
chosen on the bundled clip and with simulated walkers; docs/ids.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from hrnet_pose_ros.pose.oks import PERSON_TO_BOX, oks
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD, Poses
from hrnet_pose_ros.skeleton import SkeletonDefinition

# How long an unseen person is remembered, and one who was seen in a single frame only, seconds.
MAX_COAST = 2.0
MAX_COAST_ONCE = 0.5

# Below, lengths are in person sizes; the size of a person is the longer side of the box. The first
# of two figures is for the centre of the box, the second for its width and height.

# Standard deviation of a detector's boxes: they follow arms and legs.
BOX_STD = (0.08, 0.09)
# Spectral density of the acceleration, sizes² per s³ (as in smoothing, which is about joints).
ACCELERATION_DENSITY = (0.15, 0.05)
# Standard deviation of the initial velocity, sizes per second: a pedestrian of 1.7 m at 1.5 m/s
# moves at 0.9.
FIRST_SPEED = (1.0, 0.3)

# Degrees of freedom of the t distribution of boxes: small means heavy tails.
FREEDOM = 4.0
# How much the uncertainty of a prediction counts against a pair. That of the size counts half,
# because the size of boxes changes slowly and is predicted too carefully after a while.
SPREAD_WEIGHT = (1.0, 0.5)
# The largest cost of a pair: above, the box more probably shows a new person.
MAX_COST = 0.0
# For boxes that nobody claimed and tracks seen within RECENT seconds, it is larger by this.
LENIENCY = 10.0
RECENT = 0.5
# Boxes farther than this from the prediction, in sizes, are never paired.
MAX_DISTANCE = 1.5
# A box whose squared Mahalanobis distance exceeds this is used with a covariance larger by the
# quotient of the two.
TRUSTED_DISTANCE = 6.0

# Fewer joints than this in common say nothing about a pair of poses; the pair then has the cost of
# an OKS of about 0.6.
MIN_JOINTS = 4
NO_POSE_COST = 1.0
# Lowest OKS that counts: a wrong pose in a right box is possible.
LOWEST_OKS = 0.05


@dataclass(frozen=True)
class _Tracks:
    """T tracks at the stamp of the last frame; the first axis of every array is T."""

    number: np.ndarray  # int64
    name: np.ndarray  # object: the id under which the detector last reported the person, or ""
    seen: np.ndarray  # int64: stamp of the last box, ns
    times: np.ndarray  # int64: number of boxes
    # Of the centre and of width and height:
    value: np.ndarray  # [T, 2, 2], px
    speed: np.ndarray  # [T, 2, 2], px/s
    # For each axis alike: variance of the value, covariance of value and speed, variance of speed.
    variance: np.ndarray  # [T, 2, 3]
    keypoints: np.ndarray  # [T, J, 2] of the last box, px
    counted: np.ndarray  # [T, J] bool: joints that can be compared
    place: np.ndarray  # [T, 2]: the track's centre when it had these key points

    def __len__(self) -> int:
        return len(self.number)

    @property
    def sizes(self) -> np.ndarray:
        """Width and height ``[T, 2]``; a prediction could become negative."""
        return np.maximum(self.value[:, 1], 1.0)

    def select(self, which: np.ndarray) -> _Tracks:
        return _Tracks(*(getattr(self, one.name)[which] for one in fields(self)))

    def joined(self, other: _Tracks) -> _Tracks:
        pairs = ((getattr(self, one.name), getattr(other, one.name)) for one in fields(self))
        return _Tracks(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True)
class _Measured:
    """The N persons of a frame."""

    boxes: np.ndarray  # [N, 2, 2]: centre; width and height
    name: np.ndarray  # object [N]
    keypoints: np.ndarray  # [N, J, 2]; 0 where not counted
    counted: np.ndarray  # [N, J]
    skeleton: SkeletonDefinition | None  # None without poses; J is 0 then

    def __len__(self) -> int:
        return len(self.boxes)


class ImageTracker:
    """Gives every box of a frame the number of its track; see above. Not thread-safe.

    Numbers begin at 1 and are never used twice by one object. They do not depend on the order of
    the boxes in a frame. No two boxes of a frame have the same number.

    Examples
    --------
    Two persons pass each other:

    >>> from hrnet_pose_ros.fusion.image_tracker import ImageTracker
    >>> tracker = ImageTracker()
    >>> for n in range(5):
    ...     boxes = [[100 + 20 * n, 50, 30, 90], [180 - 20 * n, 55, 28, 85]]
    ...     numbers = tracker.step(n * 100_000_000, boxes)
    >>> numbers.tolist()
    [1, 2]
    """

    def __init__(self) -> None:
        self._next = 1
        self._stamp: int | None = None
        self._skeleton: SkeletonDefinition | None = None  # of the key points in memory
        self._tracks = _begun(0, 1, np.zeros(0, np.int64), _measured(np.zeros((0, 4)), None, None))

    def reset(self) -> None:
        """Forget all tracks, for example when time jumps; their numbers are not used again."""
        self._tracks = self._tracks.select(np.zeros(0, np.int64))
        self._stamp = None

    @property
    def numbers(self) -> set[int]:
        """The numbers of the tracks in memory."""
        return set(self._tracks.number.tolist())

    def step(
        self,
        stamp_ns: int,
        boxes: ArrayLike,
        poses: Poses | None = None,
        names: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Take the persons of one frame and return the numbers of their tracks.

        Parameters
        ----------
        stamp_ns
            The frame's stamp, nanoseconds. One that goes back resets the tracker.
        boxes
            float ``[N, 4]``: x, y, width, height in pixels; finite.
        poses
            N poses, if they are known: without them, persons who cross each other are told apart
            by their motion alone.
        names
            N ids from the detector, "" for persons without one. A name that occurs once in the
            frame stays on its track unless it has jumped.

        Returns
        -------
        int64 ``[N]``, different numbers in the order of the boxes.

        Raises
        ------
        ValueError
            ``boxes`` is not a finite ``[N, 4]``, or the numbers of boxes, poses and names differ.
        """
        array = np.asarray(boxes, np.float64)
        if array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all():
            raise ValueError(f"boxes must be finite and have shape (N, 4), got {array.shape}")
        for what, items in (("poses", poses), ("names", names)):
            if items is not None and len(items) != len(array):
                raise ValueError(f"{len(array)} boxes and {len(items)} {what} differ in number")
        if self._stamp is not None and stamp_ns < self._stamp:
            self.reset()
        order = np.lexsort(array.T[::-1])  # the order of the boxes must not matter
        measured = _measured(
            array[order],
            None if poses is None else poses.select(order),
            None if names is None else [names[place] for place in order],
        )
        tracks = self._predicted(stamp_ns, measured)
        pairs = _associated(tracks, measured, stamp_ns)
        tracks = _updated(tracks, measured, pairs, stamp_ns)
        numbers = np.zeros(len(array), np.int64)
        numbers[pairs[:, 1]] = tracks.number[pairs[:, 0]]
        new = np.flatnonzero(numbers == 0)
        if len(new):
            begun = _begun(stamp_ns, self._next, new, measured)
            tracks = tracks.joined(begun)
            numbers[new] = begun.number
            self._next += len(new)
        self._tracks = tracks
        in_order = np.zeros_like(numbers)
        in_order[order] = numbers
        return in_order

    def _predicted(self, stamp: int, measured: _Measured) -> _Tracks:
        """The tracks that are still remembered, at this stamp, with the joints of the frame."""
        unseen = (stamp - self._tracks.seen) * 1e-9
        limit = np.where(self._tracks.times > 1, MAX_COAST, MAX_COAST_ONCE)
        tracks, kept = self._tracks, unseen <= limit
        if not kept.all():
            tracks = tracks.select(kept)
        seconds = 0.0 if self._stamp is None else (stamp - self._stamp) * 1e-9
        self._stamp = stamp
        size = tracks.sizes.max(axis=1, keepdims=True)
        density = np.array(ACCELERATION_DENSITY) * size**2
        variance, cross, of_speed = np.moveaxis(tracks.variance, 2, 0)
        keypoints, counted = tracks.keypoints, tracks.counted
        if measured.skeleton != self._skeleton:  # another model, or frames without poses
            self._skeleton = measured.skeleton
            joints = measured.keypoints.shape[1]
            keypoints = np.zeros((len(tracks), joints, 2))
            counted = np.zeros((len(tracks), joints), bool)
        return replace(
            tracks,
            value=tracks.value + seconds * tracks.speed,
            variance=np.stack(
                [
                    variance + seconds * (2 * cross + seconds * (of_speed + density * seconds / 3)),
                    cross + seconds * (of_speed + density * seconds / 2),
                    of_speed + density * seconds,
                ],
                axis=2,
            ),
            keypoints=keypoints,
            counted=counted,
        )


def _measured(boxes: np.ndarray, poses: Poses | None, names: Sequence[str] | None) -> _Measured:
    name = np.full(len(boxes), "", object)
    if names is not None:
        name[:] = names
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    keypoints: np.ndarray = np.zeros((len(boxes), 0, 2))
    counted: np.ndarray = np.zeros((len(boxes), 0), bool)
    if poses is not None:
        counted = poses.valid & (poses.scores > PERSON_SCORE_THRESHOLD)
        keypoints = np.where(counted[..., None], poses.keypoints, 0.0).astype(np.float64)
    skeleton = None if poses is None else poses.skeleton
    return _Measured(np.stack([centres, boxes[:, 2:]], axis=1), name, keypoints, counted, skeleton)


def _variances(sizes: np.ndarray) -> np.ndarray:
    """Variances ``[N, 2]`` of measured centres and sizes, px², of persons of these sizes."""
    return np.square(np.array(BOX_STD) * sizes.max(axis=1, keepdims=True))


def _begun(stamp: int, first: int, places: np.ndarray, measured: _Measured) -> _Tracks:
    """The initiator: new tracks of the persons at these places."""
    boxes = measured.boxes[places]
    sizes = np.maximum(boxes[:, 1], 1.0)
    of_speed = np.square(np.array(FIRST_SPEED) * sizes.max(axis=1, keepdims=True))
    return _Tracks(
        number=first + np.arange(len(places), dtype=np.int64),
        name=measured.name[places],
        seen=np.full(len(places), stamp, np.int64),
        times=np.ones(len(places), np.int64),
        value=boxes,
        speed=np.zeros_like(boxes),
        variance=np.stack([_variances(sizes), np.zeros_like(of_speed), of_speed], axis=2),
        keypoints=measured.keypoints[places],
        counted=measured.counted[places],
        place=boxes[:, 0],
    )


def _associated(tracks: _Tracks, measured: _Measured, stamp: int) -> np.ndarray:
    """The associator: int64 ``[K, 2]``, places of tracks and of persons."""
    away = measured.boxes[None, :, 0] - tracks.value[:, None, 0]
    reach = MAX_DISTANCE * tracks.sizes.max(axis=1, keepdims=True)
    near = np.hypot(away[..., 0], away[..., 1]) <= reach
    pairs = [_named_pairs(tracks.name, measured.name, near)]
    near[pairs[0][:, 0]] = False
    near[:, pairs[0][:, 1]] = False
    gains = np.full(near.shape, -np.inf)
    track, person = np.nonzero(near)
    gains[track, person] = MAX_COST - _costs(tracks, measured, track, person)
    pairs.append(_best_pairs(np.maximum(gains, 0)))
    gains[pairs[1][:, 0]] = -np.inf
    gains[:, pairs[1][:, 1]] = -np.inf
    gains[(stamp - tracks.seen) * 1e-9 > RECENT] = -np.inf
    pairs.append(_best_pairs(np.maximum(gains + LENIENCY, 0)))
    return np.concatenate(pairs)


def _best_pairs(gains: np.ndarray) -> np.ndarray:
    """Pairs ``[K, 2]`` with the largest sum of gains ``[M, N]``; each has a gain above 0."""
    pairs = np.stack(linear_sum_assignment(gains, maximize=True), axis=1)
    return pairs[gains[tuple(pairs.T)] > 0]


def _named_pairs(tracks: np.ndarray, persons: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Pairs of the same name that occurs once on either side, near each other."""
    if not persons.any():
        return np.zeros((0, 2), np.int64)
    same = (tracks[:, None] == persons[None]) & (persons != "")[None]
    once = (same.sum(axis=0) == 1)[None] & (same.sum(axis=1) == 1)[:, None]
    return np.argwhere(same.astype(bool) & once & near)


def _costs(
    tracks: _Tracks, measured: _Measured, track: np.ndarray, person: np.ndarray
) -> np.ndarray:
    """The costs ``[K]`` of pairs; places of tracks and persons are ``[K]``."""
    sizes = tracks.sizes
    size = sizes.max(axis=1)
    predicted = tracks.variance[..., 0]
    variance = predicted + _variances(sizes)
    residual = measured.boxes[person] - tracks.value[track]
    distance = np.square(residual).sum(axis=-1) / variance[track]
    spread = 2 * np.array(SPREAD_WEIGHT) * np.log(variance / np.square(size)[:, None])
    box = ((FREEDOM + 2) * np.log1p(distance / FREEDOM) + spread[track]).sum(axis=1)

    common = tracks.counted[track] & measured.counted[person]
    told = common.sum(axis=1) >= MIN_JOINTS
    cost = box + NO_POSE_COST
    if measured.skeleton is not None and told.any():
        skeleton = measured.skeleton
        track, person = track[told], person[told]
        moved = tracks.keypoints[track] + (tracks.value[:, 0] - tracks.place)[track, None]
        # The variance of a prediction as an area: poses are compared more loosely the longer ago
        # they were seen.
        areas = PERSON_TO_BOX * sizes.prod(axis=1)
        areas += predicted[:, 0] / np.square(2 * skeleton.sigmas).mean()
        likeness = oks(moved, measured.keypoints[person], areas[track], common[told], skeleton)
        cost[told] = box[told] - 2 * np.log(np.maximum(likeness, LOWEST_OKS))
    return np.asarray(cost)


def _updated(tracks: _Tracks, measured: _Measured, pairs: np.ndarray, stamp: int) -> _Tracks:
    """The updater: the tracks after their boxes."""
    track, person = pairs[:, 0], pairs[:, 1]
    value, speed, variance = tracks.value.copy(), tracks.speed.copy(), tracks.variance.copy()
    residual = measured.boxes[person] - value[track]
    before, cross, of_speed = np.moveaxis(variance[track], 2, 0)
    noise = _variances(tracks.sizes[track])
    distance = np.square(residual).sum(axis=-1) / (before + noise)
    noise *= np.maximum(1.0, distance / TRUSTED_DISTANCE)
    gain, speed_gain = before / (before + noise), cross / (before + noise)
    value[track] += gain[..., None] * residual
    speed[track] += speed_gain[..., None] * residual
    variance[track] = np.stack(
        [gain * noise, (1 - gain) * cross, of_speed - speed_gain * cross], axis=2
    )
    seen, times, place = tracks.seen.copy(), tracks.times.copy(), tracks.place.copy()
    seen[track], place[track] = stamp, value[track, 0]
    times[track] += 1
    keypoints, counted = tracks.keypoints.copy(), tracks.counted.copy()
    keypoints[track], counted[track] = measured.keypoints[person], measured.counted[person]
    name = tracks.name.copy()
    named = measured.name[person] != ""
    name[track[named]] = measured.name[person[named]]
    return _Tracks(
        tracks.number, name, seen, times, value, speed, variance, keypoints, counted, place
    )
