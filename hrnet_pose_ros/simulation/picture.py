# SPDX-License-Identifier: Apache-2.0
"""A picture of the scene as the simulated camera sees it, for people to look at.

It is drawn from simple shapes and is no input for a pose network.
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from hrnet_pose_ros.fusion.transforms import Transform
from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.simulation.body import CAPSULES, POINT_NAMES
from hrnet_pose_ros.simulation.scene import SimulatedScene
from hrnet_pose_ros.simulation.skeleton_sensor import NEAREST_DEPTH, SimulatedCamera
from hrnet_pose_ros.simulation.vehicle import MovingVehicle

SKY, GROUND, THING, SKIN = (225, 215, 200), (120, 125, 125), (150, 150, 165), (140, 170, 215)
GRID_STEP, GRID_FAR = 2.0, 40.0  # m: lines on the ground
FADE = 25.0  # m: at this distance colours have gone half to grey


def draw_scene(
    scene: SimulatedScene, vehicle: MovingVehicle, camera: SimulatedCamera, time: float
) -> np.ndarray:
    """The picture at ``time`` s, uint8 BGR ``[H, W, 3]``."""
    width, height = camera.image_size
    to_camera = (vehicle.pose(time) @ camera.mount.true).inverse()
    picture = np.full((height, width, 3), SKY, np.uint8)
    _draw_ground(picture, camera.camera, to_camera, vehicle.level_pose(time).translation)
    shapes: list[tuple[float, np.ndarray, tuple[float, ...]]] = []
    for corners in scene.obstacle_corners():
        local = to_camera.apply(corners)
        if (local[:, 2] > NEAREST_DEPTH).all():
            shapes.append((float(local[:, 2].mean()), _pixels(local, camera.camera), THING))
    bodies = scene.bodies(np.array([time]))
    for person in range(bodies.count):
        starts = to_camera.apply(bodies.starts[0, person])
        ends = to_camera.apply(bodies.ends[0, person])
        for number, radius in enumerate(bodies.radii[person]):
            a, b = starts[number], ends[number]
            if min(a[2], b[2]) > NEAREST_DEPTH:
                hull = _capsule_outline(a, b, float(radius), camera.camera)
                shapes.append((float((a + b)[2] / 2), hull, _colour(person, number)))
    for depth, outline, colour in sorted(shapes, key=lambda shape: -shape[0]):
        near = FADE / (FADE + depth)
        faded = [near * value + (1 - near) * grey for value, grey in zip(colour, SKY, strict=True)]
        hull = cv2.convexHull(np.round(outline * 16).astype(np.int32))
        cv2.fillConvexPoly(picture, hull, faded, cv2.LINE_AA, 4)
        edge = [0.7 * value for value in faded]
        cv2.polylines(picture, [hull], True, edge, 1, cv2.LINE_AA, 4)
    return picture


def _draw_ground(
    picture: np.ndarray, camera: Camera, to_camera: Transform, centre: np.ndarray
) -> None:
    ahead = to_camera.rotation[2, :2] / np.linalg.norm(to_camera.rotation[2, :2])
    aside = np.array([ahead[1], -ahead[0]])
    far = [centre[:2] + 1e4 * ahead + side * 1e4 * aside for side in (-1, 1)]
    horizon = _pixels(to_camera.apply([[*point, 0.0] for point in far]), camera)
    below = np.array([[picture.shape[1] + 1e4, 1e4], [-1e4, 1e4]])
    cv2.fillConvexPoly(picture, np.concatenate([horizon, below]).astype(np.int32), GROUND)
    start = np.floor(centre / GRID_STEP) * GRID_STEP
    steps = np.arange(-GRID_FAR, GRID_FAR + 1e-6, GRID_STEP)
    along = np.arange(-GRID_FAR, GRID_FAR, 0.5)
    for offset in steps:
        for line in (
            np.stack([along, np.full_like(along, offset), 0 * along], axis=1),
            np.stack([np.full_like(along, offset), along, 0 * along], axis=1),
        ):
            local = to_camera.apply(line + [start[0], start[1], 0])
            seen = local[local[:, 2] > 0.5]
            if len(seen) > 1:
                pixels = np.clip(_pixels(seen, camera), -3e4, 3e4).astype(np.int32)
                cv2.polylines(picture, [pixels], False, (105, 110, 110), 1, cv2.LINE_AA)


def _capsule_outline(a: np.ndarray, b: np.ndarray, radius: float, camera: Camera) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    return _pixels(np.concatenate([a + circle, b + circle]), camera)


def _pixels(local: np.ndarray, camera: Camera) -> np.ndarray:
    plane = local[:, :2] / local[:, 2:]
    return plane * [camera.fx, camera.fy] + [camera.cx, camera.cy]


def _colour(person: int, capsule: int) -> tuple[float, ...]:
    """Each person has clothes of one hue; head and hands are skin, the legs darker."""
    name = _CAPSULE_PARTS[capsule]
    if name == "skin":
        return SKIN
    bright = 0.8 if name == "trunk" else 0.5
    red, green, blue = colorsys.hsv_to_rgb(person * 0.381966 % 1.0, 0.55, bright)
    return (255 * blue, 255 * green, 255 * red)


def _parts() -> list[str]:
    parts = []
    for a, b in CAPSULES:
        ends = POINT_NAMES[a] + POINT_NAMES[b]
        if "head" in ends or "hand" in ends:
            parts.append("skin")
        else:
            legs = any(word in ends for word in ("knee", "ankle", "heel"))
            parts.append("legs" if legs else "trunk")
    return parts


_CAPSULE_PARTS = _parts()
