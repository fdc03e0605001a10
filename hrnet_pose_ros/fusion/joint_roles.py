# SPDX-License-Identifier: Apache-2.0
"""Which joints of a skeleton play which role: the cues know joints by role, not by number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hrnet_pose_ros.skeleton import SkeletonDefinition

# Correlation of the vertical errors of the left and the right joint of a pair: both hips are placed
# at one height, and feet often too. Of labelled persons (`KeypointResiduals.correlations`):
# eyes 0.61, ears 0.54, shoulders 0.33, hips 0.80, knees 0.37, ankles 0.32.
HIPS_ALIKE, HEAD_ALIKE, LIMBS_ALIKE = 0.8, 0.55, 0.35


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

    @cached_property
    def pairs(self) -> tuple[tuple[int, int, float], ...]:
        """Both joints of each pair, and the correlation of their vertical errors.

        >>> JointRoles(4, hips=(2, 3)).pairs
        ((2, 3, 0.8),)
        """
        kinds = (
            *((pair, HEAD_ALIKE) for pair in (self.eyes, self.ears)),
            (self.hips, HIPS_ALIKE),
            *((pair, LIMBS_ALIKE) for pair in (self.shoulders, self.wrists, self.knees)),
            *((pair, LIMBS_ALIKE) for pair in (self.ankles, self.heels, self.big_toes)),
        )
        return tuple((pair[0], pair[1], alike) for pair, alike in kinds if pair)

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
