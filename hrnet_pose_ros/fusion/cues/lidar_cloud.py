# SPDX-License-Identifier: Apache-2.0
"""LIDAR cloud: the points on the torso; far away, where few beams hit, on the whole body."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from hrnet_pose_ros.fusion.body import SURFACE_TO_AXIS
from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.cues.returns import (
    Region,
    median,
    returns_of,
    share_of,
    strip,
    towards_people,
)
from hrnet_pose_ros.fusion.cues.returns_cue import ReturnsCue
from hrnet_pose_ros.fusion.cues.things import angular_step
from hrnet_pose_ros.fusion.inputs import PointCloud
from hrnet_pose_ros.fusion.refusals import Source
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.transforms import Transform

# The middle of the returns of a whole body against its axis, m: legs swing.
LEGS_STD = 0.10
# The most that the base turns between the cloud and the image, rad.
MOVED = 0.2
# The angle between beams is measured on every so manieth cloud.
STEP_EVERY = 100


class LidarCloud(ReturnsCue[PointCloud]):
    """Finds a person among the points of a cloud, each at its own time where the cloud has it."""

    name = "lidar"
    source = Source.LIDAR

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        self._clouds = 0

    def _sound(self, measurement: PointCloud) -> bool:
        times = measurement.times
        return times is None or bool(np.isfinite(times).all() and (np.abs(times) < 1).all())

    def _prepare(self, scene: Scene, measurement: PointCloud, place: Transform) -> None:
        points = measurement.points.astype(np.float32, copy=False)
        if self._clouds % STEP_EVERY == 0 or not self.step:
            finite = points[np.isfinite(points).all(axis=1)]
            across = np.hypot(finite[:, 0], finite[:, 1])
            elevation = np.arctan2(finite[:, 2], across)
            self.step = angular_step(np.arctan2(finite[:, 1], finite[:, 0]), elevation)
        self._clouds += 1
        level = points @ place.rotation.T.astype(np.float32) + place.translation.astype(np.float32)
        # Those of other directions are not moved: it takes longer than anything else here.
        some = towards_people(level, scene, MOVED)
        times = None if measurement.times is None else measurement.times[some]
        level = scene.ego.carry(level[some], measurement.stamp, scene.stamp, times)
        self.returns = returns_of(level, scene, scene.settings.lidar_max_range, times)

    def _regions(self, scene: Scene, person: int) -> Iterator[Region]:
        top, bottom, half_width = self._torso(person)
        margin = scene.mount_margin
        share = share_of(top, bottom, half_width, margin)
        yield Region(strip(self.returns, top, bottom, half_width, margin), 3, share)
        feet = max(float(scene.views.box[person, 2]), float(top[1] - 3 * (top[1] - bottom[1])))
        below = np.array([bottom[0], feet])
        share = share_of(top, below, half_width, margin)
        yield Region(strip(self.returns, top, below, half_width, margin), 2, share, LEGS_STD)

    def _axis(self, scene: Scene, ranges: np.ndarray) -> tuple[float, float, float]:
        n = len(ranges)
        # A normal distribution's quartiles are 1.35 standard deviations apart.
        spread = float(ranges[3 * n // 4] - ranges[n // 4]) / 1.35 / math.sqrt(n)
        noise = math.hypot(scene.settings.lidar_noise, spread)
        return median(ranges) + SURFACE_TO_AXIS, noise, 1.0
