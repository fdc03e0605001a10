# SPDX-License-Identifier: Apache-2.0
"""Which joints of a skeleton play which role: the cues know joints by role, not by number."""

from __future__ import annotations

from dataclasses import dataclass

from hrnet_pose_ros.skeleton import SkeletonDefinition


@dataclass(frozen=True)
class JointRoles:
    """Indices of joints by role; left before right in pairs, an empty tuple if there are none."""

    joints: int
    nose: tuple[int, ...] = ()
    eyes: tuple[int, ...] = ()
    ears: tuple[int, ...] = ()
    shoulders: tuple[int, ...] = ()
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
    def of(cls, skeleton: SkeletonDefinition) -> JointRoles:
        """Return the joints of a skeleton by role.

        A joint that is called like a role has that role, even where the definition, as that of an
        older model, does not list it.

        >>> from hrnet_pose_ros.skeleton import COCO17, find_skeleton
        >>> JointRoles.of(COCO17).hips, JointRoles.of(find_skeleton("halpe26")).heels
        ((11, 12), (24, 25))
        """
        at = {name: n for n, name in enumerate(skeleton.joint_names)} | dict(skeleton.roles)

        def pair(name: str) -> tuple[int, ...]:
            both = (f"left_{name}", f"right_{name}")
            return tuple(at[one] for one in both) if all(one in at for one in both) else ()

        return cls(
            joints=skeleton.joints,
            nose=(at["nose"],) if "nose" in at else (),
            eyes=pair("eye"),
            ears=pair("ear"),
            shoulders=pair("shoulder"),
            wrists=pair("wrist"),
            hips=pair("hip"),
            knees=pair("knee"),
            ankles=pair("ankle"),
            heels=pair("heel"),
            big_toes=pair("big_toe"),
        )
