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
from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.cues.cue import Cue, Scene
from hrnet_pose_ros.fusion.cues.priors import Priors
from hrnet_pose_ros.fusion.range_table import outer_products
from hrnet_pose_ros.fusion.refusals import Refusal, Source

# The hips of a lying person are on the ground, about this high, m.
HIPS_HEIGHT, HIPS_HEIGHT_STD, LYING_STD = 0.12, 0.06, 0.15
# The feet of somebody who stands, where they are extrapolated from the body, against the hips, m: a
# body leans.
BODY_STD = 0.15
# Feet of a sitting or bent person against the hips, m.
BENT_STD = 0.35
# One foot against the middle of both, and one hip of who lies, along the ray, m.
FOOT_STD, HIP_STD = float(np.sqrt(ONE_FOOT_STD**2 - STANCE_STD**2)), 0.12
# A variance of slopes that is none.
TINY = 1e-12
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

    def _measure(self, scene: Scene, priors: Priors, answers: CueAnswers) -> None:
        views, below = scene.views, scene.lines.thighs & ~scene.stance.lying
        answers.refuse(views.cut_below & ~below & ~scene.stance.lying, Refusal.TRUNCATED)
        found, height, height_std, place_std, apart_std = self._feet(scene)
        seen, inside = found & views.seen, found & views.inside
        count = inside.sum(axis=1)
        answers.refuse(~below & ~seen.any(axis=1), Refusal.JOINTS_MISSING)
        answers.refuse(~below & (count == 0), Refusal.TRUNCATED)
        rough = np.where(inside, views.slope, 0.0).sum(axis=1) / np.maximum(count, 1)
        drop = views.camera_height - height
        low = drop <= height_std
        drop = np.maximum(drop, height_std)  # of those who are refused
        weights, uneven = self._weights(scene, inside, rough**2 / drop * apart_std)
        slope = np.where(inside, weights * views.slope, 0.0).sum(axis=1)
        answers.refuse(~below & (low | (slope >= 0)), Refusal.ABOVE_HORIZON)
        value = -slope / drop
        place_var = place_std**2 + (uneven * apart_std) ** 2
        highest = np.where(inside, views.slope, -np.inf).max(axis=1, initial=-np.inf)
        lowest = np.where(inside, views.slope, np.inf).min(axis=1, initial=np.inf)
        noise = 3 * np.sqrt(np.where(inside, views.slope_var, 0.0).sum(axis=1))
        apart = highest - lowest > drop * STRIDE * value**2 + noise
        answers.refuse(~below & apart & ~scene.stance.lying, Refusal.AMBIGUOUS)
        answers.value[:] = value
        answers.variance[:] = (value / drop * height_std) ** 2 + value**4 * place_var
        answers.joints = np.where(inside, -weights / drop[:, None], 0.0)
        answers.tilt[:] = -(1 + slope**2) / drop
        answers.height[:] = -value / drop
        self._extrapolated(scene, below, answers)

    @staticmethod
    def _weights(
        scene: Scene, inside: np.ndarray, apart_std: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how much each joint counts, ``[N, J]``, and how uneven both sides do, ``[N]``.

        The weights are those of the best linear unbiased estimate of the middle of both feet: a
        foot whose key point is uncertain counts less, as far as the feet may be apart. That is
        ``apart_std`` ``[N]``, of the slope of one foot against the middle. The unevenness is the
        weight of the left side less that of the right side.
        """
        roles, views = scene.roles, scene.views
        pairs = [one for one in (roles.hips, roles.ankles, roles.heels, roles.big_toes) if one]
        columns = [joint for pair in pairs for joint in pair]
        side = np.array([1.0, -1.0] * len(pairs))
        use = inside[:, columns]
        std = np.sqrt(np.where(use, views.slope_var[:, columns], 0.0))
        alike = scene.settings.joint_correlation
        correlations = np.full((len(columns), len(columns)), alike)
        for left, right, pair in roles.pairs:
            if left in columns:
                two = [columns.index(left), columns.index(right)]
                correlations[two, two[::-1]] = max(pair, alike)
        covariance = correlations * outer_products(std)
        covariance += outer_products(apart_std[:, None] * side)
        covariance = np.where(use[:, :, None] & use[:, None, :], covariance, 0.0)
        diagonal = np.einsum("njj->nj", covariance)
        diagonal += np.where(use, (1 - alike) * std**2 + TINY, 1.0)
        share = np.linalg.solve(covariance, use[..., None].astype(np.float64))[..., 0]
        total = share.sum(axis=1, keepdims=True)
        share = np.where(use, share / np.where(total > 0, total, 1.0), 0.0)
        weights = np.zeros(inside.shape)
        weights[:, columns] = share
        return weights, share @ side

    @staticmethod
    def _feet(scene: Scene) -> tuple[np.ndarray, ...]:
        """Return which joints are on the ground, bool ``[N, J]``.

        With their height above it, its standard deviation, that of the place of their middle
        against the hips along the ray, and of one of them against the middle, m, ``[N]``.
        """
        views, stance, roles = scene.views, scene.stance, scene.roles
        feet = list(roles.heels + roles.big_toes)
        on_feet = views.seen[:, feet].all(axis=1) & bool(feet)
        found = np.zeros(views.seen.shape, bool)
        for joints, who in (
            (list(roles.hips), stance.lying),
            (feet, on_feet & ~stance.lying),
            (list(roles.ankles), ~on_feet & ~stance.lying),
        ):
            found[:, joints] |= who[:, None]
        height = np.where(on_feet, FOOT_HEIGHT, ANKLE_HEIGHT)
        height_std = np.where(on_feet, FOOT_HEIGHT_STD, ANKLE_HEIGHT_STD)
        place_std = np.where(stance.bent, BENT_STD, STANCE_STD)
        return (
            found,
            np.where(stance.lying, HIPS_HEIGHT, height),
            np.where(stance.lying, HIPS_HEIGHT_STD, height_std),
            np.where(stance.lying, LYING_STD, place_std),
            np.where(stance.lying, HIP_STD, FOOT_STD),
        )

    @staticmethod
    def _extrapolated(scene: Scene, below: np.ndarray, answers: CueAnswers) -> None:
        """Give the ranges of feet that are not seen, ``below`` ``[N]`` a body that is upright."""
        lines, height = scene.lines, scene.views.camera_height
        with np.errstate(invalid="ignore"):
            answers.refuse(below & ((height <= 0) | (lines.feet >= 0)), Refusal.ABOVE_HORIZON)
        some = below & answers.open
        if not some.any():
            return
        assert answers.joints is not None
        slope = lines.feet[some]
        value = -slope / height
        answers.value[some] = value
        own = lines.feet_own[some] / height**2
        answers.variance[some] = own + (value**2 * BODY_STD) ** 2
        answers.joints[some] = -lines.feet_gain[some] / height
        answers.tilt[some] = -(1 + slope**2) / height
        answers.height[some] = -value / height
