# SPDX-License-Identifier: Apache-2.0
"""What is true in a ride: where people are, whom the camera could see, and contacts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.guard.footprint import Footprint
from hrnet_pose_ros.guard_proof.driven_vehicle import STEP, DrivenVehicle
from hrnet_pose_ros.guard_proof.rides import Ride
from hrnet_pose_ros.simulation.scene import SimulatedScene
from hrnet_pose_ros.simulation.sensor import generator_of
from hrnet_pose_ros.simulation.sensor_configs import CameraConfig

# Points across a body, as fractions of its radius, to which lines of sight go.
ACROSS = np.array([-0.9, -0.45, 0.0, 0.45, 0.9])


@dataclass(frozen=True)
class Contact:
    """The first contact: when (s), with whom, the vehicle's speed at that place (m/s)."""

    time: float
    person: str
    speed: float


class RideWorld:
    """The people of a ride on the grid of the vehicle's steps.

    Attributes
    ----------
    names, radii
        N people: their names, and the radii of their cylinders in m.
    walls
        float64 ``[K, 2, 2]`` m: the sides of the obstacles on the ground.
    """

    def __init__(self, ride: Ride, vehicle: DrivenVehicle) -> None:
        scenario = ride.scenario
        scene = SimulatedScene(scenario, generator_of(scenario.seed, "people"))
        self.vehicle = vehicle
        walkers = scene.walkers
        self.names = tuple(one.name for one in walkers)
        self.radii = np.array([one.shape.radius for one in walkers])
        times = np.arange(0.0, scenario.duration + 2 * STEP, STEP)
        tracks = [one.motion(times) for one in walkers]
        self._places = np.stack([place for place, _ in tracks], axis=1)
        self._velocities = np.stack([velocity for _, velocity in tracks], axis=1)
        camera = CameraConfig()
        self._camera = np.array(camera.mount.at[:2])
        self._half_view = math.radians(camera.view) / 2
        self.walls = _walls(scene)

    def people(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Places and velocities ``[N, 2]`` in the world at a time in s."""
        at = min(round(time / STEP), len(self._places) - 1)
        return self._places[at], self._velocities[at]

    def in_base(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Places and velocities over ground ``[N, 2]`` in the base frame at a time in s."""
        places, velocities = self.people(time)
        x, y, yaw, *_ = self.vehicle.state(time)
        turn = np.array([[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]])
        return (places - [x, y]) @ turn, velocities @ turn

    def visible(self, time: float) -> np.ndarray:
        """The part of each person that the camera sees from above, 0 to 1, ``[N]``."""
        x, y, yaw, *_ = self.vehicle.state(time)
        cos, sin = math.cos(yaw), math.sin(yaw)
        eye = np.array([x, y]) + [
            cos * self._camera[0] - sin * self._camera[1],
            sin * self._camera[0] + cos * self._camera[1],
        ]
        places, _ = self.people(time)
        sight = places - eye
        distance = np.maximum(np.linalg.norm(sight, axis=1), 1e-6)
        beside = np.stack([-sight[:, 1], sight[:, 0]], axis=1) / distance[:, None]
        points = places[:, None] + (ACROSS * self.radii[:, None])[..., None] * beside[:, None]
        lines = points - eye
        bearing = np.arctan2(lines[..., 1], lines[..., 0]) - yaw
        inside = np.abs((bearing + np.pi) % (2 * np.pi) - np.pi) < self._half_view
        hidden: np.ndarray = _crosses(eye, points, self.walls)
        for other in range(len(places)):
            nearer = distance > distance[other] + self.radii[other]
            if nearer.any():
                hidden |= np.expand_dims(nearer, 1) & _passes(
                    eye, points, places[other], self.radii[other]
                )
        return np.asarray(inside & ~hidden).mean(axis=1)

    def in_view(self, time: float) -> np.ndarray:
        """Whose middle is in the angle that the camera sees, hidden or not, bool ``[N]``."""
        places, _ = self.in_base(time)
        bearing = np.arctan2(*(places - self._camera).T[::-1])
        return np.abs(bearing) < self._half_view

    def contact(self, time: float) -> Contact | None:
        """The contact of the vehicle with a person now."""
        places, _ = self.in_base(time)
        distances, nearest = distances_to(self.vehicle.footprint, places)
        touching = np.flatnonzero(distances <= self.radii)
        if not touching.size:
            return None
        vx, vy, rate = self.vehicle.twist
        speeds = np.hypot(vx - rate * nearest[:, 1], vy + rate * nearest[:, 0])
        who = int(touching[speeds[touching].argmax()])
        return Contact(time, self.names[who], float(speeds[who]))


def distances_to(footprint: Footprint, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of points ``[N, 2]`` to a footprint, 0 inside, and its nearest points ``[N, 2]``.

    The corners of a polygon are to be in order around it.
    """
    corners = np.asarray(footprint.corners, np.float64)
    if len(corners) == 1:
        away = points - corners[0]
        lengths = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
        nearest = corners[0] + away * np.minimum(footprint.radius / lengths, 1.0)[:, None]
        return np.maximum(lengths - footprint.radius, 0.0), nearest
    ends = np.roll(corners, -1, axis=0)
    edges = ends - corners  # [E, 2]
    from_start = points[:, None] - corners[None]
    part = np.clip((from_start * edges).sum(-1) / (edges**2).sum(-1), 0.0, 1.0)
    foot = corners + part[..., None] * edges
    lengths = np.linalg.norm(points[:, None] - foot, axis=2)
    best = lengths.argmin(axis=1)
    rows = np.arange(len(points))
    crossed = edges[:, 0] * from_start[..., 1] - edges[:, 1] * from_start[..., 0]
    inside = np.logical_or((crossed > 0).all(axis=1), (crossed < 0).all(axis=1))
    distances = np.where(inside, 0.0, np.maximum(lengths[rows, best] - footprint.radius, 0.0))
    return distances, np.where(inside[:, None], points, foot[rows, best])


def _walls(scene: SimulatedScene) -> np.ndarray:
    """The sides of the obstacles' hulls on the ground, ``[K, 2, 2]`` m."""
    found = []
    for corners in scene.obstacle_corners():
        ground = corners[np.argsort(corners[:, 2])[:4], :2]
        middle = ground.mean(axis=0)
        order = np.argsort(np.arctan2(*(ground - middle).T[::-1]))
        ring = ground[order]
        found += [(ring[k], ring[(k + 1) % 4]) for k in range(4)]
    return np.array(found).reshape(-1, 2, 2)


def _crosses(eye: np.ndarray, points: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """Whether the lines from the eye to points ``[N, P, 2]`` meet a wall, bool ``[N, P]``."""
    hidden = np.zeros(points.shape[:2], bool)
    ray = points - eye
    for start, end in walls:
        wall = end - start
        across = ray[..., 0] * wall[1] - ray[..., 1] * wall[0]
        safe = np.where(np.abs(across) < 1e-12, np.nan, across)
        to = start - eye
        along_ray = (to[0] * wall[1] - to[1] * wall[0]) / safe
        along_wall = (to[0] * ray[..., 1] - to[1] * ray[..., 0]) / safe
        hidden |= (along_ray > 0) & (along_ray < 1) & (along_wall >= 0) & (along_wall <= 1)
    return hidden


def _passes(eye: np.ndarray, points: np.ndarray, at: np.ndarray, radius: float) -> np.ndarray:
    """Whether the lines from the eye to points ``[N, P, 2]`` pass through a circle."""
    ray = points - eye
    part = np.clip(((at - eye) * ray).sum(-1) / np.maximum((ray**2).sum(-1), 1e-9), 0, 1)
    return np.linalg.norm(eye + part[..., None] * ray - at, axis=-1) < radius
