# SPDX-License-Identifier: Apache-2.0
"""What a scenario says about the scene: people, obstacles, and the drive.

`hrnet_pose_ros.simulation.scenario` has the frame and the units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hrnet_pose_ros.simulation.config_checks import check_finite, check_point, check_range
from hrnet_pose_ros.simulation.statures import AGES

SMALLEST_CROWD = 1.0  # m: the diagonal of the area that a crowd walks in


@dataclass(frozen=True)
class StepConfig:
    """One thing that a person does: walk to a point, or stay for a time.

    ``heading``: where the person faces while staying; without it as before. ``hands``: those that
    are raised.
    """

    walk_to: tuple[float, ...] | None = None
    speed: float = 1.3
    stay: float = 0.0
    posture: Literal["standing", "sitting", "crouching", "lying"] = "standing"
    heading: float | None = None
    hands: Literal["none", "left", "right", "both"] = "none"

    def __post_init__(self) -> None:
        if (self.walk_to is None) == (self.stay == 0):
            raise ValueError("a step must have either walk_to or stay above 0")
        if self.stay != math.inf:  # for ever is a time to stay
            check_range("stay", self.stay, 0.0)
        check_finite("heading", self.heading)
        if self.walk_to is not None:
            check_point("walk_to", self.walk_to, 2)
            check_range("speed", self.speed, 0.1, 8.0)
            if self.posture != "standing" or self.heading is not None:
                raise ValueError("a step with walk_to has neither posture nor heading")


@dataclass(frozen=True)
class PersonConfig:
    """A person: who, where at time 0, and what they do.

    ``adult`` is a man or a woman by chance. ``age`` in years is for a ``child``, 5 to 17; by chance
    if it is not given. ``stature`` in m replaces the one drawn from the published distribution.
    ``heading`` is where they face before the first step.
    """

    start: tuple[float, ...]
    kind: Literal["adult", "man", "woman", "child"] = "adult"
    age: float | None = None
    stature: float | None = None
    heading: float | None = None
    steps: tuple[StepConfig, ...] = ()

    def __post_init__(self) -> None:
        check_point("start", self.start, 2)
        check_finite("heading", self.heading)
        if self.stature is not None:
            check_range("stature", self.stature, 0.9, 2.2)
        if self.age is not None:
            if self.kind != "child":
                raise ValueError(f"age is for kind child, not for {self.kind}")
            check_range("age", self.age, AGES[0], AGES[-1])


@dataclass(frozen=True)
class CrowdConfig:
    """Persons who walk to and fro between random points of an area (x from, to, y from, to)."""

    count: int
    area: tuple[float, ...]
    children: float = 0.15
    standing: float = 0.2

    def __post_init__(self) -> None:
        check_range("count", self.count, 0, 200)
        check_point("area", self.area, 4)
        if not (self.area[0] < self.area[1] and self.area[2] < self.area[3]):
            raise ValueError(f"area must be x from, to, y from, to; got {list(self.area)}")
        diagonal = math.hypot(self.area[1] - self.area[0], self.area[3] - self.area[2])
        if diagonal < SMALLEST_CROWD:
            raise ValueError(
                f"area must be at least {SMALLEST_CROWD:g} m from corner to corner, so that people "
                f"have somewhere to walk to; got {list(self.area)}, {diagonal:.2g} m"
            )
        check_range("children", self.children, 0, 1)
        check_range("standing", self.standing, 0, 1)


@dataclass(frozen=True)
class ObstacleConfig:
    """A thing in the scene, from the ground up to ``height`` unless ``bottom`` is given.

    box: ``size`` is its length and width (m), turned by ``heading``. pole: upright, with a
    round top; ``size`` is its radius. table: four legs of 3 cm radius and a top of 4 cm; ``size``
    as a box.
    """

    kind: Literal["box", "pole", "table"]
    at: tuple[float, ...]
    size: tuple[float, ...]
    height: float
    bottom: float = 0.0
    heading: float = 0.0

    def __post_init__(self) -> None:
        check_point("at", self.at, 2)
        check_point("size", self.size, 1 if self.kind == "pole" else 2)
        for name in ("height", "bottom", "heading"):
            check_finite(name, getattr(self, name))
        if not min(self.size) > 0 or not self.height > self.bottom:
            raise ValueError("an obstacle must have a size above 0 and its height above bottom")


@dataclass(frozen=True)
class DriveConfig:
    """A part of the drive with a speed in m/s and a yaw rate in degrees per second."""

    duration: float
    speed: float
    yaw_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.duration != math.inf:  # for ever is a time to drive
            check_range("duration", self.duration, 0.01)
        check_range("speed", self.speed, -3.0, 15.0)
        check_range("yaw_rate", self.yaw_rate, -90.0, 90.0)


@dataclass(frozen=True)
class PitchJumpConfig:
    """The vehicle pitches by ``angle`` degrees (nose down) for ``duration``: a kerb, a ramp."""

    time: float
    angle: float
    duration: float = 1.0

    def __post_init__(self) -> None:
        check_finite("time", self.time)
        check_range("angle", self.angle, -20.0, 20.0)
        check_range("duration", self.duration, 0.05)


@dataclass(frozen=True)
class VehicleConfig:
    """How the vehicle moves; after the last part of the drive it stands.

    ``pitching`` is the standard deviation of the pitch in degrees at 1 m/s and more, about half of
    it in roll; ``diving`` degrees of nose-down pitch for 1 m/s² of braking.
    """

    drive: tuple[DriveConfig, ...] = ()
    pitching: float = 0.4
    diving: float = 0.5
    pitch_jumps: tuple[PitchJumpConfig, ...] = ()

    def __post_init__(self) -> None:
        check_range("pitching", self.pitching, 0.0, 5.0)
        check_range("diving", self.diving, 0.0, 5.0)
