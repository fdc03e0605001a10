# SPDX-License-Identifier: Apache-2.0
"""The rides of the proof: what the vehicle is commanded, who is there, and what fails."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hrnet_pose_ros.simulation.scenario import FaultConfig, SimulationScenario
from hrnet_pose_ros.simulation.scene_configs import ObstacleConfig, PersonConfig, StepConfig
from hrnet_pose_ros.simulation.sensor import generator_of

RideKind = Literal[
    "crossing",
    "child_from_behind_obstacle",
    "stepping_in",
    "turn",
    "following",
    "overtaking",
    "standing",
    "oncoming",
    "turning_on_the_spot",
    "reversing",
    "free",
]
# How often each kind is drawn.
WEIGHTS: dict[RideKind, float] = {
    "crossing": 0.22,
    "child_from_behind_obstacle": 0.10,
    "stepping_in": 0.08,
    "turn": 0.12,
    "following": 0.10,
    "overtaking": 0.06,
    "standing": 0.08,
    "oncoming": 0.06,
    "turning_on_the_spot": 0.03,
    "reversing": 0.03,
    "free": 0.12,
}

DropoutKind = Literal[
    "none",
    "people_stop",
    "people_late",
    "people_error",
    "people_degraded",
    "people_nan",
    "people_sparse",
    "command_stops",
    "command_nan",
    "sensors_die",
    "guard_starved",
    "clock_back",
    "clock_forwards",
]
DROPOUTS: tuple[DropoutKind, ...] = DropoutKind.__args__  # type: ignore[attr-defined]
NO_DROPOUT = 0.4  # of the rides

FRONT, HALF_WIDTH = 0.65, 0.3  # m: of the vehicle of `GuardSettings`


@dataclass(frozen=True)
class CommandPart:
    """A part of the command: so long at full speed (s), forward (m/s), yaw rate (rad/s)."""

    duration: float
    forward: float
    yaw_rate: float = 0.0


@dataclass(frozen=True)
class Dropout:
    """What fails, from ``start`` to ``end`` in s."""

    kind: DropoutKind
    start: float = 0.0
    end: float = 0.0

    def active(self, time: float) -> bool:
        """Whether it fails at a time in s."""
        return self.kind != "none" and self.start <= time < self.end


@dataclass(frozen=True)
class Ride:
    """One ride. ``conflict`` is the time in s about which it happens, at full speed."""

    number: int
    kind: RideKind
    scenario: SimulationScenario
    command: tuple[CommandPart, ...]
    dropout: Dropout
    conflict: float


def draw_ride(seed: int, number: int, sensors: tuple[str, ...] = ()) -> Ride:
    """The ride with a number; the same seed and number give the same ride.

    ``sensors`` are those of the simulator's scenario.
    """
    random = generator_of(seed, f"ride {number}")
    kinds = list(WEIGHTS)
    kind = kinds[int(random.choice(len(kinds), p=[WEIGHTS[one] for one in kinds]))]
    speed = float(random.uniform(0.6, 1.5))
    draw = _Draw(random, speed)
    people, obstacles, command = draw.of(kind)
    dropout = Dropout("none")
    if random.random() >= NO_DROPOUT:
        what = DROPOUTS[1 + int(random.integers(len(DROPOUTS) - 1))]
        start = max(float(draw.conflict + random.uniform(-3.0, 1.0)), 0.2)
        dropout = Dropout(what, start, start + float(random.choice([0.4, 1.0, 3.0, 30.0])))
    duration = min(draw.conflict + 7.0, 16.0)
    faults: tuple[FaultConfig, ...] = ()
    if dropout.kind == "sensors_die":
        names = ("lidar", "imu", "odometry")
        faults = tuple(
            FaultConfig(name, "silent", dropout.start, dropout.end)  # type: ignore[arg-type]
            for name in names
            if not sensors or name in sensors
        )
    scenario = SimulationScenario(
        name=f"{number} {kind}",
        duration=duration,
        seed=int(random.integers(2**31)),
        people=tuple(people),
        obstacles=tuple(obstacles),
        sensors=sensors,  # type: ignore[arg-type]
        faults=faults,
    )
    return Ride(number, kind, scenario, tuple(command), dropout, draw.conflict)


class _Draw:
    """Draws people, obstacles and command of each kind; the vehicle starts at the origin."""

    def __init__(self, random: np.random.Generator, speed: float) -> None:
        self.random, self.speed = random, speed
        self.conflict = 5.0

    def of(
        self, kind: RideKind
    ) -> tuple[list[PersonConfig], list[ObstacleConfig], list[CommandPart]]:
        """The parts of a ride."""
        straight = [CommandPart(60.0, self.speed)]
        people, obstacles, command = getattr(self, f"_{kind}")()
        return people, obstacles, command or straight

    def _u(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))

    def _side(self) -> float:
        return float(self.random.choice([-1.0, 1.0]))

    def _arrival(self, distance: float) -> float:
        """When the front is there, s, without anybody in the way."""
        ramp = self.speed / (2 * 0.8) + 0.1
        return (distance - FRONT) / self.speed + ramp

    def _crossing(self) -> tuple:
        people = []
        for _ in range(1 + int(self.random.random() < 0.3)):
            x, side = self._u(4.0, 8.0), self._side()
            walk = self._u(0.7, 2.2)
            self.conflict = self._arrival(x)
            start = side * walk * (self.conflict + self._u(-1.5, 1.5))
            slant = self._u(-1.5, 1.5)
            child = bool(self.random.random() < 0.2)
            step = StepConfig(walk_to=(x + slant, -side * 8.0), speed=walk)
            people.append(
                PersonConfig((x, start), kind="child" if child else "adult", steps=(step,))
            )
        return people, [], None

    def _child_from_behind_obstacle(self) -> tuple:
        x, side = self._u(4.5, 8.0), self._side()
        edge = HALF_WIDTH + self._u(0.6, 1.8)
        depth = self._u(0.6, 2.0)
        box = ObstacleConfig(
            "box", (x - 1.3 - 0.4, side * (edge + depth / 2)), (2.6, depth), height=1.8
        )
        walk = self._u(1.0, 3.0)
        self.conflict = self._arrival(x)
        start = side * (walk * (self.conflict + self._u(-1.2, 1.2)) + 0.2)
        if abs(start) < edge + 0.5:
            start = side * (edge + 0.5)
        step = StepConfig(walk_to=(x + self._u(-0.5, 0.5), -side * 6.0), speed=walk)
        child = PersonConfig((x, start), kind="child", steps=(step,))
        return [child], [box], None

    def _stepping_in(self) -> tuple:
        x, side = self._u(4.0, 8.0), self._side()
        y = side * (HALF_WIDTH + self._u(0.6, 1.8))
        self.conflict = self._arrival(x)
        wait = max(self.conflict - self._u(0.2, 2.5), 0.2)
        steps = (
            StepConfig(stay=wait, heading=-side * 90.0),
            StepConfig(walk_to=(x, -side * 5.0), speed=self._u(0.7, 1.8)),
        )
        return [PersonConfig((x, y), steps=steps)], [], None

    def _turn(self) -> tuple:
        ahead, side = self._u(2.0, 4.0), self._side()
        radius = self._u(1.0, 2.5)
        arc = math.pi / 2 * radius
        command = [
            CommandPart(ahead / self.speed, self.speed),
            CommandPart(arc / self.speed, self.speed, side * self.speed / radius),
            CommandPart(60.0, self.speed),
        ]
        self.conflict = self._arrival(ahead + arc)
        x, y = ahead + radius, side * (radius + self._u(0.5, 2.5))
        if self.random.random() < 0.4:
            return [PersonConfig((x, y), heading=self._u(-180, 180))], [], command
        walk = self._u(0.7, 1.7)
        along = self._side()
        start = x + along * walk * (self.conflict + self._u(-1.5, 1.5))
        step = StepConfig(walk_to=(x - along * 6.0, y), speed=walk)
        return [PersonConfig((start, y), steps=(step,))], [], command

    def _following(self) -> tuple:
        walk = self._u(0.6, 1.3)
        gap, length = self._u(2.5, 4.0), self._u(2.0, 6.0)
        y = self._u(-0.2, 0.2)
        self.conflict = length / walk
        steps = [
            StepConfig(walk_to=(gap + length, y), speed=walk),
            StepConfig(stay=self._u(1.0, 3.0)),
        ]
        if self.random.random() < 0.5:
            steps.append(StepConfig(walk_to=(gap + length, self._side() * 6.0), speed=walk))
        return [PersonConfig((gap, y), steps=tuple(steps))], [], None

    def _overtaking(self) -> tuple:
        walk, side = self._u(0.3, 0.6), self._side()
        y = side * (HALF_WIDTH + self._u(0.7, 1.5))
        step = StepConfig(walk_to=(20.0, y + self._u(-0.2, 0.2)), speed=walk)
        self.conflict = 3.0 / max(self.speed - walk, 0.3)
        return [PersonConfig((self._u(3.0, 5.0), y), steps=(step,))], [], None

    def _standing(self) -> tuple:
        x, y = self._u(3.5, 7.0), self._u(-0.5, 0.5)
        self.conflict = self._arrival(x)
        posture = str(self.random.choice(["standing", "standing", "crouching", "sitting"]))
        steps = [StepConfig(stay=self.conflict + 2.0, posture=posture)]  # type: ignore[arg-type]
        steps.append(StepConfig(walk_to=(x, self._side() * 6.0), speed=1.2))
        person = PersonConfig((x, y), heading=self._u(-180, 180), steps=tuple(steps))
        return [person], [], None

    def _oncoming(self) -> tuple:
        walk, y = self._u(0.6, 1.6), self._u(-0.7, 0.7)
        far = self._u(7.0, 10.0)
        self.conflict = far / (walk + self.speed)
        end = self._u(2.0, 3.5) if self.random.random() < 0.5 else -5.0
        step = StepConfig(walk_to=(end, y), speed=walk)
        return [PersonConfig((far, y), steps=(step,))], [], None

    def _turning_on_the_spot(self) -> tuple:
        side = self._side()
        command = [CommandPart(1.0, 0.0), CommandPart(60.0, 0.0, side * self._u(0.4, 1.0))]
        angle = self._u(-math.pi, math.pi)
        far, near = self._u(2.0, 4.0), self._u(0.9, 1.6)
        walk = self._u(0.6, 1.3)
        towards = (math.cos(angle), math.sin(angle))
        self.conflict = 1.0 + (far - near) / walk
        step = StepConfig(walk_to=(near * towards[0], near * towards[1]), speed=walk)
        start = (far * towards[0], far * towards[1])
        return [PersonConfig(start, steps=(step,))], [], command

    def _reversing(self) -> tuple:
        x, side, walk = -self._u(2.0, 5.0), self._side(), self._u(0.7, 1.5)
        self.conflict = -x / self.speed
        start = side * walk * (self.conflict + self._u(-1.0, 3.0))
        step = StepConfig(walk_to=(x, -side * 6.0), speed=walk)
        return [PersonConfig((x, start), steps=(step,))], [], [CommandPart(60.0, -self.speed)]

    def _free(self) -> tuple:
        """Nobody comes nearer to the way of the vehicle than 0.9 m."""
        people = []
        for _ in range(1 + int(self.random.integers(3))):
            side = self._side()
            y = side * (HALF_WIDTH + 0.3 + self._u(0.9, 3.0))
            x = self._u(2.0, 12.0)
            steps: tuple[StepConfig, ...] = (StepConfig(stay=30.0, heading=self._u(-180, 180)),)
            if self.random.random() < 0.6:
                to = x + self._side() * 20.0
                steps = (StepConfig(walk_to=(to, y), speed=self._u(0.6, 1.6)),)
            people.append(PersonConfig((x, y), steps=steps))
        return people, [], None
