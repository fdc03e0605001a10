# SPDX-License-Identifier: Apache-2.0
"""LIDAR, depth camera, laser scanner and ultrasonic sensor, as rays against the scene."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.inputs import DepthImage, LaserScan, PointCloud, UltrasonicRange
from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.simulation.scene import FIRST_PERSON, GROUND, Hits
from hrnet_pose_ros.simulation.sensor import SimulatedSensor
from hrnet_pose_ros.simulation.sensor_configs import (
    DepthConfig,
    LidarConfig,
    ScanConfig,
    UltrasonicConfig,
)

# A sweep is computed at this many instants, between which the world stands still.
LIDAR_INSTANTS, SCAN_INSTANTS = 20, 5
# Where a depth image jumps by more than this many metres, this fraction of the pixels are holes.
EDGE, EDGE_HOLES = 0.15, 0.5
# An ultrasonic sensor hears the ground only within its steep part: rays of rings about the axis.
CONE_RINGS, CONE_RAYS = 4, 12


def pinhole(width: int, height: int, view: float) -> Camera:
    """A camera without distortion with a horizontal view in degrees, centre in the middle.

    >>> round(pinhole(1280, 720, 90.0).fx)
    640
    """
    focal = width / 2 / math.tan(math.radians(view) / 2)
    return Camera(focal, focal, (width - 1) / 2, (height - 1) / 2)


class SweepingSensor(SimulatedSensor):
    """A sensor whose rays are cast one after another during a sweep."""

    def cast_sweep(
        self, time: float, directions: np.ndarray, delays: np.ndarray, instants: int
    ) -> Hits:
        """What rays ``[R, 3]`` of the sensor's frame hit, ``delays`` ``[R]`` s after ``time``."""
        longest = max(float(delays.max()), 1e-9)
        at = np.minimum((delays / longest * instants).astype(int), instants - 1)
        times = time + (np.arange(instants) + 0.5) / instants * longest
        origins, rays = np.empty_like(directions), np.empty_like(directions)
        for k, instant in enumerate(times.tolist()):
            pose = self.vehicle.pose(instant) @ self.mount.true
            rays[at == k] = directions[at == k] @ pose.rotation.T
            origins[at == k] = pose.translation
        return self.scene.cast(origins, rays, self.scene.bodies(times), at)


class SimulatedLidar(SweepingSensor):
    """A spinning LIDAR: stamped at the begin of the sweep, which starts behind the vehicle."""

    def __init__(self, config: LidarConfig, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._config = config
        columns = np.arange(config.columns)
        azimuths = -math.pi - 2 * math.pi * columns / config.columns  # clockwise from above
        elevations = np.radians(np.linspace(config.lowest, config.highest, config.beams))
        a, e = np.meshgrid(azimuths, elevations, indexing="ij")
        rays = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=-1)
        self._rays = rays.reshape(-1, 3)
        self._delays = np.repeat(columns / config.columns / self.timing.rate, config.beams)

    def measure(self, time: float) -> PointCloud:
        """One sweep; beams without a return are NaN."""
        config, generator = self._config, self.generator
        hits = self.cast_sweep(time, self._rays, self._delays, LIDAR_INSTANTS)
        ranges = hits.distances + config.error * generator.standard_normal(len(self._rays))
        seen = (hits.distances >= config.min_range) & (hits.distances <= config.max_range)
        seen &= generator.random(len(self._rays)) >= config.lost
        points = np.where(seen[:, None], self._rays * np.where(seen, ranges, 0)[:, None], np.nan)
        return PointCloud(
            self.stamp(time), self.mount.frame, points.astype(np.float32), self._delays.copy()
        )


