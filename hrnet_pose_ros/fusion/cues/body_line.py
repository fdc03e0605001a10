# SPDX-License-Identifier: Apache-2.0
"""The line through the slopes of a person's joints over their levels: body length and feet.

The slope of a joint at level a (fraction of the stature S) is a S / R - H / R. So the line rises
with S / R, whatever the camera's height and, nearly, its tilt; and at level 0 it has the slope of
the ground under the person, also where the feet are not in the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.fusion.body import LEVEL_STD, TORSO, levels
from hrnet_pose_ros.fusion.joint_roles import JointRoles
from hrnet_pose_ros.fusion.person_view import PersonViews
from hrnet_pose_ros.fusion.stance import Stance

# Relative standard deviation of the rise from leaning, where only the torso is measured, and where
# the thighs are too.
LEAN_STD, THIGH_LEAN_STD = 0.08, 0.04
# Hips above knees, in torso lengths: 0.85 when standing, 0.1 when sitting. Thighs above this value
# by one standard deviation are upright, so the person stands though the feet are not seen.
UPRIGHT_THIGHS = 0.5
# Shoulders alone, or hips alone, are no line: the least variance of the levels.
LEAST_ACROSS = 1e-4


@dataclass(frozen=True)
class BodyLines:
    """The lines of N persons with J joints; NaN for those who have none.

    Attributes
    ----------
    rise
        float64 ``[N]``: stature over range.
    gain
        float64 ``[N, J]``: its derivatives by the slopes of the joints.
    rise_own
        float64 ``[N]``: its variance from levels and posture.
    rise_tilt
        float64 ``[N]``: its derivative by the camera's tilt, per rad.
    feet
        float64 ``[N]``: the slope at level 0.
    feet_gain, feet_own
        As those of the rise.
    whole
        bool ``[N]``: from head to feet.
    thighs
        bool ``[N]``: to the knees of somebody who stands, because the feet are not seen.
    torso_cut
        bool ``[N]``: a joint of the torso lies at the image's border.
    """

    rise: np.ndarray
    gain: np.ndarray
    rise_own: np.ndarray
    rise_tilt: np.ndarray
    feet: np.ndarray
    feet_gain: np.ndarray
    feet_own: np.ndarray
    whole: np.ndarray
    thighs: np.ndarray
    torso_cut: np.ndarray


def body_lines(views: PersonViews, stance: Stance, roles: JointRoles) -> BodyLines:
    """Return the lines of N persons: through all joints with a level of who is seen as a whole.

    Of those whose feet are not seen, the joints down to the knees take part if the thighs are
    upright; else, and of who sits or bends, shoulders and hips.
    """
    level = levels(roles)
    usable = views.inside & np.isfinite(level)
    torso, ankles = list(roles.torso), list(roles.ankles)
    legs_seen = usable[:, ankles].any(axis=1) & ~views.cut_below
    whole = legs_seen & ~stance.bent
    with np.errstate(invalid="ignore"):
        upright = stance.thighs - stance.thighs_std > UPRIGHT_THIGHS
    thighs = ~legs_seen & upright & usable[:, list(roles.knees)].any(axis=1) & ~stance.lying
    no_ankles, only_torso = usable.copy(), np.zeros_like(usable)
    no_ankles[:, ankles] = False
    only_torso[:, torso] = usable[:, torso]
    use = np.where(whole[:, None], usable, np.where(thighs[:, None], no_ankles, only_torso))
    use &= np.isfinite(views.slope_var) & np.isfinite(views.slope)
    a, s = np.nan_to_num(level), np.where(use, views.slope, 0.0)
    slope_var = np.where(use, views.slope_var, 0.0)
    about = np.nan_to_num(np.maximum(stance.torso, 0.0)) / TORSO
    variance = slope_var + (LEVEL_STD * about[:, None]) ** 2
    w = np.where(use, 1 / np.maximum(variance, 1e-12), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        w = w / w.sum(axis=1, keepdims=True)
        middle = w @ a
        away = a - middle[:, None]
        across = (w * away**2).sum(axis=1)
        across = np.where(across > LEAST_ACROSS, across, np.nan)
        gain = w * away / across[:, None]
    feet_gain = w - middle[:, None] * gain
    rise, feet = (gain * s).sum(axis=1), (feet_gain * s).sum(axis=1)
    lean = np.where(whole, 0.0, np.where(thighs, THIGH_LEAN_STD, LEAN_STD))
    level_var = (LEVEL_STD * rise) ** 2
    return BodyLines(
        rise=rise,
        gain=gain,
        rise_own=(gain**2).sum(axis=1) * level_var + (lean * rise) ** 2,
        rise_tilt=(gain * (1 + s**2)).sum(axis=1),
        feet=feet,
        feet_gain=feet_gain,
        feet_own=(feet_gain**2).sum(axis=1) * level_var,
        whole=whole,
        thighs=thighs,
        torso_cut=usable[:, torso].sum(axis=1) < views.seen[:, torso].sum(axis=1),
    )
