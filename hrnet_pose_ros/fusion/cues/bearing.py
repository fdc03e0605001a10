# SPDX-License-Identifier: Apache-2.0
"""Bearing: the azimuth of the middle of the hips, or of what is seen of the torso."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hrnet_pose_ros.fusion.person_view import FOLDED_STD, mean_variance

if TYPE_CHECKING:  # the scene keeps its bearings
    from hrnet_pose_ros.fusion.cues.cue import Scene

# The middle of other joints against the middle of the hips, in units of the torso's length (0.49 m
# for an adult): what leaning and turning move it.
_OFFSETS = {"torso": 0.15, "any": 0.4}
# One hip or shoulder alone: half the breadth, in torso lengths.
_ONE_SIDE = 0.25
# From a box without joints: fraction of its width.
_BOX = 0.2


@dataclass(frozen=True)
class Bearings:
    """Azimuths of N persons from the camera's heading, float64 ``[N]`` rad, and variances, rad²."""

    azimuth: np.ndarray
    variance: np.ndarray


def bearings_of(scene: Scene) -> Bearings:
    """Return a bearing for every person: joints if there are any, else the detector's box."""
    views, roles = scene.views, scene.roles
    wide = np.abs(views.box[:, 0] - views.box[:, 1])
    # The torso's length in the image, also of who lies; without one, about 0.7 of a box's width.
    shoulders, hips = scene.stance.shoulders, scene.stance.hips
    torso = np.hypot(scene.stance.torso, shoulders.azimuth - hips.azimuth)
    unit = np.where(np.isfinite(torso) & (torso > 0), torso, 0.7 * wide)
    azimuth = (views.box[:, 0] + views.box[:, 1]) / 2
    variance = (_BOX * wide) ** 2 + 1e-6
    everything = tuple(range(roles.joints))
    choices = ((everything, "any"), (roles.torso, "torso"), (roles.hips, ""))
    for joints, offset in choices:  # the best one last
        use = list(joints)
        seen = views.seen[:, use]
        count = seen.sum(axis=1)
        mean = np.where(seen, views.azimuth[:, use], 0.0).sum(axis=1) / np.maximum(count, 1)
        spread = mean_variance(views.azimuth_var[:, use], scene.settings.joint_correlation)
        spread = spread + (_OFFSETS.get(offset, 0.0) * unit) ** 2
        spread = spread + np.where(count == 1, (_ONE_SIDE * unit) ** 2, 0.0)
        better = (count > 0) & ((spread < variance) | (offset == "any"))
        azimuth, variance = np.where(better, mean, azimuth), np.where(better, spread, variance)
    variance = np.where(views.folded, variance + FOLDED_STD**2, variance)
    return Bearings(azimuth, variance)
