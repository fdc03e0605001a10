# SPDX-License-Identifier: Apache-2.0
"""What all cues share: the scene they look at, and the base class.

A child only measures. The base knows the smallest size, the sensor's message nearest to the image,
its own stamp, and which messages are refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import numpy as np

from hrnet_pose_ros.fusion.buffers import NS, StampBuffer
from hrnet_pose_ros.fusion.cues.answers import CueAnswers
from hrnet_pose_ros.fusion.cues.bearing import Bearings, bearings_of
from hrnet_pose_ros.fusion.cues.body_line import BodyLines, body_lines
from hrnet_pose_ros.fusion.cues.priors import Priors
from hrnet_pose_ros.fusion.ego_motion import EgoMotion
from hrnet_pose_ros.fusion.gravity import GravityAlignment
from hrnet_pose_ros.fusion.joint_roles import JointRoles
from hrnet_pose_ros.fusion.person_view import PersonViews
from hrnet_pose_ros.fusion.refusals import Refusal, Source
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.stance import Stance
from hrnet_pose_ros.fusion.transforms import Extrinsics, Transform

# Camera and sensor are both off by their mounts, 1.4 standard deviations together.
MOUNT_STDS = 2.0


@dataclass(frozen=True)
class Scene:
    """What the cues see at one image: its persons, and how to bring sensors to it."""

    stamp: int
    views: PersonViews
    stance: Stance
    roles: JointRoles
    settings: FusionSettings
    extrinsics: Extrinsics
    gravity: GravityAlignment
    ego: EgoMotion

    @cached_property
    def bearings(self) -> Bearings:
        """The direction of each person."""
        return bearings_of(self)

    @cached_property
    def lines(self) -> BodyLines:
        """The lines through the joints of each person's body."""
        return body_lines(self.views, self.stance, self.roles)

    @cached_property
    def sensor_tilt(self) -> float:
        """Standard deviation of the tilt of another sensor against the ground, rad."""
        own = self.settings
        known = self.gravity.tilt(self.stamp) is not None or own.fixed_base
        jitter = own.tilt_jitter_std_imu if known else own.tilt_jitter_std
        return float(np.hypot(own.sensor_mount_std, jitter))

    @property
    def mount_margin(self) -> float:
        """How far beside a person the returns of another sensor may be, rad."""
        return MOUNT_STDS * self.settings.sensor_mount_std

    @property
    def ground(self) -> float:
        """z of the ground in the levelled base frame, m."""
        return -self.settings.base_height

    def to_level(self, frame: str, stamp: int) -> Transform | None:
        """Return the transform from a sensor's frame to the levelled base frame at a stamp."""
        place = self.extrinsics.sensor_to_base(frame, stamp)
        tilt = self.gravity.tilt(stamp)
        if place is None or tilt is None:
            return place
        return Transform(tilt, np.zeros(3)) @ place


class Cue(ABC):
    """The base of all cues."""

    name: str
    source: Source
    smallest_px: float = 0.0

    def measure(self, scene: Scene, priors: Priors) -> CueAnswers:
        """Return the answers for the persons of the scene; ``priors`` are what is known so far."""
        answers = CueAnswers(len(scene.views))
        if not self._begin(scene):
            answers.refuse(True, Refusal.NO_MEASUREMENT)
            return answers
        answers.refuse(scene.views.size_px < self.smallest_px, Refusal.TOO_SMALL)
        self._measure(scene, priors, answers)
        return answers

    def _begin(self, scene: Scene) -> bool:
        """Prepare what is common to the persons of a scene; False if there is no measurement."""
        return True

    @abstractmethod
    def _measure(self, scene: Scene, priors: Priors, answers: CueAnswers) -> None:
        """Refuse persons, and give the ranges of the others."""


class Stamped(Protocol):
    """Any measurement of `hrnet_pose_ros.fusion.inputs` with a stamp and a frame."""

    @property
    def stamp(self) -> int: ...
    @property
    def frame(self) -> str: ...


M = TypeVar("M", bound=Stamped)


class SensorCue(Cue, Generic[M]):
    """The base of cues that have a sensor of their own, with its buffer by stamp."""

    def __init__(self, settings: FusionSettings) -> None:
        self.buffer: StampBuffer[M] = StampBuffer(settings.stamp_limits, size=16)
        self.measured: M | None = None  # the measurement used for the scene
        self.place = Transform.identity()  # of the sensor then, in the levelled base frame

    def receive(self, measurement: M, now: int) -> Refusal | None:
        """Keep a measurement; return why it was refused, or None. ``now`` is the clock's, ns."""
        if not self._sound(measurement):
            return self.buffer.refuse(Refusal.MALFORMED)
        return self.buffer.add(measurement.stamp, measurement, now)

    def _begin(self, scene: Scene) -> bool:
        places: list[Transform] = []

        def check(measurement: M) -> Refusal | None:
            found = scene.to_level(measurement.frame, measurement.stamp)
            if found is None:
                return Refusal.NO_EXTRINSICS
            places.append(found)
            return None

        self.measured = self.buffer.take(scene.stamp, scene.settings.sensor_tolerance, check)
        if self.measured is None:
            return False
        self.place = places[0]
        self._prepare(scene, self.measured, self.place)
        return True

    def _sound(self, measurement: M) -> bool:
        """Whether the fields of a measurement are values that a sensor can mean."""
        return True

    @abstractmethod
    def _prepare(self, scene: Scene, measurement: M, place: Transform) -> None:
        """Bring a measurement to the image's stamp; ``place`` is the sensor in the levelled base.

        It may be carried by ``scene.ego`` from the stamp of the measurement.
        """

    def waiting_variance(self, scene: Scene) -> float:
        """Return the variance of a person's place from the time between the two stamps, m²."""
        assert self.measured is not None
        dt = (scene.stamp - self.measured.stamp) / NS
        return (scene.settings.pedestrian_speed * dt) ** 2
