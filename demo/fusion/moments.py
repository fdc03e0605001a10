# SPDX-License-Identifier: Apache-2.0
"""What one picture of the demo shows: the camera's image, the truth, and the people estimated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from hrnet_pose_ros.fusion.person import People, Person
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.simulation.truth import TruePerson, Truth


@dataclass(frozen=True)
class DriveMoment:
    """The drive at the stamp of one image. Places are in the level base frame, m.

    Attributes
    ----------
    seconds
        Since the beginning of the drive.
    picture
        uint8 RGB ``[H, W, 3]``: the scene as the camera sees it.
    poses, boxes
        The N skeletons, px in the picture; ``[N, 4]`` x, y, width, height.
    truth
        Of all people.
    people
        The node's answer; None if there is none for this image.
    obstacles
        Outlines ``[K, 2]`` on the ground.
    points
        float ``[M, 2]``: what the LIDAR has sent last.
    refused
        How often each cue was refused, by cue and reason, between the last two diagnostics.
    """

    seconds: float
    picture: np.ndarray
    poses: Poses
    boxes: np.ndarray
    truth: Truth
    people: People | None
    obstacles: tuple[np.ndarray, ...] = ()
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)

    def truth_of(self, person: Person) -> TruePerson | None:
        """The true person whose skeleton this estimate has; None while it coasts."""
        if person.skeleton_index < 0:
            return None
        same = (t for t in self.truth.people if t.skeleton_index == person.skeleton_index)
        return next(same, None)


@dataclass(frozen=True)
class CameraView:
    """Where the camera is in the base frame (m), and the angle that it sees (rad)."""

    at: np.ndarray
    angle: float

    def distance(self, person: Person | TruePerson) -> float:
        """Horizontal, from the camera, m."""
        return float(np.hypot(*(person.position[:2] - self.at[:2])))
