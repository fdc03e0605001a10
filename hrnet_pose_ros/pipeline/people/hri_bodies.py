# SPDX-License-Identifier: Apache-2.0
"""Persons as bodies of ROS4HRI (REP 155): ids, regions, 2D skeletons, postures, gestures, frames.

The functions read the fields of Person, Skeleton and SkeletonArray messages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.body import HIP_LEVEL
from hrnet_pose_ros.fusion.person import Gesture, Posture
from hrnet_pose_ros.pipeline.message_types import MessageClasses
from hrnet_pose_ros.pipeline.people.people_poses import heading_quaternion
from hrnet_pose_ros.pipeline.people.person_extent import stature_of
from hrnet_pose_ros.skeleton import SkeletonDefinition

# The points of hri_msgs/Skeleton2D, in its order, by their roles; the neck is no role.
NECK = "neck"
POINTS = (
    *("nose", NECK, "right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
    *("left_hip", "left_knee", "left_ankle", "left_eye", "right_eye", "left_ear", "right_ear"),
)
# Constants of hri_msgs/BodyPosture and hri_msgs/Gesture; both have 0 for OTHER.
OTHER = 0
POSTURES = {Posture.UPRIGHT: 1, Posture.SITTING: 2, Posture.CROUCHING: 3, Posture.LYING: 4}
GESTURES = {
    Gesture.LEFT_HAND_RAISED: 3,
    Gesture.RIGHT_HAND_RAISED: 4,
    Gesture.LEFT_HAND_RAISED | Gesture.RIGHT_HAND_RAISED: 5,
}
ALL_GESTURES = max(GESTURES)  # their bits
# Height of the hips above the ground, as a fraction of the stature, where it is not measured: of
# somebody upright as in `fusion.body`; a seat is at 0.45 m, and hips lie 0.1 m above what carries
# them.
HIP_LEVELS = {Posture.SITTING: 0.32, Posture.CROUCHING: 0.2, Posture.LYING: 0.06}


def body_id(identity: str) -> str:
    """Return the id of a body for a person's id: legal in names of topics and frames, and unique.

    It begins with a letter and has no underscore twice in a row, as ROS demands. Letters and digits
    stay; any other character becomes the bytes of its UTF-8 code, ``_`` and two hexadecimal digits
    each.

    >>> body_id("12"), body_id("cam/1"), body_id("_")
    ('b12', 'bcam_2f1', 'b_5f')
    """
    kept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    parts = []
    for letter in identity:
        code = letter.encode(errors="surrogatepass")
        parts.append(letter if letter in kept else "".join(f"_{byte:02x}" for byte in code))
    return "b" + "".join(parts)


def ids_list(types: MessageClasses, header: Any, ids: Sequence[str]) -> Any:
    """Return the IdsList of the bodies that are tracked."""
    return types["hri_msgs/msg/IdsList"](header=header, ids=list(ids))


def region(types: MessageClasses, array: Any, index: int) -> Any:
    """Return the NormalizedRegionOfInterest2D of a skeleton of a SkeletonArray: its box."""
    skeleton = array.skeletons[index]
    box, width, height = skeleton.bbox, int(array.image_width), int(array.image_height)
    centre, half = box.center.position, (box.size_x / 2, box.size_y / 2)
    # Pixel centres are at integers: the image begins half a pixel before the first.
    xs = sorted(_fraction(centre.x + 0.5 + sign * half[0], width) for sign in (-1, 1))
    ys = sorted(_fraction(centre.y + 0.5 + sign * half[1], height) for sign in (-1, 1))
    scores = (float(skeleton.detection_score), float(skeleton.score))
    confidence = next((score for score in scores if math.isfinite(score)), 0.0)
    return types["hri_msgs/msg/NormalizedRegionOfInterest2D"](
        header=array.header,
        xmin=xs[0],
        ymin=ys[0],
        xmax=xs[1],
        ymax=ys[1],
        c=float(np.clip(confidence, 0.0, 1.0)),
    )


def skeleton2d(
    types: MessageClasses, array: Any, index: int, definition: SkeletonDefinition
) -> Any:
    """Return the Skeleton2D of a skeleton of a SkeletonArray.

    A point that was not found, that the skeleton does not have, or that lies outside of the image
    has the confidence 0. The neck is the middle of both shoulders.
    """
    points = dict.fromkeys(POINTS, (0.0, 0.0, 0.0))
    keypoints = array.skeletons[index].keypoints
    width, height = int(array.image_width), int(array.image_height)
    for name, joint in definition.roles.items():
        if name in points and joint < len(keypoints):
            one = keypoints[joint]
            points[name] = _point(one.x, one.y, one.score, width, height)
    left, right = points["left_shoulder"], points["right_shoulder"]
    if left[2] > 0 and right[2] > 0:
        middle = (left[0] + right[0]) / 2, (left[1] + right[1]) / 2
        points[NECK] = (*middle, min(left[2], right[2]))
    kind = types["hri_msgs/msg/NormalizedPointOfInterest2D"]
    return types["hri_msgs/msg/Skeleton2D"](
        header=array.header,
        skeleton=[kind(x=x, y=y, c=c) for x, y, c in (points[name] for name in POINTS)],
    )


def body_posture(types: MessageClasses, header: Any, person: Any) -> Any:
    """Return the BodyPosture of a person; OTHER if the posture is not known."""
    posture = POSTURES.get(person.posture, OTHER)
    return types["hri_msgs/msg/BodyPosture"](header=header, posture=posture)


def body_gesture(types: MessageClasses, header: Any, person: Any) -> Any:
    """Return the Gesture of a person; OTHER if no hand is raised, or it is not known."""
    gesture = GESTURES.get(person.gesture & ALL_GESTURES, OTHER)
    return types["hri_msgs/msg/Gesture"](header=header, gesture=gesture)


def body_transform(
    types: MessageClasses, header: Any, person: Any, definition: SkeletonDefinition | None
) -> Any | None:
    """Return the TransformStamped of the frame ``body_ID``; None if the place is not known.

    Its origin is the middle of the hips: as measured, if both have a depth; else above the person's
    position. x points where the chest does (along the parent's x axis if that is not known), z up.
    """
    ground = person.position
    place = _hips(person, definition)
    if place is None:
        level = HIP_LEVELS.get(person.posture, HIP_LEVEL)
        place = float(ground.x), float(ground.y), float(ground.z) + level * stature_of(person)
    if not all(map(math.isfinite, place)):
        return None
    geometry = "geometry_msgs/msg/"
    x, y, z = place
    return types[geometry + "TransformStamped"](
        header=header,
        child_frame_id=f"body_{body_id(person.id)}",
        transform=types[geometry + "Transform"](
            translation=types[geometry + "Vector3"](x=x, y=y, z=z),
            rotation=heading_quaternion(types, person.heading),
        ),
    )


def cropped(rgb: np.ndarray, array: Any, index: int) -> np.ndarray | None:
    """Return the part of an image in a skeleton's box, uint8 ``[H, W, 3]``; None if it is empty."""
    box = array.skeletons[index].bbox
    centre, spans = box.center.position, []
    for middle, size, limit in (
        (centre.y, box.size_y, rgb.shape[0]),
        (centre.x, box.size_x, rgb.shape[1]),
    ):
        begin, end = np.clip((middle - size / 2 + 0.5, middle + size / 2 + 0.5), 0, limit).tolist()
        if not end > begin:  # outside, or NaN
            return None
        spans.append(slice(math.floor(begin), math.ceil(end)))
    part: np.ndarray = rgb[spans[0], spans[1]]
    return part


def _hips(person: Any, definition: SkeletonDefinition | None) -> tuple[float, float, float] | None:
    """Return the middle of both hips, if they have been measured in space."""
    roles = {} if definition is None else definition.roles
    joints = [roles.get(name, len(person.keypoints)) for name in ("left_hip", "right_hip")]
    if max(joints) >= len(person.keypoints):
        return None
    hips = [person.keypoints[joint] for joint in joints]
    middle = np.mean([(hip.x, hip.y, hip.z) for hip in hips], axis=0)
    x, y, z = middle.tolist()
    return (x, y, z) if np.isfinite(middle).all() else None


def _point(x: float, y: float, score: float, width: int, height: int) -> tuple[float, float, float]:
    """Return a key point in pixels as x, y and confidence, each in [0, 1]."""
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(score)):
        return 0.0, 0.0, 0.0
    inside = -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
    confidence = float(np.clip(score, 0.0, 1.0)) if inside else 0.0
    return _fraction(x + 0.5, width), _fraction(y + 0.5, height), confidence


def _fraction(value: float, size: int) -> float:
    """Return a coordinate as a part of the image's side, in [0, 1]; 0 if it is not known."""
    return float(np.clip(value / size, 0.0, 1.0)) if size and math.isfinite(value) else 0.0
