# SPDX-License-Identifier: Apache-2.0
"""Camera, detector and pose network in one: true projections plus measured errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.simulation.body import CAPSULE_RADII, CAPSULES, JOINTS, POINT_NAMES
from hrnet_pose_ros.simulation.range_sensors import pinhole
from hrnet_pose_ros.simulation.residuals import (
    ABSENT,
    HIDDEN,
    VISIBLE,
    KeypointResiduals,
    ResidualSampler,
    person_size,
)
from hrnet_pose_ros.simulation.sensor import SimulatedSensor, generator_of
from hrnet_pose_ros.simulation.sensor_configs import CameraConfig

NEAREST_DEPTH = 0.1  # m: nearer points are not projected
# A body's own surface lies up to this many statures in front of its joints.
OWN_DEPTH = 0.09
# Detection: certain from this visible fraction of the body on, impossible below that one.
SURE, BLIND = 0.5, 0.15
FORGOTTEN = 1.0  # s without detection after which a person gets another id of the detector

# COCO does not label points of the face that the head itself hides: nose, eyes, ears.
FACE_JOINTS = 5

# The radius about each point of the body, in statures.
_RADII = np.zeros(len(POINT_NAMES))
for _ends, _radius in zip(CAPSULES, CAPSULE_RADII, strict=True):
    _RADII[_ends] = np.maximum(_RADII[_ends], _radius)


@dataclass(frozen=True)
class PersonView:
    """A person as the camera truly sees them.

    Attributes
    ----------
    person
        Index of the walker.
    pixels
        float ``[17, 2]`` px; NaN behind the camera.
    visibility
        uint8 ``[17]``: `ABSENT`, `HIDDEN` or `VISIBLE`.
    visible
        Fraction of the body's points that are in the image and not behind something else.
    box
        float ``[4]`` x, y, width, height in px of what is visible, inside of the image.
    """

    person: int
    pixels: np.ndarray
    visibility: np.ndarray
    visible: float
    box: np.ndarray


class SimulatedCamera(SimulatedSensor):
    """The skeletons of a camera: each person that is detected, in random order."""

    def __init__(self, config: CameraConfig, residuals: KeypointResiduals, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._config = config
        self.camera = pinhole(config.width, config.height, config.view)
        self.image_size = (config.width, config.height)
        self._samplers = [
            ResidualSampler(
                residuals,
                generator_of(self.scenario.seed, f"key points of {walker.name}"),
                self.scenario.errors.keypoint_correlation,
            )
            for walker in self.scene.walkers
        ]
        self._ids: dict[int, str] = {}  # of a walker
        # When the last image was taken in which each walker was detected, s; -inf: never.
        self.detected = np.full(len(self.scene.walkers), -np.inf)
        self.owners: dict[str, int] = {}  # walkers by the detector's id

    def measure(self, time: float) -> Skeletons:
        """The skeletons of the image taken at ``time``; times must increase."""
        config, generator = self._config, self.generator
        people: list[tuple[str, np.ndarray, Poses, float]] = []
        for view in self.views(time):
            size = float(person_size(view.box[None])[0])
            error = config.box_error * size * generator.standard_normal(4)
            chance = (view.visible - BLIND) / (SURE - BLIND)
            if generator.random() >= chance or size < config.smallest:
                continue
            box = self._inside(*(_corners(view.box) + error))
            poses = self._poses(view, box, size, time)
            score = float(np.clip(0.6 + 0.35 * view.visible + 0.05 * generator.normal(), 0.3, 1))
            people.append((self._id(view.person, time), box, poses, score))
        order = generator.permutation(len(people))
        people = [people[index] for index in order]
        return Skeletons(
            stamp=self.stamp(time),
            frame=self.mount.frame,
            camera=self.camera,
            image_size=self.image_size,
            poses=Poses.concatenate([one for _, _, one, _ in people]) if people else Poses.empty(),
            boxes=np.array([box for _, box, _, _ in people]).reshape(-1, 4),
            ids=tuple(one for one, _, _, _ in people),
            detection_scores=np.array([score for _, _, _, score in people]),
        )

    def views(self, time: float) -> list[PersonView]:
        """The persons of whom some part is in the image, in the order of the walkers."""
        walkers = self.scene.walkers
        if not walkers:
            return []
        at = np.array([time])
        points = self.scene.points(at)[0]  # [N, P, 3]
        bodies = self.scene.bodies(at, points[None])
        pose = self.vehicle.pose(time) @ self.mount.true
        local = pose.inverse().apply(points)
        depth = local[..., 2]
        before = depth > NEAREST_DEPTH
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = local[..., :2] / depth[..., None]
        pixels = pixels * [self.camera.fx, self.camera.fy] + [self.camera.cx, self.camera.cy]
        pixels[~before] = np.nan
        width, height = self._config.width, self._config.height
        inside = before & (pixels >= -0.5).all(-1) & (pixels < [width - 0.5, height - 0.5]).all(-1)

        seen = np.flatnonzero(inside.any(axis=1))
        if not seen.size:
            return []
        rays = points[seen] - pose.translation
        lengths = np.linalg.norm(rays, axis=-1)
        flat = (rays / lengths[..., None]).reshape(-1, 3)
        hits = self.scene.cast(np.broadcast_to(pose.translation, flat.shape), flat, bodies)
        distances = hits.distances.reshape(lengths.shape)
        what = hits.what.reshape(lengths.shape)
        views = []
        for row, person in enumerate(seen.tolist()):
            stature = walkers[person].shape.stature
            own = what[row] == person
            short = distances[row] < lengths[row] - 0.02
            behind = short & ~own
            turned = short & own & (distances[row] < lengths[row] - OWN_DEPTH * stature)
            free = inside[person] & ~behind
            if not free.any():
                continue
            states = np.full(JOINTS, VISIBLE, np.uint8)
            states[(behind | turned)[:JOINTS]] = HIDDEN
            face = np.arange(JOINTS) < FACE_JOINTS
            states[face & turned[:JOINTS]] = ABSENT
            states[~inside[person, :JOINTS]] = ABSENT
            radius = _RADII * stature * self.camera.fx / np.maximum(depth[person], NEAREST_DEPTH)
            low = (pixels[person] - radius[:, None])[free].min(axis=0)
            high = (pixels[person] + radius[:, None])[free].max(axis=0)
            box = self._inside(low[0], low[1], high[0], high[1])
            views.append(
                PersonView(person, pixels[person, :JOINTS], states, float(free.mean()), box)
            )
        return views

    def _poses(self, view: PersonView, box: np.ndarray, size: float, time: float) -> Poses:
        """The estimated key points of one person."""
        drawn = self._samplers[view.person].draw(time, size, view.visibility)
        there = view.visibility != ABSENT
        true = np.where(there[:, None], view.pixels + drawn.errors * size, 0.0)
        invented = box[:2] + drawn.errors * box[2:]
        return Poses(
            keypoints=np.where(there[:, None], true, invented)[None].astype(np.float32),
            scores=np.clip(drawn.scores, 0, 1)[None].astype(np.float32),
            covariances=(drawn.covariances * size**2)[None].astype(np.float32),
            valid=np.ones((1, JOINTS), bool),
        )

    def _id(self, person: int, time: float) -> str:
        """The detector's id: it follows a person until they are lost from sight."""
        if time - self.detected[person] > FORGOTTEN:
            self._ids[person] = str(len(self.owners) + 1)
            self.owners[self._ids[person]] = person
        self.detected[person] = time
        return self._ids[person]

    def _inside(self, left: float, top: float, right: float, bottom: float) -> np.ndarray:
        """A box cut to the image, at least 1 px wide and high."""
        width, height = self._config.width, self._config.height
        left, top = min(max(left, 0.0), width - 1.0), min(max(top, 0.0), height - 1.0)
        right, bottom = min(right, float(width)), min(bottom, float(height))
        return np.array([left, top, max(right - left, 1.0), max(bottom - top, 1.0)])


def _corners(box: np.ndarray) -> np.ndarray:
    return np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]])
