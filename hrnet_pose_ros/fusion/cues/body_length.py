# SPDX-License-Identifier: Apache-2.0
"""Body length: the range at which a body of known stature has the length that is seen."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.body import LEVEL_STD, TORSO, levels
from hrnet_pose_ros.fusion.cues.cue import Answer, Cue, InverseRange, Scene
from hrnet_pose_ros.fusion.refusals import Refusal, Source

# Relative standard deviation from leaning where only the torso is measured.
LEAN_STD = 0.08
# A body shorter than this many standard deviations of its length has none that could be measured.
SURE = 3.0


class BodyLength(Cue):
    """The slope of a joint at level a (fraction of the stature S) is a * S / R - H / R.

    So a line through slopes over levels rises with S / R, whatever the camera's height and, nearly,
    its tilt. All joints with a level take part, weighted by their variances; of a sitting or bent
    person, and of one whose legs are not in the image, shoulders and hips.
    """

    name = "body_length"
    source = Source.BODY_LENGTH
    smallest_px = 20.0

    def _measure(self, scene: Scene, person: int, priors: list[tuple[float, float]]) -> Answer:
        rise = rise_of(scene, person)
        if isinstance(rise, Refusal):
            return rise
        slope, weights, own, tilt = rise
        stature = scene.settings.stature
        value = slope / stature
        return InverseRange(
            value,
            own / stature**2,
            joints=weights / stature,
            stature=-value,
            tilt=tilt / stature,
        )


def rise_of(scene: Scene, person: int) -> tuple[float, np.ndarray, float, float] | Refusal:
    """Return stature times inverse range, from the slopes of a person's joints.

    Returns
    -------
    The rise, its derivatives ``[J]`` by the slopes of the joints, the variance from levels and
    posture, and the derivative by the camera's tilt; or why it cannot be had.
    """
    views, stance, roles = scene.views, scene.stance, scene.roles
    level = levels(roles)
    torso = list(roles.torso)
    if not (stance.shoulders.count[person] and stance.hips.count[person]):
        return Refusal.JOINTS_MISSING
    if stance.lying[person]:
        return Refusal.NOT_UPRIGHT
    usable = views.inside[person] & np.isfinite(level)
    if usable[torso].sum() < views.seen[person, torso].sum():
        return Refusal.TRUNCATED
    whole = bool(usable[list(roles.ankles)].any()) and not stance.bent[person]
    whole &= not views.cut_below[person]
    if not whole:
        only = np.zeros_like(usable)
        only[torso] = usable[torso]
        usable = only
    use = np.flatnonzero(usable)
    a, s = level[use], views.slope[person, use]
    about = max(float(stance.torso[person]), 0.0) / TORSO
    variance = views.slope_var[person, use] + (LEVEL_STD * about) ** 2
    w = 1 / variance
    w = w / w.sum()
    middle = w @ a
    across = w @ (a - middle) ** 2
    if not across > 1e-4:  # shoulders alone, or hips alone
        return Refusal.JOINTS_MISSING
    gain = w * (a - middle) / across
    rise = float(gain @ s)
    noise = float(gain**2 @ views.slope_var[person, use])
    if rise < -SURE * np.sqrt(noise):
        return Refusal.NOT_UPRIGHT
    if rise < SURE * np.sqrt(noise):
        return Refusal.TOO_SMALL
    weights = np.zeros(roles.joints)
    weights[use] = gain
    own = float((gain**2).sum()) * (LEVEL_STD * rise) ** 2
    if not whole:
        own += (LEAN_STD * rise) ** 2
    return rise, weights, own, float(gain @ (1 + s**2))
