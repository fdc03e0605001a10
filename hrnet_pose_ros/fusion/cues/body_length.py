# SPDX-License-Identifier: Apache-2.0
"""Body length: the range at which a body of known stature has the length that is seen."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.cues.cue import Cue, Scene
from hrnet_pose_ros.fusion.cues.priors import Priors
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

    def _measure(self, scene: Scene, priors: Priors, answers: CueAnswers) -> None:
        stance, lines, stature = scene.stance, scene.lines, scene.settings.stature
        slope_var = np.where(scene.views.seen, scene.views.slope_var, 0.0)
        with np.errstate(invalid="ignore"):
            limit = SURE * np.sqrt((lines.gain**2 * slope_var).sum(axis=1))
        missing = (stance.shoulders.count == 0) | (stance.hips.count == 0)
        answers.refuse(missing, Refusal.JOINTS_MISSING)
        answers.refuse(stance.lying, Refusal.NOT_UPRIGHT)
        answers.refuse(lines.torso_cut, Refusal.TRUNCATED)
        # Shoulders alone, or hips alone, are no line.
        answers.refuse(np.isnan(lines.rise), Refusal.JOINTS_MISSING)
        with np.errstate(invalid="ignore"):
            answers.refuse(lines.rise < -limit, Refusal.NOT_UPRIGHT)
            answers.refuse(lines.rise < limit, Refusal.TOO_SMALL)
        answers.value[:] = lines.rise / stature
        answers.variance[:] = lines.rise_own / stature**2
        answers.joints = lines.gain / stature
        answers.stature[:] = -answers.value
        answers.tilt[:] = lines.rise_tilt / stature
