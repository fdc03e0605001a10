# SPDX-License-Identifier: Apache-2.0
"""Body length: the range at which a body of known stature has the length that is seen."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.cues.cue import Answer, Cue, InverseRange, Scene
from hrnet_pose_ros.fusion.refusals import Refusal, Source

# A body shorter than this many standard deviations of its length has none that could be measured.
SURE = 3.0


class BodyLength(Cue):
    """The rise of the body's line (`BodyLines`) over the stature.

    All joints with a level take part, weighted by their variances; of a sitting or bent person, and
    of one of whom neither feet nor knees are in the image, shoulders and hips.
    """

    name = "body_length"
    source = Source.BODY_LENGTH
    smallest_px = 20.0

    def _begin(self, scene: Scene) -> bool:
        lines = scene.lines
        slope_var = np.nan_to_num(scene.views.slope_var)
        noise = np.sqrt((np.nan_to_num(lines.gain) ** 2 * slope_var).sum(axis=1))
        self._limit = (SURE * noise).tolist()
        return True

    def _measure(self, scene: Scene, person: int, priors: list[tuple[float, float]]) -> Answer:
        stance, lines = scene.stance, scene.lines
        if not (stance.shoulders.count[person] and stance.hips.count[person]):
            return Refusal.JOINTS_MISSING
        if stance.lying[person]:
            return Refusal.NOT_UPRIGHT
        if lines.torso_cut[person]:
            return Refusal.TRUNCATED
        rise, limit = float(lines.rise[person]), self._limit[person]
        if rise != rise:  # shoulders alone, or hips alone
            return Refusal.JOINTS_MISSING
        if rise < -limit:
            return Refusal.NOT_UPRIGHT
        if rise < limit:
            return Refusal.TOO_SMALL
        stature = scene.settings.stature
        value = rise / stature
        return InverseRange(
            value,
            float(lines.rise_own[person]) / stature**2,
            joints=lines.gain[person] / stature,
            stature=-value,
            tilt=float(lines.rise_tilt[person]) / stature,
        )
