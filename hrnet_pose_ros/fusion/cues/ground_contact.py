# SPDX-License-Identifier: Apache-2.0
"""Ground contact: the range at which the ray to the feet meets the ground."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.body import (
    ANKLE_HEIGHT,
    ANKLE_HEIGHT_STD,
    FOOT_HEIGHT,
    FOOT_HEIGHT_STD,
    ONE_FOOT_STD,
    STANCE_STD,
)
from hrnet_pose_ros.fusion.cues.cue import Answer, Cue, InverseRange, Scene
from hrnet_pose_ros.fusion.refusals import Refusal, Source

# The hips of a lying person are on the ground, about this high, m.
LYING_HEIGHT, LYING_HEIGHT_STD, LYING_STD = 0.12, 0.06, 0.15
# The feet of somebody who stands, where they are extrapolated from the body, against the hips, m: a
# body leans.
BODY_STD = 0.15
# Feet of a sitting or bent person against the hips, m.
BENT_STD = 0.35
# The feet may be this far apart along the ray, m; more is no stride but a wrong joint.
STRIDE = 1.2


class GroundContact(Cue):
    """With the camera H above the feet and their slope s, 1/R = -s / H: linear in the angle.

    The feet are heels and toes where the skeleton has them and they are seen, else the ankles. Of
    those who stand near the camera, the feet are outside of the image: they are where the line
    through the body (`BodyLines`) meets the level 0, if the thighs are seen to be upright. For a
    person who lies, the hips are on the ground.
    """

    name = "ground"
    source = Source.GROUND
    smallest_px = 20.0

    def _measure(self, scene: Scene, person: int, priors: list[tuple[float, float]]) -> Answer:
        views, stance = scene.views, scene.stance
        if stance.lying[person]:
            found = self._joints(scene, person, scene.roles.hips)
            height, height_std, place_std = LYING_HEIGHT, LYING_HEIGHT_STD, LYING_STD
        elif scene.lines.thighs[person]:
            return self._below(scene, person)
        elif views.cut_below[person]:
            return Refusal.TRUNCATED
        else:
            feet = scene.roles.heels + scene.roles.big_toes
            height, height_std = FOOT_HEIGHT, FOOT_HEIGHT_STD
            if not feet or not views.seen[person, list(feet)].all():
                feet = scene.roles.ankles
                height, height_std = ANKLE_HEIGHT, ANKLE_HEIGHT_STD
            found = self._joints(scene, person, feet)
            both = not isinstance(found, Refusal) and len(found) > 1
            place_std = STANCE_STD if both else ONE_FOOT_STD
            if stance.bent[person]:
                place_std = BENT_STD
        if isinstance(found, Refusal):
            return found
        drop = views.camera_height - height
        slopes = views.slope[person, found]
        slope = float(slopes.mean())
        if drop <= height_std or slope >= 0:
            return Refusal.ABOVE_HORIZON
        value = -slope / drop
        apart = float(np.ptp(slopes)) / drop
        noise = 3 * float(np.sqrt(views.slope_var[person, found].sum())) / drop
        if apart > STRIDE * value**2 + noise and not stance.lying[person]:
            return Refusal.AMBIGUOUS
        weights = np.zeros(scene.roles.joints)
        weights[found] = -1 / (len(found) * drop)
        own = (value / drop * height_std) ** 2 + (value**2 * place_std) ** 2
        tilt, over = -(1 + slope**2) / drop, value / drop
        return InverseRange(value, own, joints=weights, tilt=tilt, height=-over)

    def _below(self, scene: Scene, person: int) -> Answer:
        """Return the range of the feet that are not seen, below a body that is upright."""
        lines, height = scene.lines, scene.views.camera_height
        slope = float(lines.feet[person])
        if height <= 0 or slope >= 0:
            return Refusal.ABOVE_HORIZON
        value = -slope / height
        own = float(lines.feet_own[person]) / height**2 + (value**2 * BODY_STD) ** 2
        tilt = -(1 + slope**2) / height
        joints = -lines.feet_gain[person] / height
        return InverseRange(value, own, joints=joints, tilt=tilt, height=-value / height)

    @staticmethod
    def _joints(scene: Scene, person: int, joints: tuple[int, ...]) -> list[int] | Refusal:
        """Return those of the joints that are seen inside of the image, or why there are none."""
        seen = [j for j in joints if scene.views.seen[person, j]]
        if not seen:
            return Refusal.JOINTS_MISSING
        inside = [j for j in seen if scene.views.inside[person, j]]
        return inside or Refusal.TRUNCATED
