# SPDX-License-Identifier: Apache-2.0
"""LIDAR cloud: the points on the torso; far away, where few beams hit, on the whole body."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.body import SURFACE_TO_AXIS
from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.cues.regions import Clusters, Lines, Regions
from hrnet_pose_ros.fusion.cues.returns import returns_of, towards_people
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
# The angle between beams is measured on one of so many clouds.
STEP_EVERY = 100


class LidarCloud(ReturnsCue[PointCloud]):
    """Finds a person among the points of a cloud, each at its own time where the cloud has it."""

    name = "lidar"
    source = Source.LIDAR
    kinds = 2

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
        # Computed as [3, M], of which each coordinate is contiguous: four times as fast.
        level = place.rotation.astype(np.float32) @ points.T
        level = (level + place.translation.astype(np.float32)[:, None]).T
        # Those of other directions are not moved: it takes longer than anything else here.
        some = towards_people(level, scene, MOVED)
        times = None if measurement.times is None else measurement.times[some]
        level = scene.ego.carry(level[some], measurement.stamp, scene.stamp, times)
        self.returns = returns_of(level, scene, scene.settings.lidar_max_range, times)

    def _regions(self, scene: Scene, kind: int, asked: np.ndarray) -> Regions:
        lines, margin = self._lines.turned(self.alignment.azimuth), scene.mount_margin
        if kind == 0:
            return Regions.strips(self.returns, lines, asked, margin, least=3)
        top, bottom = lines.top[:, 1], lines.bottom[:, 1]
        feet = np.maximum(scene.views.box[:, 2], top - 3 * (top - bottom))
        below = np.stack([lines.bottom[:, 0], feet], axis=1)
        whole = Lines(lines.top, below, lines.half_width)
        return Regions.strips(self.returns, whole, asked, margin, least=2, noise=LEGS_STD)

    def _axes(self, scene: Scene, clusters: Clusters) -> tuple[np.ndarray, np.ndarray]:
        sizes, ranges = clusters.of.sizes, self.returns.range
        # A normal distribution's quartiles are 1.35 standard deviations apart.
        quartiles = [ranges[clusters.element(k * sizes // 4)] for k in (1, 3)]
        spread = (quartiles[1] - quartiles[0]) / 1.35 / np.sqrt(sizes)
        noise = np.hypot(scene.settings.lidar_noise, spread)
        return clusters.median(ranges) + SURFACE_TO_AXIS, noise
