# SPDX-License-Identifier: Apache-2.0
"""How the middle of shoulders, hips, knees and ankles lie to each other, seen from the camera.

Ratios of slopes are ratios of heights, at any range. So they tell upright people from others
without a range, and the cues ask here whether a posture allows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hrnet_pose_ros.fusion.joint_roles import JointRoles
from hrnet_pose_ros.fusion.person_view import PersonViews

# A torso further from the vertical than this is not upright, or lies, rad.
UPRIGHT_LEAN = np.deg2rad(30)
LYING_LEAN = np.deg2rad(60)
# Hips above ankles, in torso lengths: 1.7 when standing, 0.9 when sitting.
UPRIGHT_LEGS = 1.25


@dataclass(frozen=True)
class Middles:
    """The middle of a pair of joints, or the one that is seen, for N persons; NaN if none is."""

    azimuth: np.ndarray
    slope: np.ndarray
    slope_var: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Stance:
    """N persons; each number is float64 ``[N]``, NaN if its joints are missing.

    Attributes
    ----------
    shoulders, hips, knees, ankles
        The middles of the pairs.
    torso
        Slope of the shoulders minus that of the hips: the torso's height, in units of the range.
    lean
        The torso's angle against the vertical in the image plane, rad, 0 to pi.
    legs
        Hips above ankles, in torso lengths.
    thighs
        Hips above knees, in torso lengths.
    legs_std, thighs_std
        Their standard deviations by the covariances of the key points.
    """

    shoulders: Middles
    hips: Middles
    knees: Middles
    ankles: Middles
    torso: np.ndarray
    torso_std: np.ndarray
    lean: np.ndarray
    legs: np.ndarray
    legs_std: np.ndarray
    thighs: np.ndarray
    thighs_std: np.ndarray

    @cached_property
    def lying(self) -> np.ndarray:
        """bool ``[N]``: the torso lies in the image, by more than the noise of its ends."""
        aside = np.abs(self.shoulders.azimuth - self.hips.azimuth)
        return (self.lean > LYING_LEAN) & (aside > 3 * self.torso_std)

    @cached_property
    def bent(self) -> np.ndarray:
        """bool ``[N]``: sitting, crouching or bent, by at least two standard deviations."""
        short = self.legs + 2 * self.legs_std < UPRIGHT_LEGS
        aside = np.abs(self.shoulders.azimuth - self.hips.azimuth)
        leaning = (self.lean > UPRIGHT_LEAN) & (aside > 2 * self.torso_std)
        return short | (leaning & ~self.lying)


def stance_of(views: PersonViews, roles: JointRoles, correlation: float) -> Stance:
    """Return the stance of N persons; ``correlation`` is that of a person's joints' errors."""

    shoulders, hips, knees, ankles = _middles(views, roles, correlation)
    torso = shoulders.slope - hips.slope
    torso_std = np.sqrt(shoulders.slope_var + hips.slope_var)
    long = np.hypot(torso, shoulders.azimuth - hips.azimuth)
    usable = np.where(long > 0, long, np.nan)

    def ratio(top: Middles, below: Middles) -> tuple[np.ndarray, np.ndarray]:
        value = (top.slope - below.slope) / usable
        variance = top.slope_var + below.slope_var + value**2 * torso_std**2
        return value, np.sqrt(variance) / usable

    legs, legs_std = ratio(hips, ankles)
    thighs, thighs_std = ratio(hips, knees)
    return Stance(
        shoulders=shoulders,
        hips=hips,
        knees=knees,
        ankles=ankles,
        torso=torso,
        torso_std=torso_std,
        lean=np.arctan2(np.abs(shoulders.azimuth - hips.azimuth), torso),
        legs=legs,
        legs_std=legs_std,
        thighs=thighs,
        thighs_std=thighs_std,
    )


def _middles(views: PersonViews, roles: JointRoles, correlation: float) -> list[Middles]:
    """Return the middles of shoulders, hips, knees and ankles."""
    groups = (roles.shoulders, roles.hips, roles.knees, roles.ankles)
    alike = {left: pair for left, _, pair in roles.pairs}
    correlations = [max(alike.get(one[0], 0.0), correlation) if one else 0.0 for one in groups]
    joints = [joint for group in groups for joint in group]
    part = [place for place, group in enumerate(groups) for _ in group]
    member = np.zeros((len(joints), len(groups)))  # sums over groups are products with this
    member[np.arange(len(joints)), part] = 1.0
    seen = views.seen[:, joints]
    count = seen @ member
    share = np.where(count > 0, count, np.nan)
    azimuth = np.where(seen, views.azimuth[:, joints], 0.0) @ member / share
    slope = np.where(seen, views.slope[:, joints], 0.0) @ member / share
    spread = views.slope_var[:, joints]
    spread = np.where(np.isfinite(spread), spread, 0.0)
    together, c = (np.sqrt(spread) @ member) ** 2, np.array(correlations)
    slope_var = ((1 - c) * (spread @ member) + c * together) / share**2
    rows = (one.T for one in (azimuth, slope, slope_var, count))
    return [Middles(*row) for row in zip(*rows, strict=True)]
