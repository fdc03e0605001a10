# SPDX-License-Identifier: Apache-2.0
"""Laser scan: the beams of a plane that cuts the body, at the legs or at the torso."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.body import LEG_RADIUS, SURFACE_TO_AXIS
from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.cues.regions import Clusters, Regions
from hrnet_pose_ros.fusion.cues.returns import returns_of
from hrnet_pose_ros.fusion.cues.returns_cue import ReturnsCue
from hrnet_pose_ros.fusion.cues.segments import Segments
from hrnet_pose_ros.fusion.inputs import LaserScan
from hrnet_pose_ros.fusion.refusals import Source
from hrnet_pose_ros.fusion.transforms import Transform

# Returns up to this far beside the bearing are those of the person, m.
HALF_WIDTH = 0.3
# A plane above this height cuts the torso, below it the legs, m.
CROTCH = 0.8
# The middle of both legs' surfaces against the body's axis while walking, m.
LEGS_STD = 0.08


class LaserScanCue(ReturnsCue[LaserScan]):
    """Finds a person among the beams of a scan: the middle between the nearer and further leg."""

    name = "scan"
    source = Source.SCAN
    gap = 0.6  # a stride: both legs are one cluster
    thinnest = 0.2  # one leg is as thin as a pole: only both, or a torso, are a person
    thin_rivals = True
    opaque = False
    band = np.inf  # there is one beam

    def _sound(self, measurement: LaserScan) -> bool:
        m = measurement
        numbers = (m.angle_min, m.angle_increment, m.time_increment)
        return bool(np.isfinite(numbers).all()) and m.angle_increment != 0 and len(m.ranges) > 0

    def _prepare(self, scene: Scene, measurement: LaserScan, place: Transform) -> None:
        beams = np.arange(len(measurement.ranges))
        angles = measurement.angle_min + beams * measurement.angle_increment
        ranges = measurement.ranges.astype(np.float64)
        with np.errstate(invalid="ignore"):
            good = np.isfinite(ranges) & (ranges > max(measurement.range_min, 0.0))
            good &= ranges <= measurement.range_max
        x, y = ranges[good] * np.cos(angles[good]), ranges[good] * np.sin(angles[good])
        level = place.apply(np.stack([x, y, np.zeros(len(x))], axis=1))
        times = None
        if measurement.time_increment:
            times = beams[good] * measurement.time_increment
        level = scene.ego.carry(level, measurement.stamp, scene.stamp, times)
        # A plane above the ground meets it far away, if at all.
        self.returns = returns_of(
            level, scene, scene.settings.scan_max_range, times, ground_stds=0.0
        )
        self.step = abs(measurement.angle_increment)
        self._legs = place.translation[2] - scene.ground < CROTCH

    def _regions(self, scene: Scene, kind: int, asked: np.ndarray) -> Regions:
        returns, margin = self.returns, scene.mount_margin
        off = self._azimuth + self.alignment.azimuth
        away = np.abs(returns.azimuth[None] - off[:, None])
        inside = ((away - margin) * returns.range < HALF_WIDTH) & asked[:, None]
        of, indices = Segments(inside.sum(axis=1)), np.nonzero(inside)[1]
        share = np.full(len(off), 0.3)  # of legs, which are narrow
        return Regions(of, indices, least=2, share=share)

    def _axes(self, scene: Scene, clusters: Clusters) -> tuple[np.ndarray, np.ndarray]:
        noise, ranges = scene.settings.scan_noise, self.returns.range
        if not self._legs:
            return clusters.median(ranges) + SURFACE_TO_AXIS, np.full(len(clusters), noise)
        first = ranges[clusters.element(np.zeros_like(clusters.of.sizes))].astype(np.float64)
        middle = (first + ranges[clusters.element(clusters.of.sizes - 1)]) / 2
        return middle + LEG_RADIUS, np.full(len(clusters), np.hypot(noise, LEGS_STD))
