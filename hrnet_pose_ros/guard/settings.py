# SPDX-License-Identifier: Apache-2.0
"""The guard's parameters, with their ranges and units."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hrnet_pose_ros.guard.footprint import Footprint

# Inclusive limits of the numbers; docs/parameters.md has them in the units of the parameters.
RANGES: dict[str, tuple[float, float]] = {
    "human_speed": (0.1, 10.0),
    "least_human_speed": (0.0, 10.0),
    "reaction_time": (0.0, 5.0),
    "braking_deceleration": (0.05, 20.0),
    "intrusion": (0.0, 5.0),
    "uncertainty_sigmas": (0.0, 10.0),
    "stop_uncertainty": (0.0, 50.0),
    "coasting_uncertainty": (0.0, 5.0),
    "memory": (0.0, 60.0),
    "memory_stop": (0.0, 60.0),
    "child_margin": (0.0, 5.0),
    "person_radius": (0.05, 1.0),
    "min_existence": (0.0, 0.99),
    "horizon": (0.0, 10.0),
    "slowdown_margin": (0.0, 5.0),
    "slowdown_ratio": (0.0, 1.0),
    "stop_speed": (0.0, 1.0),
    "view": (0.0, 2 * math.pi),
    "view_direction": (-math.pi, math.pi),
    "blind_speed": (0.0, 20.0),
    "degraded_speed": (0.0, math.inf),
    "crawl_speed": (0.0, 1.0),
    "crawl_time": (0.0, 10.0),
    "people_timeout": (0.05, 10.0),
    "command_timeout": (0.02, 10.0),
    "overload_after": (0.1, 10.0),  # two periods of the node's timer: else it always is overloaded
    "clock_jump": (0.1, 60.0),
    "release_delay": (0.0, 10.0),
    "release_margin": (0.0, 2.0),
}


@dataclass(frozen=True)
class GuardSettings:
    """Parameters of the `Guard`. The speed of the vehicle is that of its fastest point.

    Attributes
    ----------
    footprint
        Of the vehicle with its load.
    human_speed
        K of ISO 13855, m/s: of a person whose velocity is not known, towards the vehicle.
    least_human_speed
        A person whose velocity is known may still begin to walk, or turn, with this, m/s.
    reaction_time
        From a decision of the guard to the begin of braking, and from when somebody comes into
        view to when people tells it, s. The age of people is measured and comes on top.
    braking_deceleration
        That the vehicle reaches in all conditions, on its fastest point, m/s².
    intrusion
        C, m: arms, luggage, and what the cylinder of a person does not contain.
    uncertainty_sigmas
        Z is so many standard deviations of the person's position towards the vehicle's way.
    stop_uncertainty
        Z is at most this for a stop, m: where somebody is only possible beyond it, the vehicle
        slows down to ``blind_speed``, as where nobody would be seen.
    coasting_uncertainty
        The same for somebody who is coasting (without a skeleton), m.
    memory
        Who has vanished from the people messages where nobody could see it is remembered for this
        time, s, as somebody who may be there; 0: nobody is.
    memory_stop
        In the beginning of it the probable place stops the vehicle, s; then it slows down.
    child_margin
        For a child, m; for a person who is a child with probability p, p times as much.
    person_radius
        Where the message has none, m.
    min_existence
        People who exist with a lower probability are not counted.
    horizon
        Length of the slowdown zone at the commanded speed, s.
    slowdown_margin, slowdown_ratio
        With a person in the zone, which is so much wider than the vehicle (m), the speed is so much
        of the commanded one. A ratio of 1 switches it off.
    stop_speed
        A limit below this speed is a stop, m/s.
    view, view_direction
        The angle in which people are seen, and its middle in the base frame, rad; 2π: all around.
    blind_speed
        Where the way leads out of the view, m/s.
    degraded_speed
        While the status of people is DEGRADED, m/s; infinite: no limit.
    crawl_speed, crawl_time
        When an input fails: this speed for this time, then 0; m/s and s.
    people_timeout, command_timeout
        People and commands older than this have failed, s.
    overload_after
        Longer between two calls is an overload of the guard itself, s.
    clock_jump
        Longer between two calls is a jump of the clock, s.
    release_delay
        The speed rises again when the cause has been gone for this time, s.
    release_margin
        The person for whom the vehicle stands must be so much further away before it starts, m.

    Raises ValueError for a number that is NaN or outside of `RANGES`.
    """

    footprint: Footprint = field(default_factory=lambda: Footprint.rectangle(-0.35, 0.65, 0.6))
    human_speed: float = 1.6
    least_human_speed: float = 0.4
    reaction_time: float = 0.3
    braking_deceleration: float = 1.2
    intrusion: float = 0.15
    uncertainty_sigmas: float = 2.0
    stop_uncertainty: float = 0.6
    coasting_uncertainty: float = 0.3
    memory: float = 10.0
    memory_stop: float = 3.0
    child_margin: float = 0.4
    person_radius: float = 0.30
    min_existence: float = 0.1
    horizon: float = 2.0
    slowdown_margin: float = 0.3
    slowdown_ratio: float = 0.5
    stop_speed: float = 0.05
    view: float = math.radians(70.0)
    view_direction: float = 0.0
    blind_speed: float = 0.3
    degraded_speed: float = 0.5
    crawl_speed: float = 0.2
    crawl_time: float = 1.0
    people_timeout: float = 0.35
    command_timeout: float = 0.3
    overload_after: float = 0.3
    clock_jump: float = 1.0
    release_delay: float = 0.3
    release_margin: float = 0.1

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g}, got {value:g}")
        if self.clock_jump <= self.overload_after:
            raise ValueError(
                f"clock_jump must be above overload_after ({self.overload_after:g}), "
                f"got {self.clock_jump:g}"
            )
        if self.crawl_speed > self.blind_speed:
            raise ValueError(
                f"crawl_speed must not be above blind_speed ({self.blind_speed:g}), "
                f"got {self.crawl_speed:g}"
            )
