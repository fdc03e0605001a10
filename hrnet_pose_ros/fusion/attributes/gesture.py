# SPDX-License-Identifier: Apache-2.0
"""Gesture: a raised hand is a wrist above the shoulders by a quarter of the torso."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.person import Gesture

# Arms under about 30 px give no reliable angles, so neither do persons under this height.
SMALLEST_PX = 60.0
# Height above the shoulders, in torso lengths; and how much it differs from gesture to gesture.
RAISED, RAISED_STD = 0.25, 0.10


def gestures_of(scene: Scene) -> list[tuple[Gesture, float]]:
    """Return the raised hands of each person, and the probability that this is right.

    The probability is NaN if no wrist is visible, or the person is too small or not upright.
    """
    views, stance, roles = scene.views, scene.stance, scene.roles
    if not roles.wrists:
        return [(Gesture.NONE, float("nan"))] * len(views)
    wrists = list(roles.wrists)
    usable = (views.size_px >= SMALLEST_PX) & (stance.torso > 0) & ~stance.lying
    torso = np.where(usable, stance.torso, np.nan)[:, None]
    above = (views.slope[:, wrists] - stance.shoulders.slope[:, None]) / torso
    variance = (views.slope_var[:, wrists] + stance.shoulders.slope_var[:, None]) / torso**2
    raised = ndtr((above - RAISED) / np.sqrt(variance + RAISED_STD**2))  # [N, 2]
    result = []
    for left, right in raised.tolist():
        gesture, sure = Gesture.NONE, math.nan
        for chance, bit in ((left, Gesture.LEFT_HAND_RAISED), (right, Gesture.RIGHT_HAND_RAISED)):
            if math.isnan(chance):
                continue
            raises = chance > 0.5
            certain = chance if raises else 1 - chance
            sure = certain if math.isnan(sure) else min(sure, certain)
            if raises:
                gesture |= bit
        result.append((gesture, sure))
    return result
