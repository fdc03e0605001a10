# SPDX-License-Identifier: Apache-2.0
"""What is true about the people of a scenario at the time of an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.simulation.body import JOINTS
from hrnet_pose_ros.simulation.scene import SimulatedScene
from hrnet_pose_ros.simulation.skeleton_sensor import PersonView, SimulatedCamera
from hrnet_pose_ros.simulation.vehicle import MovingVehicle

CHILD_BELOW = 14.0  # years


@dataclass(frozen=True)
class TruePerson:
    """A person in the level base frame at one time.

    Attributes
    ----------
    name
        The true identity.
    skeleton_index, detection_id
        Which skeleton of the image is this person's, and the detector's id; -1 and empty where
        none is.
    position
        float ``[3]`` m: on the ground under the middle of the hips.
    velocity
        float ``[3]`` m/s over the ground, in the axes of the base frame.
    stature, radius
        Metres.
    heading
        rad about z: where the chest points; NaN while lying.
    posture, motion, facing
        The words of Person.msg; ``facing`` is UNKNOWN while lying.
    gesture
        The bits of Person.msg.
    child
        Younger than 14 years.
    joints
        float ``[17, 3]`` m.
    visible
        Fraction of the body's points that the camera sees; 0 outside of the image.
    height_px
        Of the visible part in the image; 0 outside.
    pixels
        float ``[17, 2]``: the true projections in px; NaN outside of the image's view.
    """

    name: str
    skeleton_index: int
    detection_id: str
    position: np.ndarray
    velocity: np.ndarray
    stature: float
    radius: float
    heading: float
    posture: str
    motion: str
    facing: str
    gesture: int
    child: bool
    joints: np.ndarray
    visible: float
    height_px: float
    pixels: np.ndarray


@dataclass(frozen=True)
class Truth:
    """All people of the scenario at the time of one image; ``stamp`` in ns."""

    stamp: int
    people: tuple[TruePerson, ...]


def truth_at(
    time: float,
    stamp: int,
    scene: SimulatedScene,
    vehicle: MovingVehicle,
    camera: SimulatedCamera,
    skeletons: Mapping[int, tuple[int, str]],
) -> Truth:
    """The truth at ``time`` s of the scenario.

    ``skeletons``: by the index of a walker, the index and the id of the skeleton.
    """
    views = {view.person: view for view in camera.views(time)}
    to_base = vehicle.level_pose(time).inverse()
    yaw = math.atan2(to_base.rotation[1, 0], to_base.rotation[0, 0])
    looks = (vehicle.pose(time) @ camera.mount.true).rotation[:, 2]
    points = scene.points(np.array([time]))[0]
    people = []
    for index, walker in enumerate(scene.walkers):
        moment = walker.moment(time)
        view = views.get(index)
        position = to_base.apply([*moment.position, 0.0])
        eye = (vehicle.pose(time) @ camera.mount.true).translation[:2]
        people.append(
            TruePerson(
                name=walker.name,
                skeleton_index=skeletons.get(index, (-1, ""))[0],
                detection_id=skeletons.get(index, (-1, ""))[1],
                position=position,
                velocity=to_base.rotation @ [*moment.velocity, 0.0],
                stature=walker.shape.stature,
                radius=walker.shape.radius,
                heading=math.remainder(moment.heading + yaw, 2 * math.pi),
                posture=moment.posture,
                motion=moment.motion,
                facing=facing_of(moment.heading, moment.position - eye, looks),
                gesture=moment.gesture,
                child=walker.age < CHILD_BELOW,
                joints=to_base.apply(points[index, :JOINTS]),
                visible=0.0 if view is None else view.visible,
                height_px=0.0 if view is None else float(view.box[3]),
                pixels=_pixels(view),
            )
        )
    return Truth(stamp, tuple(people))


def facing_of(heading: float, sight: np.ndarray, looks: np.ndarray) -> str:
    """The side that a person shows: the quarter of the heading against the line of sight.

    >>> facing_of(math.pi, np.array([5.0, 0.0]), np.array([1.0, 0.0, 0.0]))
    'TOWARDS'
    >>> facing_of(math.pi / 2, np.array([5.0, 0.0]), np.array([1.0, 0.0, 0.0]))
    'LEFT'
    """
    if not math.isfinite(heading):
        return "UNKNOWN"
    line = sight if np.linalg.norm(sight) > 1e-6 else looks[:2]
    turned = math.degrees(math.remainder(heading - math.atan2(line[1], line[0]), 2 * math.pi))
    if abs(turned) <= 45:
        return "AWAY"
    if abs(turned) >= 135:
        return "TOWARDS"
    return "LEFT" if turned > 0 else "RIGHT"


def _pixels(view: PersonView | None) -> np.ndarray:
    return np.full((JOINTS, 2), np.nan) if view is None else view.pixels
