# SPDX-License-Identifier: Apache-2.0
"""A small synthetic scene for the fusion of people: walking stick figures, seen by every sensor.

It is drawn from the error model that the fusion assumes, so that its consistency can be checked;
how real errors differ is the simulator's business. Only NumPy, seconds for hundreds of images.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hrnet_pose_ros.fusion.inputs import (
    DepthImage,
    ImuSample,
    LaserScan,
    OdometrySample,
    PointCloud,
    Skeletons,
)
from hrnet_pose_ros.fusion.transforms import (
    OPTICAL_TO_BODY,
    FixedExtrinsics,
    Transform,
    rotation_rpy,
)
from hrnet_pose_ros.pose.camera import Camera
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import COCO17

START = 1_000_000_000_000
CAMERA = Camera(1000.0, 1000.0, 960.0, 540.0)
SIZE = (1920, 1080)
HEIGHT = 1.5  # of the camera, m
PLACE = Transform(OPTICAL_TO_BODY, np.array([0.0, 0.0, HEIGHT]))
LIDAR_PLACE = Transform(np.eye(3), np.array([0.0, 0.0, 1.7]))
SCAN_PLACE = Transform(np.eye(3), np.array([0.1, 0.0, 0.3]))
EXTRINSICS = FixedExtrinsics(
    {
        "camera": PLACE,
        "lidar": LIDAR_PLACE,
        "laser": SCAN_PLACE,
        "imu": Transform.identity(),
        "sonar": Transform(np.eye(3), np.array([0.3, 0.0, 0.4])),
    }
)

# Levels (fraction of the stature), sideways and forward (fraction) of COCO's joints; left is +.
_LEVELS = np.array(
    [0.910, 0.936, 0.936, 0.936, 0.936, 0.818, 0.818, 0.63, 0.63, 0.485, 0.485, 0.53, 0.53]
    + [0.285, 0.285, 0.039, 0.039]
)
_SIDES = np.array(
    [0, 0.02, -0.02, 0.045, -0.045, 0.1175, -0.1175, 0.13, -0.13, 0.13, -0.13, 0.06, -0.06]
    + [0.05, -0.05, 0.05, -0.05]
)
_FORWARD = np.array([0.08, 0.07, 0.07, 0.01, 0.01] + [0.0] * 12)


def figure(
    at: tuple[float, float], stature: float = 1.7, heading: float = np.pi, posture: str = "upright"
) -> np.ndarray:
    """The joints ``[17, 3]`` of a person on the ground, in the base frame."""
    up, side, forward = _LEVELS * stature, _SIDES * stature, _FORWARD * stature
    up[15:] = 0.08  # ankles, as the fusion takes them
    if posture == "sitting":
        up[:13] -= (0.53 - 0.285) * stature
        forward[13:] += 0.25 * stature
    if posture == "lying":
        side, up = up - 0.53 * stature, np.full(COCO17.joints, 0.12) + 0.5 * side
        forward = np.zeros(COCO17.joints)
    c, s = np.cos(heading), np.sin(heading)
    x, y = at[0] + c * forward - s * side, at[1] + s * forward + c * side
    return np.stack([x, y, up], axis=1)


def project(points: np.ndarray, base_to_camera: Transform) -> np.ndarray:
    """Pixels ``[..., 2]`` of points of the base frame."""
    p = base_to_camera.apply(points)
    x = CAMERA.fx * p[..., 0] / p[..., 2] + CAMERA.cx
    return np.stack([x, CAMERA.fy * p[..., 1] / p[..., 2] + CAMERA.cy], axis=-1)


def skeletons(
    figures: list[np.ndarray],
    stamp: int = START,
    *,
    noise: np.ndarray | float = 0.0,
    std: float = 1.0,
    pitch: float = 0.0,
    ids: tuple[str, ...] = (),
    hidden: tuple[int, ...] = (),
) -> Skeletons:
    """The image of some figures: ``noise`` [N, 17, 2] px is added, ``std`` px is claimed.

    ``pitch`` is how much the camera really looks down more than the extrinsics say, rad.
    """
    n = len(figures)
    really = Transform(rotation_rpy(0, pitch, 0) @ PLACE.rotation, PLACE.translation)
    joints = np.array(figures).reshape(n, COCO17.joints, 3)
    pixels = project(joints, really.inverse()) + noise
    valid = np.ones((n, COCO17.joints), bool)
    valid[:, list(hidden)] = False
    low, high = pixels.min(axis=1) - 5, pixels.max(axis=1) + 5
    boxes = np.concatenate([low, high - low], axis=1) if n else np.zeros((0, 4))
    poses = Poses(
        keypoints=np.where(valid[..., None], pixels, np.nan).astype(np.float32),
        scores=np.where(valid, 0.8, 0.0).astype(np.float32),
        covariances=np.where(valid[..., None, None], std**2 * np.eye(2), np.nan).astype(np.float32),
        valid=valid,
    )
    return Skeletons(stamp, "camera", CAMERA, SIZE, poses, boxes, ids or ("",) * n, np.full(n, 0.9))


def cylinder_hits(
    origin: np.ndarray, directions: np.ndarray, places: np.ndarray, radius: float, top: float
) -> np.ndarray:
    """Distances ``[M]`` along unit rays to the nearest of some upright cylinders; inf: none."""
    d2 = directions[:, :2]
    a = np.maximum((d2**2).sum(axis=1), 1e-12)
    best = np.full(len(directions), np.inf)
    for place in np.atleast_2d(places):
        m = place[:2] - origin[:2]
        b = d2 @ m
        inside = b**2 - a * (m @ m - radius**2)
        t = (b - np.sqrt(np.maximum(inside, 0.0))) / a
        z = origin[2] + t * directions[:, 2]
        hit = (inside > 0) & (t > 0) & (z > 0) & (z < top)
        best = np.where(hit & (t < best), t, best)
    return best


def _beams(rings: np.ndarray, step: float) -> np.ndarray:
    azimuth = np.deg2rad(np.arange(-60, 60, step))
    e, a = np.meshgrid(np.deg2rad(rings), azimuth, indexing="ij")
    return np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1).reshape(-1, 3)


BEAMS = _beams(np.arange(-15, 16, 2.0), 0.4)


def cloud(
    places: np.ndarray,
    stamp: int,
    rng: np.random.Generator,
    radius: float = 0.12,
    objects: tuple[tuple[float, float, float, float], ...] = (),
) -> PointCloud:
    """A 16-beam sweep of persons and of ``objects`` (x, y, radius, height)."""
    origin = LIDAR_PLACE.translation
    hits = cylinder_hits(origin, BEAMS, places, radius, 1.6)
    for x, y, size, top in objects:
        hits = np.minimum(hits, cylinder_hits(origin, BEAMS, np.array([[x, y]]), size, top))
    hits = hits + rng.normal(0, 0.02, len(hits))
    points = (BEAMS * np.where(np.isfinite(hits), hits, np.nan)[:, None]).astype(np.float32)
    return PointCloud(stamp, "lidar", points)


DEPTH_CAMERA = Camera(125.0, 125.0, 80.0, 60.0)


def depth_image(
    places: np.ndarray,
    stamp: int,
    rng: np.random.Generator,
    radius: float = 0.12,
    wall: float = 0.0,
    noise: float = 0.002,
) -> DepthImage:
    """A depth image of 160x120 from the camera's place, with intrinsics of its own."""
    y, x = np.mgrid[0:120, 0:160]
    rays = DEPTH_CAMERA.rays(np.stack([x, y], -1)).reshape(-1, 3) @ PLACE.rotation.T
    length = np.linalg.norm(rays, axis=1)
    hits = cylinder_hits(PLACE.translation, rays / length[:, None], places, radius, 1.6) / length
    if wall:
        hits = np.minimum(hits, wall)
    # One error for each person's surface: stereo noise is correlated over the image.
    hits = hits + noise * np.where(np.isfinite(hits), hits, 0.0) ** 2 * rng.normal()
    depth = np.where(np.isfinite(hits), hits, 0.0).astype(np.float32).reshape(120, 160)
    return DepthImage(stamp, "camera", DEPTH_CAMERA, depth)


