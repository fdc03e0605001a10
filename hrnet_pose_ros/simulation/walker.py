# SPDX-License-Identifier: Apache-2.0
"""A simulated person over time: where, in which pose, and what is true about them.

A person does the steps of a scenario one after another, computed once on a fine grid of times; any
instant between is interpolated, so that every sensor sees the person at its own time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.simulation.body import BodyShape, Pose
from hrnet_pose_ros.simulation.curves import Curve, blur, smooth_step
from hrnet_pose_ros.simulation.gait import RUNNING_SPEED, gait_of, resting
from hrnet_pose_ros.simulation.scene_configs import PersonConfig, StepConfig

GRID = 0.02  # s
MARGIN = 2.0  # s before and after the scenario that are computed too
SMOOTHING = 0.25  # s: standard deviation of the blur that rounds corners and starts
TURNING = 0.2  # s: the same of the heading
STEPPING = 0.1  # s: the same of the first and the last step
CHANGING = 0.35  # s: the same of postures and hands
STANDING_SPEED = 0.15  # m/s: below, a person is stationary
LEFT_HAND, RIGHT_HAND = 1, 2  # bits of gesture, as in Person.msg

# A raised arm.
RAISED_FLEXION, RAISED_ABDUCTION, RAISED_ELBOW = 2.6, 0.25, 0.35
RAISED = 0.7  # of the way up: a hand counts as raised

_HANDS = {"none": 0, "left": LEFT_HAND, "right": RIGHT_HAND, "both": LEFT_HAND | RIGHT_HAND}

POSTURES = ("standing", "sitting", "crouching", "lying")


@dataclass(frozen=True)
class Moment:
    """What is true about a person at one time, in the world's frame.

    ``position`` ``[2]`` m and ``velocity`` ``[2]`` m/s of the point under the middle of the hips;
    ``heading`` rad, NaN while lying; ``posture`` and ``motion`` in the words of Person.msg;
    ``gesture`` its bits.
    """

    position: np.ndarray
    velocity: np.ndarray
    heading: float
    posture: str
    motion: str
    gesture: int


class Walker:
    """One person of a scenario.

    Parameters
    ----------
    name
        Unique in the scenario: the person's true identity.
    config
        What the scenario says.
    shape, age
        The body, and years.
    duration
        Seconds of the scenario.
    """

    def __init__(
        self, name: str, config: PersonConfig, shape: BodyShape, age: float, duration: float
    ) -> None:
        self.name, self.shape, self.age = name, shape, age
        self._times = np.arange(-MARGIN, duration + MARGIN + GRID, GRID)
        track = _StepTrack(config, self._times)
        smooth = blur(track.positions, SMOOTHING / GRID)
        self._path = Curve(float(self._times[0]), GRID, smooth)
        speed = np.linalg.norm(self._path.rates(self._times), axis=1)
        self._speed = speed
        self._headings = self._smooth_headings(track, speed)
        self._cruise = _round_speed(track.speeds)
        self._speeds = np.unique(self._cruise)
        self._walking = blur(smooth_step(speed / 0.4), STEPPING / GRID)
        self._gaits = blur((self._cruise[:, None] == self._speeds).astype(float), SMOOTHING / GRID)
        self._strides = self._count_strides(speed)
        weights = np.stack([track.postures == name for name in POSTURES], axis=1).astype(float)
        changed = blur(weights, CHANGING / GRID)
        self._weights = changed / changed.sum(axis=1, keepdims=True)
        hands = np.stack([(track.hands & bit) > 0 for bit in (LEFT_HAND, RIGHT_HAND)], axis=1)
        self._hands = blur(hands.astype(float), CHANGING / GRID)

    def pose(self, times: np.ndarray) -> Pose:
        """The pose at times ``[T]`` in s, in the body's frame."""
        standing = resting(self.shape, "standing", times)
        walking = self._at(times, self._walking)
        if walking.any():
            strides = self._at(times, self._strides)
            weights = self._at(times, self._gaits)
            used = weights.any(axis=0)
            gaits = [gait_of(self.shape, float(v)).pose(strides) for v in self._speeds[used]]
            standing = standing.blend(_mixed(gaits, weights[:, used]), walking)
        weights = self._at(times, self._weights)
        used = weights.any(axis=0)
        postures = [
            standing if name == "standing" else resting(self.shape, name, times)
            for name in np.array(POSTURES)[used]
        ]
        pose = _mixed(postures, weights[:, used])
        return self._with_hands(pose, self._at(times, self._hands))

    def points(self, times: np.ndarray) -> np.ndarray:
        """The body's points ``[T, P, 3]`` in metres in the world's frame (`POINT_NAMES`)."""
        local = self.shape.points(self.pose(times))
        heading = self._at(times, self._headings)
        cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
        position = self._path(times)
        points = local.copy()
        points[..., 0] = cos * local[..., 0] - sin * local[..., 1] + position[:, :1]
        points[..., 1] = sin * local[..., 0] + cos * local[..., 1] + position[:, 1:]
        return points

    def motion(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions ``[T, 2]`` in m and velocities ``[T, 2]`` in m/s, as in `Moment`."""
        return self._path(times), self._path.rates(times)

    def moment(self, time: float) -> Moment:
        """What is true at a time in s."""
        at = np.array([time])
        speed = float(self._at(at, self._speed)[0])
        posture = POSTURES[int(self._at(at, self._weights)[0].argmax())]
        hands = self._at(at, self._hands)[0] > RAISED
        motion = "STATIONARY"
        if posture == "standing" and speed > STANDING_SPEED:
            running = speed / self.shape.stature > RUNNING_SPEED
            motion = "RUNNING" if running else "WALKING"
        heading = float(self._at(at, self._headings)[0])
        return Moment(
            position=self._path(time),
            velocity=self._path.rates(time),
            heading=math.nan if posture == "lying" else math.remainder(heading, 2 * math.pi),
            posture="UPRIGHT" if posture == "standing" else posture.upper(),
            motion=motion,
            gesture=int(hands[0]) * LEFT_HAND + int(hands[1]) * RIGHT_HAND,
        )

    def _at(self, times: np.ndarray, values: np.ndarray) -> np.ndarray:
        """``values`` of the grid ``[G, …]``, interpolated linearly."""
        place = np.clip((times - self._times[0]) / GRID, 0, len(self._times) - 1)
        low = np.minimum(place.astype(int), len(self._times) - 2)
        part = (place - low).reshape((-1,) + (1,) * (values.ndim - 1))
        return values[low] + part * (values[low + 1] - values[low])

    def _smooth_headings(self, track: _StepTrack, speed: np.ndarray) -> np.ndarray:
        velocity = self._path.rates(self._times)
        course = np.arctan2(velocity[:, 1], velocity[:, 0])
        wanted = np.where(track.moving & (speed > STANDING_SPEED), course, np.nan)
        wanted = np.where(np.isfinite(track.facings), track.facings, wanted)
        known = np.isfinite(wanted)
        # Before the first known heading the first, and after it always the last one known.
        places = np.maximum.accumulate(np.where(known, np.arange(len(wanted)), -1))
        first = int(known.argmax())
        filled = wanted[np.where(places < 0, first, places)] if known.any() else 0 * speed
        return blur(np.unwrap(filled), TURNING / GRID)

    def _count_strides(self, speed: np.ndarray) -> np.ndarray:
        length = np.array([gait_of(self.shape, float(v)).stride for v in self._cruise])
        counted = np.cumsum(speed * GRID / (length * self.shape.stature))
        return np.concatenate([[0.0], counted[:-1]])

    @staticmethod
    def _with_hands(pose: Pose, raised: np.ndarray) -> Pose:
        if not raised.any():
            return pose
        up = {
            "shoulder_flexion": RAISED_FLEXION,
            "shoulder_abduction": RAISED_ABDUCTION,
            "elbow_flexion": RAISED_ELBOW,
        }
        values = vars(pose) | {
            name: getattr(pose, name) + raised * (value - getattr(pose, name))
            for name, value in up.items()
        }
        return Pose(**values)


class _StepTrack:
    """The steps of a person on a grid of times, before anything is rounded."""

    def __init__(self, config: PersonConfig, times: np.ndarray) -> None:
        n = len(times)
        self.positions = np.empty((n, 2))
        self.speeds = np.full(n, 1.2)
        self.moving = np.zeros(n, bool)
        self.facings = np.full(n, np.nan)
        self.postures = np.full(n, "standing", dtype="<U9")
        self.hands = np.zeros(n, np.uint8)
        if config.heading is not None:
            self.facings[times <= 0] = math.radians(config.heading)
        position, now = np.array(config.start), 0.0
        self.positions[:] = position
        for number, step in enumerate(config.steps):
            end, target = self._end(step, position, now)
            # What a step sets holds until the next one; the first holds before time 0 too.
            since = times >= now if number else np.ones(n, bool)
            part = np.clip((times[since] - now) / max(end - now, 1e-9), 0, 1)
            self.positions[since] = position + part[:, None] * (target - position)
            self.moving[since] = (times[since] >= now) & (times[since] < end)
            self.moving[since] &= step.walk_to is not None
            self.postures[since] = step.posture
            self.hands[since & (times < end)] = _HANDS[step.hands]
            self.hands[times >= end] = 0
            if step.walk_to is not None:
                self.speeds[since] = step.speed
                self.facings[since] = np.nan
            elif step.heading is not None:
                self.facings[since] = math.radians(step.heading)
            position, now = target, end

    @staticmethod
    def _end(step: StepConfig, position: np.ndarray, now: float) -> tuple[float, np.ndarray]:
        if step.walk_to is None:
            return now + step.stay, position
        target = np.array(step.walk_to)
        return now + float(np.linalg.norm(target - position)) / step.speed, target


def _mixed(poses: list[Pose], weights: np.ndarray) -> Pose:
    """One pose of K; ``weights`` ``[T, K]`` sum to 1."""
    mixed, before = poses[0], weights[:, 0]
    for pose, weight in zip(poses[1:], weights.T[1:], strict=True):
        total = before + weight
        part = np.divide(weight, total, out=np.zeros_like(total), where=total > 0)
        mixed, before = mixed.blend(pose, part), total
    return mixed


def _round_speed(speeds: np.ndarray) -> np.ndarray:
    """Speeds to 0.05 m/s, so that few gaits are made."""
    return np.maximum(np.round(speeds / 0.05) * 0.05, 0.05)
