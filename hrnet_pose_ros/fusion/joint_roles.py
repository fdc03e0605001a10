# SPDX-License-Identifier: Apache-2.0
"""Which joints of a skeleton play which role: the cues know joints by role, not by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_pose_ros.skeleton import JOINT_NAMES


@dataclass(frozen=True)
class JointRoles:
    """Indices of joints by role; left before right in pairs, an empty tuple if there are none."""

    joints: int
    nose: tuple[int, ...] = ()
    eyes: tuple[int, ...] = ()
    ears: tuple[int, ...] = ()
    shoulders: tuple[int, ...] = ()
    elbows: tuple[int, ...] = ()
    wrists: tuple[int, ...] = ()
    hips: tuple[int, ...] = ()
    knees: tuple[int, ...] = ()
    ankles: tuple[int, ...] = ()
    heels: tuple[int, ...] = ()
    big_toes: tuple[int, ...] = ()

    @property
    def torso(self) -> tuple[int, ...]:
        """Shoulders and hips."""
        return self.shoulders + self.hips

    @classmethod
    def from_names(cls, names: Sequence[str]) -> JointRoles:
        """Return the roles of joints with COCO's and COCO-WholeBody's names.

        >>> JointRoles.from_names(["nose", "left_hip", "right_hip"]).hips
        (1, 2)
        """
        at = {name: n for n, name in enumerate(names)}

        def pair(name: str) -> tuple[int, ...]:
            both = (f"left_{name}", f"right_{name}")
            return tuple(at[one] for one in both) if all(one in at for one in both) else ()

        return cls(
            joints=len(names),
            nose=(at["nose"],) if "nose" in at else (),
            eyes=pair("eye"),
            ears=pair("ear"),
            shoulders=pair("shoulder"),
            elbows=pair("elbow"),
            wrists=pair("wrist"),
            hips=pair("hip"),
            knees=pair("knee"),
            ankles=pair("ankle"),
            heels=pair("heel"),
            big_toes=pair("big_toe"),
        )


COCO_ROLES = JointRoles.from_names(JOINT_NAMES)
