# SPDX-License-Identifier: Apache-2.0
"""All parameters of the node `pedestrian_guard`: allowed values, defaults and descriptions."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields

from hrnet_pose_ros.guard.footprint import Footprint
from hrnet_pose_ros.guard.settings import RANGES, GuardSettings
from hrnet_pose_ros.pipeline.parameter import Change, ParameterError, ParameterSet, parameter

_CORE = GuardSettings()
# Where the guard allows any speed, the parameter ends here, m/s.
LARGEST_SPEED = 100.0
# Names of parameters in other units: milliseconds for seconds, degrees for radians.
_UNITS = {"_ms": 1e3, "_deg": 180.0 / math.pi}


def _number(name: str, description: str) -> float:
    """A parameter with default and range of `GuardSettings`, in the unit of its name."""
    field, scale = _field_of(name)
    low, high = (min(scale * limit, LARGEST_SPEED * scale) for limit in RANGES[field])
    default = getattr(_CORE, field)
    return parameter(
        round(default * scale, 6),
        description,
        minimum=round(low, 6),
        maximum=round(high, 6),
    )


def _field_of(name: str) -> tuple[str, float]:
    """The field of `GuardSettings`, and what its values are multiplied with."""
    for suffix, scale in _UNITS.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix), scale
    return name, 1.0


@dataclass(frozen=True)
class PedestrianGuardSettings(ParameterSet):
    """The values of all parameters of the node `pedestrian_guard` at one time."""

    autostart: bool = parameter(
        True,
        "Configure and activate without waiting for a lifecycle manager.",
        Change.START,
    )
    enable_stamped_cmd_vel: bool = parameter(
        False,
        "Whether commands come and go as geometry_msgs/TwistStamped instead of Twist, as nav2's "
        "parameter of that name. The age of a command is then that of its stamp, unless that is 0.",
        Change.START,
    )
    base_frame: str = parameter(
        "base_link",
        "The vehicle's frame: x forward, y left, z up (REP 103). People in another frame are not "
        "used: `people_invalid`.",
        Change.START,
    )
    command_frames: list[str] = parameter(
        ["", "base_link", "base_footprint"],
        "Frames of a TwistStamped whose axes are those of the vehicle; a command in another frame "
        "is `command_invalid`.",
        Change.START,
    )
    footprint: str = parameter(
        "[[0.65, 0.3], [0.65, -0.3], [-0.35, -0.3], [-0.35, 0.3]]",
        "The ground that the vehicle covers with its load: corners [x, y] in `base_frame`, m, as "
        "nav2's parameter of that name. The convex hull counts. Empty: a circle of `robot_radius`.",
    )
    robot_radius: float = parameter(
        0.0,
        "Radius of a round vehicle about `base_frame`, m; used if `footprint` is empty.",
        minimum=0.0,
        maximum=50.0,
    )
    max_speed: float = parameter(
        1.5,
        "The speed that a planner may command, m/s: `speed_limit` says how much of it is allowed.",
        minimum=0.05,
        maximum=LARGEST_SPEED,
    )
    human_speed: float = _number(
        "human_speed",
        "K of ISO 13855: speed towards the vehicle of a person whose velocity is not known, m/s.",
    )
    least_human_speed: float = _number(
        "least_human_speed",
        "A person whose velocity is known may still begin to walk, or turn, with this, m/s.",
    )
    reaction_time_ms: float = _number(
        "reaction_time_ms",
        "From a decision of the guard to the begin of braking, and from when somebody comes into "
        "view to when `people` tells it, ms. The age of people is measured and comes on top.",
    )
    braking_deceleration: float = _number(
        "braking_deceleration",
        "What the vehicle reaches with full load on the worst floor, on its fastest point, m/s².",
    )
    intrusion: float = _number(
        "intrusion",
        "C: arms, luggage, and what the cylinder of a person does not contain, m.",
    )
    uncertainty_sigmas: float = _number(
        "uncertainty_sigmas",
        "Z is so many standard deviations of a person's position towards the vehicle's way.",
    )
    stop_uncertainty: float = _number(
        "stop_uncertainty",
        "Z is at most this for a stop, m: where somebody is only possible beyond it, the vehicle "
        "slows down to `blind_speed`, but does not stop. 50: no limit.",
    )
    coasting_uncertainty: float = _number(
        "coasting_uncertainty",
        "The same for somebody without a skeleton in this image, m.",
    )
    memory_ms: float = _number(
        "memory_ms",
        "Somebody who has vanished from `people` outside of the view is remembered for this time "
        "as somebody who may be there, ms: the vehicle slows down to `blind_speed` before their "
        "place. 0: nobody is remembered.",
    )
    memory_stop_ms: float = _number(
        "memory_stop_ms",
        "In the beginning of `memory_ms`, the probable place of somebody who is remembered stops "
        "the vehicle as a prediction does, ms.",
    )
    child_margin: float = _number(
        "child_margin",
        "Added to the separation distance for a child, m; for a person who is a child with "
        "probability p, p times as much.",
    )
    person_radius: float = _number(
        "person_radius", "Radius of a person where the message has none, m."
    )
    min_existence: float = _number(
        "min_existence", "People who exist with a lower probability are not counted."
    )
    horizon_ms: float = _number(
        "horizon_ms",
        "Length of the slowdown zone: the way of this time at the commanded speed, ms.",
    )
    slowdown_margin: float = _number(
        "slowdown_margin", "The slowdown zone is so much wider than the vehicle on each side, m."
    )
    slowdown_ratio: float = _number(
        "slowdown_ratio",
        "With a person in the slowdown zone, so much of the commanded speed; 1 switches it off.",
    )
    stop_speed: float = _number("stop_speed", "A limit below this speed is a stop, m/s.")
    view_deg: float = _number(
        "view_deg",
        "The angle in which people are seen, that of the camera, degrees; 360: all around.",
    )
    view_direction_deg: float = _number(
        "view_direction_deg",
        "The middle of the view in `base_frame`, degrees: 0 ahead, 90 to the left.",
    )
    blind_speed: float = _number(
        "blind_speed", "The largest speed where the way leads out of the view, m/s."
    )
    degraded_speed: float = _number(
        "degraded_speed",
        "The largest speed while the status of people is DEGRADED, m/s.",
    )
    crawl_speed: float = _number(
        "crawl_speed",
        "The largest speed for `crawl_time_ms` when an input fails, m/s; then 0. Not above "
        "`blind_speed`.",
    )
    crawl_time_ms: float = _number(
        "crawl_time_ms", "How long the vehicle crawls when an input fails, ms."
    )
    people_timeout_ms: float = _number(
        "people_timeout_ms", "People older than this have failed, ms."
    )
    command_timeout_ms: float = _number(
        "command_timeout_ms", "Commands older than this have failed, ms."
    )
    overload_after_ms: float = _number(
        "overload_after_ms",
        "If the node was not called for longer than this, ms, it is overloaded.",
    )
    clock_jump_ms: float = _number(
        "clock_jump_ms",
        "A longer gap between two calls is a jump of the clock, ms. Above `overload_after_ms`.",
    )
    release_delay_ms: float = _number(
        "release_delay_ms",
        "The speed rises again when the cause has been gone for this time, ms.",
    )
    release_margin: float = _number(
        "release_margin",
        "The person for whom the vehicle stands must be so much further away before it starts, m.",
    )
    stop_pub_timeout_ms: float = parameter(
        2000.0,
        "Without commands, zeros are published for this time after the vehicle has been stopped, "
        "ms; then nothing, so that others may command the base. As nav2's `stop_pub_timeout`.",
        minimum=100.0,
        maximum=60000.0,
    )
    warn_latency_ms: float = parameter(
        10.0,
        "The node warns if it takes longer from the arrival of a command to the limited one, at "
        "the 99th percentile, ms.",
        minimum=0.1,
        maximum=1000.0,
    )

    def __post_init__(self) -> None:
        if not self.base_frame:
            raise ParameterError("parameter base_frame is ''; allowed: the name of a frame")
        if self.base_frame.startswith("/"):
            raise ParameterError(
                f"parameter base_frame is '{self.base_frame}'; allowed: the name of a frame, which "
                "has no slash before it in ROS 2"
            )
        if self.clock_jump_ms <= self.overload_after_ms:
            raise ParameterError(
                f"parameter clock_jump_ms is {self.clock_jump_ms:g}; allowed: above "
                f"overload_after_ms, which is {self.overload_after_ms:g}"
            )
        if self.crawl_speed > self.blind_speed:
            raise ParameterError(
                f"parameter crawl_speed is {self.crawl_speed:g}; allowed: up to blind_speed, "
                f"which is {self.blind_speed:g}"
            )
        self.core()

    def core(self) -> GuardSettings:
        """Return the settings of the guard."""
        numbers = {}
        for field in fields(self):
            name, scale = _field_of(field.name)
            if name in RANGES:
                low, high = RANGES[name]
                # Back from degrees, the largest value is beyond the range by rounding.
                numbers[name] = min(max(getattr(self, field.name) / scale, low), high)
        return GuardSettings(footprint=self._footprint(), **numbers)

    def _footprint(self) -> Footprint:
        given = f"parameter footprint is '{self.footprint}'"
        try:
            corners = tuple((float(x), float(y)) for x, y in json.loads(self.footprint or "[]"))
        except (ValueError, TypeError):
            raise ParameterError(
                f"{given}; allowed: corners like '[[0.5, 0.3], [0.5, -0.3], [-0.4, 0.0]]', or '' "
                "and a robot_radius"
            ) from None
        try:
            return Footprint(corners) if corners else Footprint.circle(self.robot_radius)
        except ValueError as error:
            raise ParameterError(
                f"{given} and robot_radius is {self.robot_radius:g}; allowed: {error}"
            ) from None
