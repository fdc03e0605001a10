# SPDX-License-Identifier: Apache-2.0
"""The scene of a scenario: its people and its obstacles, for rays at any time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.simulation.body import CAPSULES, POINT_NAMES, BodyShape
from hrnet_pose_ros.simulation.rays import (
    Bodies,
    Boxes,
    body_distances,
    box_distances,
    ground_distances,
)
from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.scene_configs import (
    CrowdConfig,
    ObstacleConfig,
    PersonConfig,
    StepConfig,
)
from hrnet_pose_ros.simulation.statures import ADULT_AGE, draw_stature
from hrnet_pose_ros.simulation.walker import Walker

TABLE_LEG, TABLE_TOP = 0.03, 0.04  # m: half the side of a leg, thickness of the top

SHORTEST_WAY = 1.5  # m: from one target of somebody in a crowd to the next

GRID = 0.02  # s
BLOCK, BLOCKS_KEPT = 200, 3

NOTHING, GROUND, OBSTACLE, FIRST_PERSON = -3, -2, -1, 0


@dataclass(frozen=True)
class Hits:
    """What R rays hit: ``distances`` ``[R]`` m (infinite: nothing), and ``what`` ``[R]``.

    ``what`` is `NOTHING`, `GROUND`, `OBSTACLE`, or the index of a person from 0 on.
    """

    distances: np.ndarray
    what: np.ndarray


class SimulatedScene:
    """The people and things of a scenario.

    Parameters
    ----------
    scenario
        Its people, crowd and obstacles.
    generator
        Draws what the scenario leaves to chance: statures, ages, the ways of a crowd.
    """

    def __init__(self, scenario: SimulationScenario, generator: np.random.Generator) -> None:
        configs = list(scenario.people)
        if scenario.crowd is not None:
            configs += _crowd(scenario.crowd, scenario.duration, generator)
        self.walkers = tuple(
            _walker(f"person_{number}", config, scenario.duration, generator)
            for number, config in enumerate(configs)
        )
        self._blocks: dict[int, np.ndarray] = {}
        self._boxes = _boxes(scenario.obstacles)
        poles = [one for one in scenario.obstacles if one.kind == "pole"]
        lows, highs = zip(*map(_pole_ends, poles), strict=True) if poles else ((), ())
        self._poles = Bodies(
            starts=np.array(lows).reshape(1, -1, 1, 3),
            ends=np.array(highs).reshape(1, -1, 1, 3),
            radii=np.array([[p.size[0]] for p in poles]).reshape(-1, 1),
        )

    def points(self, times: np.ndarray) -> np.ndarray:
        """The bodies' points ``[K, N, P, 3]`` m in the world's frame at times ``[K]`` s.

        They are computed every `GRID` s, for a block of times at once, and interpolated: a hand is
        then off by up to 1 mm.
        """
        place = times / GRID
        low = np.floor(place).astype(int)
        blocks = low // BLOCK
        points = np.empty((len(times), len(self.walkers), len(POINT_NAMES), 3))
        for block in np.unique(blocks).tolist():
            inside = blocks == block
            if block not in self._blocks:
                self._blocks[block] = self._block(block)
                for old in sorted(self._blocks)[:-BLOCKS_KEPT]:
                    del self._blocks[old]
            known, first = self._blocks[block], low[inside] - block * BLOCK
            part = (place - low)[inside][:, None, None, None]
            points[inside] = known[first] + part * (known[first + 1] - known[first])
        return points

    def _block(self, block: int) -> np.ndarray:
        times = (block * BLOCK + np.arange(BLOCK + 1)) * GRID
        if not self.walkers:
            return np.zeros((len(times), 0, len(POINT_NAMES), 3))
        return np.stack([walker.points(times) for walker in self.walkers], axis=1)

    def bodies(self, times: np.ndarray, points: np.ndarray | None = None) -> Bodies:
        """The people's capsules at times ``[K]`` s; ``points`` if they are known already."""
        if not self.walkers:
            empty = np.zeros((len(times), 0, len(CAPSULES), 3))
            return Bodies(empty, empty, np.zeros((0, len(CAPSULES))))
        found = self.points(times) if points is None else points
        return Bodies(
            starts=found[:, :, CAPSULES[:, 0]],
            ends=found[:, :, CAPSULES[:, 1]],
            radii=np.stack([walker.shape.radii for walker in self.walkers]),
        )

    def cast(
        self,
        origins: np.ndarray,
        directions: np.ndarray,
        bodies: Bodies,
        instants: np.ndarray | None = None,
    ) -> Hits:
        """What the rays ``[R, 3]`` hit first; `body_distances` has the other arguments."""
        distances, what = body_distances(origins, directions, bodies, instants)
        for kind, other in (
            (OBSTACLE, box_distances(origins, directions, self._boxes)),
            (OBSTACLE, body_distances(origins, directions, self._poles)[0]),
            (GROUND, ground_distances(origins, directions)),
        ):
            nearer = other < distances
            distances = np.where(nearer, other, distances)
            what = np.where(nearer, kind, what)
        return Hits(distances, np.where(np.isinf(distances), NOTHING, what))

    def obstacle_corners(self) -> list[np.ndarray]:
        """The corners ``[M, 3]`` m of the hull of each box, and of boxes about the poles."""
        unit = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        found = []
        boxes = self._boxes
        for centre, half, heading in zip(boxes.centres, boxes.halves, boxes.headings, strict=True):
            cos, sin = np.cos(heading), np.sin(heading)
            turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
            found.append(centre + (unit * half) @ turn.T)
        poles = self._poles
        for pole in range(poles.count):
            low, high, radius = poles.starts[0, pole, 0], poles.ends[0, pole, 0], poles.radii[pole]
            half = np.array([radius[0], radius[0], (high - low)[2] / 2 + radius[0]])
            found.append((low + high) / 2 + unit * half)
        return found


