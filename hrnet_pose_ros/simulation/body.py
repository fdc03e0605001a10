# SPDX-License-Identifier: Apache-2.0
"""The articulated body of a person: proportions, joints from a pose, and its capsules.

Lengths are fractions of the stature after Drillis and Contini (1966), as in Winter, "Biomechanics
and Motor Control of Human Movement" (2009), figure 4.1. The length of the legs varies between
persons and grows with age by the ratio of sitting height to stature (0.555 at 5 years, 0.52 from 13
on, standard deviation 0.014: Bogin and Varela-Silva 2010); a child's head is larger.

The body's frame: origin on the ground under the middle of the hips, x where the chest points, y to
the person's left, z up. All functions work on T instants at once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from hrnet_pose_ros.skeleton import COCO17

# The points of a body: COCO's 17 joints, then these.
EXTRA_POINTS = (
    *("pelvis", "neck", "head_low", "head_high", "left_hand", "right_hand"),
    *("left_heel", "right_heel", "left_ball", "right_ball"),
    *("left_chest", "right_chest", "left_waist", "right_waist", "breastbone"),
)
JOINTS = COCO17.joints
POINT_NAMES = (*COCO17.joint_names, *EXTRA_POINTS)
POINT = {name: index for index, name in enumerate(POINT_NAMES)}

# The capsules between two points; radius as a fraction of the stature.
_CAPSULES = (
    ("left_waist", "left_chest", 0.062),
    ("right_waist", "right_chest", 0.062),
    ("pelvis", "breastbone", 0.068),
    ("left_chest", "right_chest", 0.055),
    ("left_hip", "right_hip", 0.055),
    ("breastbone", "head_low", 0.034),
    ("head_low", "head_high", 0.048),
    *((f"{s}_shoulder", f"{s}_elbow", 0.028) for s in ("left", "right")),
    *((f"{s}_elbow", f"{s}_wrist", 0.022) for s in ("left", "right")),
    *((f"{s}_wrist", f"{s}_hand", 0.020) for s in ("left", "right")),
    *((f"{s}_hip", f"{s}_knee", 0.046) for s in ("left", "right")),
    *((f"{s}_knee", f"{s}_ankle", 0.030) for s in ("left", "right")),
    *((f"{s}_heel", f"{s}_ball", 0.020) for s in ("left", "right")),
)
CAPSULES = np.array([(POINT[a], POINT[b]) for a, b, _ in _CAPSULES])
CAPSULE_RADII = np.array([radius for _, _, radius in _CAPSULES])

ANKLE_HEIGHT, UPPER_ARM, FOREARM, HAND = 0.039, 0.186, 0.146, 0.06
LEG = 0.530 - ANKLE_HEIGHT  # hip to ankle of an adult
THIGH_OF_LEG = 0.245 / LEG
BALL_AHEAD, HEEL_BEHIND = 0.095, 0.035  # of the ankle
SHOULDER_ABOVE_HIP = (0.818 - 0.530) / (1 - 0.530)  # of the height above the hips
# Half distances of the joints' centres, which lie inside of the body's outline.
HALF_SHOULDERS, HALF_HIPS = 0.105, 0.055
CHILD_AGE, GROWN_AGE = 5.0, 13.0
CHILD_LEGS = (1 - 0.555) / (1 - 0.52)
LEGS_DEVIATION = 0.014 / (1 - 0.52)
CHILD_HEAD = 1.25

# The knee bends towards this direction of the body's frame.
_KNEE_POLE = np.array([1.0, 0.0, 0.5])


@dataclass(frozen=True)
class Pose:
    """A body's pose at T instants, in rad and in statures; ``[T, 2, …]``: left, right.

    Attributes
    ----------
    pelvis
        ``[T, 3]`` position of the pelvis (x forward, y left, z up).
    pelvis_yaw
        ``[T]``: the hips' line turned to the left; the shoulders turn the other way.
    trunk_pitch
        ``[T]``: leaning forward; -pi/2 lies on the back.
    head_pitch, head_yaw
        ``[T]``: of the head in the body's frame, downwards and to the left.
    ankles
        ``[T, 2, 3]``: where the ankles should be; a leg that is too short points there.
    foot_pitch
        ``[T, 2]``: the heel raised above the ball.
    shoulder_flexion, shoulder_abduction, elbow_flexion
        ``[T, 2]``: upper arm forward from hanging (pi points up), away from the body; the bend of
        the elbow.
    """

    pelvis: np.ndarray
    pelvis_yaw: np.ndarray
    trunk_pitch: np.ndarray
    head_pitch: np.ndarray
    head_yaw: np.ndarray
    ankles: np.ndarray
    foot_pitch: np.ndarray
    shoulder_flexion: np.ndarray
    shoulder_abduction: np.ndarray
    elbow_flexion: np.ndarray

    def __len__(self) -> int:
        return len(self.pelvis)

    def blend(self, other: Pose, weight: np.ndarray) -> Pose:
        """This pose with weight 0, the other with weight 1; ``weight`` is ``[T]``."""
        mixed = {}
        for name in (field.name for field in fields(self)):
            a, b = getattr(self, name), getattr(other, name)
            w = weight.reshape((-1,) + (1,) * (a.ndim - 1))
            mixed[name] = a + w * (b - a)
        return Pose(**mixed)


@dataclass(frozen=True)
class BodyShape:
    """A person's proportions.

    Attributes
    ----------
    stature
        Metres.
    leg
        Hip to ankle, in statures.
    head
        Size of the head relative to an adult's of the same stature.
    girth
        Factor of all radii.
    """

    stature: float
    leg: float = LEG
    head: float = 1.0
    girth: float = 1.0

    @classmethod
    def draw(cls, generator: np.random.Generator, stature: float, age: float) -> BodyShape:
        """Proportions of a person of this age in years."""
        grown = float(np.clip((age - CHILD_AGE) / (GROWN_AGE - CHILD_AGE), 0, 1))
        variation = np.clip(generator.standard_normal(2), -2.5, 2.5)
        legs = CHILD_LEGS + grown * (1 - CHILD_LEGS) + LEGS_DEVIATION * variation[0]
        return cls(
            stature=stature,
            leg=LEG * float(legs),
            head=CHILD_HEAD + grown * (1 - CHILD_HEAD),
            girth=float(np.exp(0.1 * variation[1])),
        )

    @property
    def radii(self) -> np.ndarray:
        """Radii of the `CAPSULES`, m."""
        return CAPSULE_RADII * self.stature * self.girth

    @property
    def radius(self) -> float:
        """Radius of the upright cylinder about the standing body, arms hanging, m."""
        return (HALF_SHOULDERS + 0.028 * self.girth) * self.stature

    @property
    def thigh(self) -> float:
        """Hip to knee, in statures."""
        return self.leg * THIGH_OF_LEG

    @property
    def shank(self) -> float:
        """Knee to ankle, in statures."""
        return self.leg - self.thigh

    @property
    def hip_height(self) -> float:
        """Of the straight leg, in statures."""
        return ANKLE_HEIGHT + self.leg

    def points(self, pose: Pose) -> np.ndarray:
        """The points ``[T, P, 3]`` in metres in the body's frame, in the order of `POINT_NAMES`."""
        points = np.empty((len(pose), len(POINT_NAMES), 3))

        def put(name: str, value: np.ndarray) -> np.ndarray:
            points[:, POINT[name]] = value
            return value

        pelvis = put("pelvis", pose.pelvis)
        upper = 1 - self.hip_height
        # The trunk: pitched about the hips, shoulders turned against the pelvis.
        hips = _frames(np.zeros(len(pose)), pose.pelvis_yaw)
        trunk = _frames(pose.trunk_pitch, -0.5 * pose.pelvis_yaw)
        head = _frames(pose.head_pitch, pose.head_yaw)
        shoulders = SHOULDER_ABOVE_HIP * upper / (1 + 0.07 * (self.head - 1) / 0.25)
        neck = put("neck", pelvis + trunk @ [0, 0, shoulders])
        put("breastbone", pelvis + trunk @ [0, 0, 0.88 * shoulders])
        # The head: from the neck's base to the top at the stature.
        top = upper - shoulders
        half_head = 0.048 * self.head
        put("head_high", neck + head @ [0.012, 0, top - half_head])
        put("head_low", neck + head @ [0.012, 0, top - 0.105 * self.head + 0.01])
        s = self.head
        put("nose", neck + head @ [0.062 * s, 0, top - 0.088 * s])
        for side, y in (("left", 1.0), ("right", -1.0)):
            i = 0 if side == "left" else 1
            put(f"{side}_eye", neck + head @ [0.050 * s, 0.018 * s * y, top - 0.066 * s])
            put(f"{side}_ear", neck + head @ [0.008 * s, 0.044 * s * y, top - 0.074 * s])
            put(f"{side}_chest", pelvis + trunk @ [0, 0.062 * y, 0.84 * shoulders])
            put(f"{side}_waist", pelvis + trunk @ [0, 0.040 * y, 0.2 * shoulders])
            shoulder = put(f"{side}_shoulder", neck + trunk @ [0, HALF_SHOULDERS * y, -0.012])
            flexion, bend = pose.shoulder_flexion[:, i], pose.elbow_flexion[:, i]
            outwards = pose.shoulder_abduction[:, i] * y
            upper_arm = _arm(trunk, flexion, outwards)
            elbow = put(f"{side}_elbow", shoulder + UPPER_ARM * upper_arm)
            forearm = _arm(trunk, flexion + bend, outwards)
            wrist = put(f"{side}_wrist", elbow + FOREARM * forearm)
            put(f"{side}_hand", wrist + HAND * forearm)

            hip = put(f"{side}_hip", pelvis + hips @ [0, HALF_HIPS * y, 0])
            knee, ankle = self._leg(hip, pose.ankles[:, i])
            put(f"{side}_knee", knee)
            put(f"{side}_ankle", ankle)
            ball, heel = foot_offsets(pose.foot_pitch[:, i])
            put(f"{side}_ball", ankle + ball)
            put(f"{side}_heel", ankle + heel)
        return points * self.stature

    def _leg(self, hip: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Knees and ankles ``[T, 3]``: the two bones from the hip towards the wanted ankle."""
        line = wanted - hip
        distance = np.linalg.norm(line, axis=1, keepdims=True)
        line = line / np.maximum(distance, 1e-9)
        shortest = abs(self.thigh - self.shank) + 1e-6
        reach = np.clip(distance, shortest, 0.9999 * self.leg)
        along = (reach**2 + self.thigh**2 - self.shank**2) / (2 * reach)
        aside = np.sqrt(np.maximum(self.thigh**2 - along**2, 0))
        pole = _KNEE_POLE - (line @ _KNEE_POLE)[:, None] * line
        pole /= np.maximum(np.linalg.norm(pole, axis=1, keepdims=True), 1e-9)
        return hip + along * line + aside * pole, hip + reach * line


def foot_offsets(pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets ``[T, 3]`` of ball and heel from the ankle, in statures, for raised heels ``[T]``."""
    cos, sin, zero = np.cos(pitch), np.sin(pitch), np.zeros_like(pitch)
    offsets = []
    for x in (BALL_AHEAD, -HEEL_BEHIND):
        z = -ANKLE_HEIGHT
        offsets.append(np.stack([x * cos + z * sin, zero, -x * sin + z * cos], axis=1))
    return offsets[0], offsets[1]


def bone_lengths(points: np.ndarray) -> dict[str, np.ndarray]:
    """Lengths ``[T]`` of the limbs between joints, by name, of points ``[T, P, 3]``."""
    lengths = {}
    for side in ("left", "right"):
        for a, b in (
            *(("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")),
            *(("heel", "ball"), ("ankle", "ball")),
        ):
            ends = points[:, POINT[f"{side}_{a}"]], points[:, POINT[f"{side}_{b}"]]
            lengths[f"{side}_{a}_{b}"] = np.linalg.norm(ends[0] - ends[1], axis=1)
    for name in ("shoulder", "hip"):
        ends = points[:, POINT[f"left_{name}"]], points[:, POINT[f"right_{name}"]]
        lengths[f"{name}s"] = np.linalg.norm(ends[0] - ends[1], axis=1)
    return lengths


def _frames(pitch: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Rotations ``[T, 3, 3]``: to the left by yaw about the own axis, then forward by pitch."""
    (cp, sp), (cy, sy) = (np.cos(pitch), np.sin(pitch)), (np.cos(yaw), np.sin(yaw))
    rows = [cp * cy, -cp * sy, sp, sy, cy, np.zeros_like(pitch), -sp * cy, sp * sy, cp]
    return np.stack(rows, axis=1).reshape(-1, 3, 3)


def _arm(trunk: np.ndarray, flexion: np.ndarray, outwards: np.ndarray) -> np.ndarray:
    """Unit directions ``[T, 3]`` of an arm: forward by flexion, then away from the body."""
    aside = np.cos(outwards)
    local = np.stack([np.sin(flexion) * aside, np.sin(outwards), -np.cos(flexion) * aside], axis=1)
    return np.einsum("tij,tj->ti", trunk, local)
