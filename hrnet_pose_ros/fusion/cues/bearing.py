# SPDX-License-Identifier: Apache-2.0
"""Bearing: the azimuth of the middle of the hips, or of what is seen of the torso.

Somebody whom the image's left or right border cuts off is further out than the middle of what is
seen: the hip or shoulder that is missing is the one outside. Without this rule, people who leave
the view seem to step towards its middle.
"""

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
# Of people whom a side of the image cuts off. Half the breadth of hips or shoulders as seen, in
# torso lengths: 0.19 and 0.28 in the mean, each 0.1 to 0.4. And from the side of a box to the
# middle of the hips, in heights of the box: 0.25 ± 0.14 for those who are seen down to the ankles,
# 0.29 ± 0.17 for others (305 people with upright torsos, whole in width, in images of COCO).
_HALF_BREADTH, _HALF_BREADTH_STD = 0.23, 0.12
_HALF_WIDTH, _HALF_WIDTH_STD = 0.26, 0.15


@dataclass(frozen=True)
class Bearings:
    """Azimuths of N persons from the camera's heading, float64 ``[N]`` rad, and variances, rad²."""

    azimuth: np.ndarray
    variance: np.ndarray


def bearings_of(scene: Scene) -> Bearings:
    """Return a bearing for every person: joints if there are any, else the detector's box."""
    views, roles = scene.views, scene.roles
    sides, outward = views.box[:, :2], views.outward
    wide, tall = np.abs(sides[:, 0] - sides[:, 1]), views.box[:, 3] - views.box[:, 2]
    cut = outward != 0
    # The torso's length in the image, also of who lies. Without one, about 0.7 of a box's width, or
    # a third of the height of a box that is cut off at a side.
    shoulders, hips = scene.stance.shoulders, scene.stance.hips
    torso = np.hypot(scene.stance.torso, shoulders.azimuth - hips.azimuth)
    by_box = np.where(cut, np.maximum(0.7 * wide, 0.35 * tall), 0.7 * wide)
    unit = np.where(np.isfinite(torso) & (torso > 0), torso, by_box)
    half = np.where(cut, np.maximum(_HALF_WIDTH * tall, wide / 2), wide / 2)
    # From the side of the box that is inside of the image: the right one if the left one is cut.
    azimuth = np.where(outward > 0, sides.min(axis=1) + half, sides.max(axis=1) - half)
    variance = (_BOX * wide) ** 2 + 1e-6
    variance = np.where(cut, np.maximum(variance, (_HALF_WIDTH_STD * tall) ** 2), variance)
    everything = tuple(range(roles.joints))
    choices = ((everything, "any"), (roles.torso, "torso"), (roles.hips, ""))
    for joints, offset in choices:  # the best one last
        use = list(joints)
        seen = views.seen[:, use] & ~views.at_side[:, use]
        count = seen.sum(axis=1)
        mean = np.where(seen, views.azimuth[:, use], 0.0).sum(axis=1) / np.maximum(count, 1)
        spread = mean_variance(
            np.where(seen, views.azimuth_var[:, use], np.nan), scene.settings.joint_correlation
        )
        spread = spread + (_OFFSETS.get(offset, 0.0) * unit) ** 2
        # The mean of inner joints lies inwards by half the breadth.
        inner = np.minimum((len(use) - count) / np.maximum(count, 1), 1.0) * unit
        mean = mean + outward * _HALF_BREADTH * inner
        one_side = np.where(cut, _HALF_BREADTH_STD * inner, (count == 1) * _ONE_SIDE * unit)
        spread = spread + one_side**2
        better = (count > 0) & ((spread < variance) | ((offset == "any") & ~cut))
        azimuth, variance = np.where(better, mean, azimuth), np.where(better, spread, variance)
    variance = np.where(views.folded, variance + FOLDED_STD**2, variance)
    return Bearings(azimuth, variance)
