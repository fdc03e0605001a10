# SPDX-License-Identifier: Apache-2.0
"""Depth image: the pixels on the torso, and the depth at the joints."""

from __future__ import annotations

import numpy as np

from hrnet_pose_ros.fusion.body import SURFACE_TO_AXIS
from hrnet_pose_ros.fusion.cues.cue import Scene
from hrnet_pose_ros.fusion.cues.regions import Clusters, Regions
from hrnet_pose_ros.fusion.cues.returns import returns_of
from hrnet_pose_ros.fusion.cues.returns_cue import ReturnsCue
from hrnet_pose_ros.fusion.inputs import DepthImage
from hrnet_pose_ros.fusion.refusals import Source
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.transforms import Transform, wrap
from hrnet_pose_ros.pose.camera import Camera

# A depth image is thinned to about this many pixels.
PIXELS = 20_000


class DepthImageCue(ReturnsCue[DepthImage]):
    """Finds a person among the pixels of a depth image, registered to the camera or not."""

    name = "depth"
    source = Source.DEPTH

    def __init__(self, settings: FusionSettings) -> None:
        super().__init__(settings)
        self._rays: tuple[Camera, tuple[int, ...], np.ndarray, float] | None = None
        self._sides = np.zeros(2)

    def _sound(self, measurement: DepthImage) -> bool:
        depth = measurement.depth
        return depth.size > 0 and np.issubdtype(depth.dtype, np.floating)

    def _prepare(self, scene: Scene, measurement: DepthImage, place: Transform) -> None:
        step = max(1, int(np.ceil(np.sqrt(measurement.depth.size / PIXELS))))
        depth = measurement.depth[step // 2 :: step, step // 2 :: step]
        rays = self._rays_of(measurement.camera, measurement.depth.shape, step)
        with np.errstate(invalid="ignore"):
            good = (depth > 0) & (depth < scene.settings.depth_max_range)
        points = rays[good] * depth[good][:, None].astype(np.float32)
        level = points @ place.rotation.T.astype(np.float32) + place.translation.astype(np.float32)
        level = scene.ego.carry(level, measurement.stamp, scene.stamp)
        self.returns = returns_of(level, scene, scene.settings.depth_max_range)
        # The azimuths of the image's left and right side, as seen from far away.
        edge = rays[rays.shape[0] // 2, [0, -1]] @ place.rotation.T
        turn = scene.ego.between(measurement.stamp, scene.stamp).yaw - scene.views.heading
        self._sides = wrap(np.arctan2(edge[:, 1], edge[:, 0]) + turn)

    def _rays_of(self, camera: Camera, shape: tuple[int, ...], step: int) -> np.ndarray:
        """Return the rays of the thinned pixels, float32 ``[h, w, 3]``, made once per camera."""
        if self._rays is None or self._rays[:2] != (camera, shape):
            y, x = np.mgrid[step // 2 : shape[0] : step, step // 2 : shape[1] : step]
            rays = camera.rays(np.stack([x, y], axis=-1)).astype(np.float32)
            line = rays[rays.shape[0] // 2]
            angle = np.arctan2(line[:, 0], line[:, 2])
            steps = np.diff(angle[np.isfinite(angle)])
            pitch = float(np.median(np.abs(steps))) if len(steps) else 0.0
            self._rays = (camera, shape, rays, pitch)
        self.step = self._rays[3]
        return self._rays[2]

    def _in_view(self, scene: Scene) -> np.ndarray:
        left, right = self._sides.tolist()
        if not left >= right:  # not known: fisheye, or around the back
            return super()._in_view(scene)
        middle = scene.views.box[:, :2].mean(axis=1)
        return np.asarray((right < middle) & (middle < left))

    def _regions(self, scene: Scene, kind: int, asked: np.ndarray) -> Regions:
        lines = self._lines.turned(self.alignment.azimuth)
        return Regions.strips(self.returns, lines, asked, scene.mount_margin, least=6)

    def _axes(self, scene: Scene, clusters: Clusters) -> tuple[np.ndarray, np.ndarray]:
        surface = clusters.median(self.returns.range)
        return surface + SURFACE_TO_AXIS, scene.settings.depth_noise * surface**2 + 0.01

    def joint_ranges(self, scene: Scene, person: int, body: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the horizontal range of each joint's surface and its variance, ``[J]``, NaN: none.

        Parameters
        ----------
        scene
            The scene that was measured last.
        person
            Index of the person.
        body
            The range of the person's axis, m: depths further than 0.8 m from it are other things.
        """
        views, returns = scene.views, self.returns
        found = np.full((2, scene.roles.joints), np.nan)
        seen = np.flatnonzero(views.seen[person])
        if not len(seen):
            return found[0], found[1]
        near = 0.06 / body  # 6 cm about the joint, as an angle
        left, right = views.azimuth[person, seen].min(), views.azimuth[person, seen].max()
        these = np.flatnonzero(
            (returns.azimuth > left - near)
            & (returns.azimuth < right + near)
            & (np.abs(returns.range - body) < 0.8)
        )
        azimuth = returns.azimuth[these] - views.azimuth[person, seen][:, None]
        slope = returns.slope[these] - views.slope[person, seen][:, None]
        close = azimuth**2 + slope**2 < near**2  # [S, K]
        for joint, own in zip(seen, close, strict=True):
            if own.sum() >= 2:
                ranges = returns.range[these[own]]
                found[0, joint] = np.median(ranges)
                noise = scene.settings.depth_noise * found[0, joint] ** 2 + 0.01
                found[1, joint] = noise**2 + float(ranges.var()) + self.waiting_variance(scene)
        return found[0], found[1]