def scan(places: np.ndarray, stamp: int, rng: np.random.Generator) -> LaserScan:
    """A scan at 0.3 m: two legs per person."""
    angles = np.linspace(-1.5, 1.5, 1001)
    beams = np.stack([np.cos(angles), np.sin(angles), np.zeros(len(angles))], 1)
    legs = np.concatenate([np.atleast_2d(places) + [0.0, d] for d in (0.1, -0.1)])
    hits = cylinder_hits(SCAN_PLACE.translation, beams, legs, 0.06, 1.0)
    ranges = (hits + rng.normal(0, 0.02, len(hits))).astype(np.float32)
    return LaserScan(stamp, "laser", -1.5, 0.003, ranges, 0.05, 30.0)


def imu(stamp: int, tilt: np.ndarray | None = None, rate: float = 0.0) -> ImuSample:
    """An IMU on a base that is tilted by a rotation (base to level)."""
    up = np.array([0.0, 0.0, 9.81]) if tilt is None else tilt.T @ [0.0, 0.0, 9.81]
    return ImuSample(stamp, "imu", np.array([0.0, 0.0, rate]), up)


def odometry(stamp: int, x: float = 0.0, yaw: float = 0.0, speed: float = 0.0) -> OdometrySample:
    """A base at (x, 0) with a yaw and a forward speed."""
    q = np.array([0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])
    zero = np.zeros(3)
    return OdometrySample(stamp, np.array([x, 0.0, 0.0]), q, np.array([speed, 0, 0.0]), zero)


@dataclass
class Walkers:
    """People who walk with constant velocity plus white-noise acceleration, 5 to 15 m ahead."""

    rng: np.random.Generator
    count: int = 4
    density: float = 0.3
    near: float = 5.0
    far: float = 15.0
    place: np.ndarray = field(init=False)
    velocity: np.ndarray = field(init=False)
    stature: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        r = self.rng.uniform(self.near, self.far, self.count)
        lanes = np.linspace(-0.5, 0.5, self.count + 1)
        azimuth = lanes[:-1] + self.rng.uniform(0.05, 0.2, self.count) / self.count
        self.place = np.stack([r * np.cos(azimuth), r * np.sin(azimuth)], 1)
        self.velocity = self.rng.normal(0, 0.5, (self.count, 2))
        self.stature = np.clip(self.rng.normal(1.7, 0.098, self.count), 1.45, 1.98)

    def step(self, dt: float) -> None:
        kick = self.rng.normal(0, np.sqrt(self.density * dt), self.place.shape)
        self.place = self.place + dt * (self.velocity + kick / 2)
        self.velocity = self.velocity + kick

    def figures(self) -> list[np.ndarray]:
        return [
            figure(tuple(p), s, float(np.arctan2(v[1], v[0])))
            for p, v, s in zip(self.place, self.velocity, self.stature, strict=True)
        ]