def _walker(
    name: str, config: PersonConfig, duration: float, generator: np.random.Generator
) -> Walker:
    # The same number of draws for each person: one who is changed does not change the others.
    chance, ages = generator.random(), generator.uniform(5.0, 14.0)
    own = np.random.default_rng(generator.integers(2**63))
    male = {"man": True, "woman": False}.get(config.kind, chance < 0.5)
    age = 30.0
    if config.kind == "child":
        age = ages if config.age is None else config.age
    stature = draw_stature(own, age, male)
    shape = BodyShape.draw(own, config.stature or stature, min(age, ADULT_AGE))
    return Walker(name, config, shape, age, duration)


def _crowd(
    config: CrowdConfig, duration: float, generator: np.random.Generator
) -> list[PersonConfig]:
    """Persons who walk between random points, each at a speed of their own."""
    low, high = np.array(config.area[::2]), np.array(config.area[1::2])
    # In a small area nobody can walk as far as in a large one.
    shortest = min(SHORTEST_WAY, float(np.linalg.norm(high - low)) / 4)
    people: list[PersonConfig] = []
    starts: list[np.ndarray] = []
    for _ in range(config.count):
        child = bool(generator.random() < config.children)
        stands = generator.random() < config.standing
        start = generator.uniform(low, high)
        for _ in range(20):  # not inside of each other, where there is room
            if all(np.linalg.norm(start - other) > 0.8 for other in starts):
                break
            start = generator.uniform(low, high)
        starts.append(start)
        speed = float(np.clip(generator.normal(1.3, 0.25), 0.6, 2.0))
        steps: list[StepConfig] = []
        if stands:
            heading = float(generator.uniform(-180, 180))
            steps.append(StepConfig(stay=duration + 1, heading=heading))
        place, time = start, 0.0
        while not stands and time < duration:
            target = generator.uniform(low, high)
            length = float(np.linalg.norm(target - place))
            if length < shortest:
                continue
            steps.append(StepConfig(walk_to=(float(target[0]), float(target[1])), speed=speed))
            place, time = target, time + length / speed
        people.append(
            PersonConfig(
                start=(float(start[0]), float(start[1])),
                kind="child" if child else "adult",
                steps=tuple(steps),
            )
        )
    return people


def _pole_ends(pole: ObstacleConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The ends of a pole's capsule, whose round ends must not reach beyond the pole's own."""
    radius = pole.size[0]
    high = pole.height - radius
    # What stands on the ground goes on below it, so that its foot is not round.
    low = min(pole.bottom + radius if pole.bottom > 0 else pole.bottom - radius, high)
    return (*pole.at, low), (*pole.at, high)


def _boxes(obstacles: tuple[ObstacleConfig, ...]) -> Boxes:
    rows: list[tuple[np.ndarray, np.ndarray, float]] = []
    for one in obstacles:
        if one.kind == "pole":
            continue
        heading, (length, width) = math.radians(one.heading), one.size
        middle = np.array([*one.at, (one.bottom + one.height) / 2])
        half = np.array([length / 2, width / 2, (one.height - one.bottom) / 2])
        if one.kind == "box":
            rows.append((middle, half, heading))
            continue
        top = np.array([*one.at, one.height - TABLE_TOP / 2])
        rows.append((top, np.array([length / 2, width / 2, TABLE_TOP / 2]), heading))
        cos, sin = math.cos(heading), math.sin(heading)
        for x in (-1, 1):
            for y in (-1, 1):
                dx, dy = x * (length / 2 - TABLE_LEG), y * (width / 2 - TABLE_LEG)
                at = (one.at[0] + cos * dx - sin * dy, one.at[1] + sin * dx + cos * dy)
                under = one.height - TABLE_TOP
                leg = np.array([TABLE_LEG, TABLE_LEG, (under - one.bottom) / 2])
                rows.append((np.array([*at, (under + one.bottom) / 2]), leg, heading))
    return Boxes(
        centres=np.array([row[0] for row in rows]).reshape(-1, 3),
        halves=np.array([row[1] for row in rows]).reshape(-1, 3),
        headings=np.array([row[2] for row in rows]),
    )