class SimulatedScan(SweepingSensor):
    """A planar laser scanner."""

    def __init__(self, config: ScanConfig, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._config = config
        view = math.radians(config.view)
        self._increment = view / (config.beams - 1)
        angles = -view / 2 + self._increment * np.arange(config.beams)
        self._first_angle = float(angles[0])
        self._rays = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
        # The part of the turn that is not seen takes its time too.
        self._beam_time = self._increment / (2 * math.pi) / self.timing.rate

    def measure(self, time: float) -> LaserScan:
        """One turn: +inf without a return, -inf too near, NaN for a lost beam (REP 117)."""
        config, generator = self._config, self.generator
        delays = self._beam_time * np.arange(config.beams)
        distances = self.cast_sweep(time, self._rays, delays, SCAN_INSTANTS).distances
        ranges = distances + config.error * generator.standard_normal(config.beams)
        ranges = np.where(distances > config.max_range, np.inf, ranges)
        ranges = np.where(distances < config.min_range, -np.inf, ranges)
        ranges = np.where(generator.random(config.beams) < config.lost, np.nan, ranges)
        return LaserScan(
            self.stamp(time),
            self.mount.frame,
            angle_min=self._first_angle,
            angle_increment=self._increment,
            ranges=ranges.astype(np.float32),
            range_min=config.min_range,
            range_max=config.max_range,
            time_increment=self._beam_time,
        )


class SimulatedDepth(SimulatedSensor):
    """A stereo depth camera with intrinsics and a mount of its own: not registered."""

    def __init__(self, config: DepthConfig, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.config = config
        self.camera = pinhole(config.width, config.height, config.view)
        x, y = np.meshgrid(np.arange(config.width), np.arange(config.height))
        rays = self.camera.rays(np.stack([x, y], axis=-1)).reshape(-1, 3)
        self._lengths = np.linalg.norm(rays, axis=1)
        self._rays = rays / self._lengths[:, None]

    def measure(self, time: float) -> DepthImage:
        """One image; holes are 0 with 16UC1 and NaN with 32FC1 (REP 118)."""
        config, generator = self.config, self.generator
        pose = self.vehicle.pose(time) @ self.mount.true
        rays = self._rays @ pose.rotation.T
        origins = np.broadcast_to(pose.translation, rays.shape)
        hits = self.scene.cast(origins, rays, self.scene.bodies(np.array([time])))
        true = (hits.distances / self._lengths).reshape(config.height, config.width)
        flat = np.minimum(true, 2 * config.max_range)
        depth = flat + config.error * flat**2 * generator.standard_normal(flat.shape)
        holes = generator.random(flat.shape) < config.holes
        edges = np.zeros(flat.shape, bool)
        edges[:, 1:] |= np.abs(np.diff(flat, axis=1)) > EDGE
        edges[1:] |= np.abs(np.diff(flat, axis=0)) > EDGE
        holes |= edges & (generator.random(flat.shape) < EDGE_HOLES)
        holes |= (true > config.max_range) | (depth < config.min_range)
        holes |= depth > config.max_range
        hole = 0.0 if config.encoding == "16UC1" else np.nan
        if config.encoding == "16UC1":
            depth = np.round(depth * 1000) / 1000
        image = np.where(holes, hole, depth).astype(np.float32)
        return DepthImage(self.stamp(time), self.mount.frame, self.camera, image)


class SimulatedUltrasonic(SimulatedSensor):
    """An ultrasonic sensor: the nearest echo within its cone."""

    def __init__(self, config: UltrasonicConfig, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._config = config
        half = math.radians(config.cone) / 2
        rays = [(1.0, 0.0, 0.0)]
        for ring in range(1, CONE_RINGS + 1):
            off = half * ring / CONE_RINGS
            for turn in 2 * math.pi * (np.arange(CONE_RAYS) + 0.5 * (ring % 2)) / CONE_RAYS:
                rays.append(
                    (math.cos(off), math.sin(off) * math.cos(turn), math.sin(off) * math.sin(turn))
                )
        self._rays = np.array(rays)

    def measure(self, time: float) -> UltrasonicRange:
        """One echo: +inf without one, -inf nearer than the smallest range (REP 117)."""
        config, generator = self._config, self.generator
        pose = self.vehicle.pose(time) @ self.mount.true
        rays = self._rays @ pose.rotation.T
        origins = np.broadcast_to(pose.translation, rays.shape)
        hits = self.scene.cast(origins, rays, self.scene.bodies(np.array([time])))
        # Flat ground reflects away from the sensor; clothes swallow some echoes.
        heard = hits.what != GROUND
        if generator.random() < config.missed:
            heard &= hits.what < FIRST_PERSON
        noise = config.error * generator.standard_normal()
        nearest = float(hits.distances[heard].min(initial=math.inf))
        value = nearest + noise
        if nearest > config.max_range:
            value = math.inf
        elif nearest < config.min_range:
            value = -math.inf
        return UltrasonicRange(
            self.stamp(time),
            self.mount.frame,
            field_of_view=math.radians(config.cone),
            range=value,
            min_range=config.min_range,
            max_range=config.max_range,
        )
