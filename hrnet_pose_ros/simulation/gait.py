# SPDX-License-Identifier: Apache-2.0
"""Walking, running and the resting postures as poses of a body.

The gait is driven by the distance covered: a foot in stance stays where it is on the ground,
whatever the speed does. Cadence by Grieve and Gear, "The relationships between length of stride,
step frequency, time of swing and speed of walking" (1966): 64.8 strides a minute times the speed in
statures per second to the power 0.57. A stride begins with the strike of the left heel.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from hrnet_pose_ros.simulation.body import (
    ANKLE_HEIGHT,
    BALL_AHEAD,
    HALF_HIPS,
    HEEL_BEHIND,
    BodyShape,
    Pose,
    foot_offsets,
)
from hrnet_pose_ros.simulation.curves import smooth_step

RUNNING_SPEED = 1.25  # statures per second
WALK_DUTY, RUN_DUTY = 0.62, 0.36  # the fraction of a stride that a foot is on the ground
HEEL_OFF, FLAT = 0.60, 0.15  # fractions of the stance: heel leaves the ground; foot lies flat
STRIKE_PITCH, PUSH_PITCH = -0.35, 0.85  # rad
PELVIS_SWING = 0.10  # rad
FOOT_BESIDE = 0.04  # statures from the middle


def stride_length(stature: float, speed: float) -> float:
    """Metres per stride (two steps) at a speed in m/s.

    >>> round(stride_length(1.75, 1.4), 2)
    1.47
    """
    frequency = 64.8 / 60 * (speed / stature) ** 0.57
    return speed / frequency


class Gait:
    """The poses of a body that walks or runs at a constant speed in m/s, above 0."""

    def __init__(self, shape: BodyShape, speed: float) -> None:
        if not speed > 0:
            raise ValueError(f"a gait needs a speed above 0 m/s, got {speed}")
        self.stride = stride_length(shape.stature, speed) / shape.stature  # statures
        self.pace = speed / shape.stature
        self.running = self.pace > RUNNING_SPEED
        self.duty = RUN_DUTY if self.running else WALK_DUTY
        self._shape = shape
        self._ground = self.stride * self.duty  # how far the body moves over a standing foot
        self._bounce = min(0.014 * self.pace / 0.8, 0.02)
        self._pelvis_height = self._highest()

    def in_stance(self, strides: np.ndarray) -> np.ndarray:
        """bool ``[T, 2]``: whether the left and the right foot stand on the ground."""
        return np.stack([_phase(strides), _phase(strides + 0.5)], axis=1) < self.duty

    def pose(self, strides: np.ndarray) -> Pose:
        """The pose after so many strides ``[T]`` since a strike of the left heel."""
        ankles, pitches = self._feet(strides)
        turn = 2 * math.pi * strides
        zero = np.zeros_like(strides)
        pelvis = np.stack([zero, zero, self._pelvis_height + self._bob(strides)], axis=1)
        swing = min(0.45 * self.pace / 0.8, 0.8)
        arms = np.stack([-swing * np.cos(turn), swing * np.cos(turn)], axis=1)
        elbow = 1.4 if self.running else 0.3
        return Pose(
            pelvis=pelvis,
            pelvis_yaw=-PELVIS_SWING * np.cos(turn),
            trunk_pitch=np.full_like(strides, 0.15 if self.running else 0.05),
            head_pitch=zero,
            head_yaw=zero,
            ankles=ankles,
            foot_pitch=pitches,
            shoulder_flexion=arms - (0.2 if self.running else 0.0),
            shoulder_abduction=np.full_like(arms, 0.10),
            elbow_flexion=elbow + 0.4 * np.maximum(arms, 0),
        )

    def _bob(self, strides: np.ndarray) -> np.ndarray:
        """The pelvis is lowest in the middle of double support, or of a runner's stance."""
        lowest = self.duty / 2 if self.running else (self.duty - 0.5) / 2
        return -self._bounce * np.cos(4 * math.pi * (strides - lowest))

    def _feet(self, strides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        feet = [self._foot(_phase(strides)), self._foot(_phase(strides + 0.5))]
        ankles = np.zeros((len(strides), 2, 3))
        for side, (y, (ankle, _)) in enumerate(zip((FOOT_BESIDE, -FOOT_BESIDE), feet, strict=True)):
            ankles[:, side, ::2] = ankle
            ankles[:, side, 1] = y
        return ankles, np.stack([pitch for _, pitch in feet], axis=1)

    def _foot(self, phase: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ankles ``[T, 2]`` (x, z) and pitches ``[T]`` of a foot at phases in [0, 1)."""
        stance = np.minimum(phase / self.duty, 1.0)
        strike = STRIKE_PITCH * (1 - smooth_step(stance / FLAT))
        push = PUSH_PITCH * smooth_step((stance - HEEL_OFF) / (1 - HEEL_OFF))
        pitch = strike + push
        standing = self._standing_ankle(stance, pitch)

        swing = np.clip((phase - self.duty) / (1 - self.duty), 0, 1)
        first = self._standing_ankle(np.ones(1), np.array([PUSH_PITCH]))[0]
        last = self._standing_ankle(np.zeros(1), np.array([STRIKE_PITCH]))[0]
        # In the body's frame the foot leaves and meets the ground with the ground's velocity.
        x = _hermite(swing, first[0], last[0], -self.stride * (1 - self.duty))
        lift = (0.10 if self.running else 0.02) * np.sin(np.pi * swing) ** 2
        z = first[1] + (last[1] - first[1]) * smooth_step(swing) + lift
        swing_pitch = PUSH_PITCH + (STRIKE_PITCH - PUSH_PITCH) * smooth_step(swing * 1.2)
        ball, heel = foot_offsets(swing_pitch)
        z = np.maximum(z, -np.minimum(ball[:, 2], heel[:, 2]))  # above the ground
        moving = phase >= self.duty
        ankle = np.where(moving[:, None], np.stack([x, z], axis=1), standing)
        return ankle, np.where(moving, swing_pitch, pitch)

    def _standing_ankle(self, stance: np.ndarray, pitch: np.ndarray) -> np.ndarray:
        """Ankles ``[T, 2]`` of a foot on the ground: turned about its heel, then about its ball."""
        flat = self._ground * (0.5 - stance) - 0.0245
        ball, heel = foot_offsets(pitch)
        on_ball = pitch > 0
        pivot = np.where(on_ball, BALL_AHEAD, -HEEL_BEHIND)
        offset = np.where(on_ball[:, None], ball[:, ::2], heel[:, ::2])
        return np.stack([flat + pivot, np.zeros_like(flat)], axis=1) - offset

    def _highest(self) -> float:
        """The highest pelvis at which the legs reach all ankles of the stance."""
        strides = np.linspace(0, 1, 96, endpoint=False)
        ankles, _ = self._feet(strides)
        yaw = -PELVIS_SWING * np.cos(2 * math.pi * strides)
        bob, reach = self._bob(strides), 0.998 * self._shape.leg
        limit = 0.995 * self._shape.hip_height
        for side, y in ((0, HALF_HIPS), (1, -HALF_HIPS)):
            aside = np.hypot(
                ankles[:, side, 0] + y * np.sin(yaw), ankles[:, side, 1] - y * np.cos(yaw)
            )
            standing = self.in_stance(strides)[:, side] & (aside < reach)
            height = ankles[:, side, 2] + np.sqrt(np.maximum(reach**2 - aside**2, 0)) - bob
            limit = min(limit, float(height[standing].min()))
        return limit


@lru_cache(maxsize=256)
def gait_of(shape: BodyShape, speed: float) -> Gait:
    """The gait of a body at a speed, made once."""
    return Gait(shape, speed)


def resting(shape: BodyShape, posture: str, times: np.ndarray) -> Pose:
    """A posture at times ``[T]`` in s: standing, sitting, crouching or lying on the back.

    Raises ValueError for another posture.
    """
    n, one = len(times), np.ones(len(times))
    sway = 0.004 * np.sin(2 * math.pi * 0.31 * times)
    values = {
        # pelvis height, trunk, head, ankle ahead and its height, foot, flexion, abduction, elbow
        "standing": (0.993 * shape.leg + ANKLE_HEIGHT, 0.03, 0.0, 0.0, 0.039, 0.0, 0.0, 0.1, 0.15),
        "sitting": (shape.shank + ANKLE_HEIGHT, 0.05, 0.0, shape.thigh, 0.039, 0.0, 0.5, 0.1, 0.9),
        "crouching": (0.20, 0.65, 0.2, 0.04, 0.060, 0.35, 1.0, 0.1, 0.7),
        "lying": (0.068, -1.5, -1.5, 0.985 * shape.leg, 0.05, -1.2, 0.0, 0.25, 0.1),
    }
    if posture not in values:
        raise ValueError(f"posture must be one of {', '.join(values)}, got {posture!r}")
    height, trunk, head, ahead, ankle_z, foot, flexion, abduction, elbow = values[posture]
    ankles = np.tile(np.array([[ahead, 0.055, ankle_z], [ahead, -0.055, ankle_z]]), (n, 1, 1))
    both = np.ones((n, 2))
    upright = posture == "standing"
    return Pose(
        pelvis=np.stack([sway * upright, 0.5 * sway * upright, height * one], axis=1),
        pelvis_yaw=0 * one,
        trunk_pitch=trunk * one,
        head_pitch=head * one,
        head_yaw=0 * one,
        ankles=ankles,
        foot_pitch=foot * both,
        shoulder_flexion=flexion * both,
        shoulder_abduction=abduction * both,
        elbow_flexion=elbow * both,
    )


def _phase(strides: np.ndarray) -> np.ndarray:
    return strides - np.floor(strides)


def _hermite(x: np.ndarray, start: float, end: float, slope: float) -> np.ndarray:
    """The cubic from ``start`` to ``end`` over [0, 1] with this slope at both ends."""
    x2, x3 = x * x, x * x * x
    return (
        (2 * x3 - 3 * x2 + 1) * start
        + (x3 - 2 * x2 + x) * slope
        + (3 * x2 - 2 * x3) * end
        + (x3 - x2) * slope
    )
