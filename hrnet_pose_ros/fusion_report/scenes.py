# SPDX-License-Identifier: Apache-2.0
"""The scenes of the report: each is drawn anew from a seed.

The vehicle and its sensors are those of `hrnet_pose_ros.simulation.sensor_configs` with their
default errors: 0.5° and 1 cm for each mount, 20 ms for each clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrnet_pose_ros.simulation.scenario import FaultConfig, SimulationScenario
from hrnet_pose_ros.simulation.scene_configs import (
    CrowdConfig,
    DriveConfig,
    ObstacleConfig,
    PersonConfig,
    PitchJumpConfig,
    StepConfig,
    VehicleConfig,
)
from hrnet_pose_ros.simulation.sensor import generator_of

# Of the camera's view to either side of the middle, degrees: the whole is 70.
HALF_VIEW = 28.0
# Distances of people ahead of the vehicle, m: as many in each part.
DISTANCES = ((2.5, 4.0), (4.0, 6.5), (6.5, 9.0), (9.0, 13.0), (13.0, 17.0), (17.0, 21.0))
FAR_DISTANCES = (*DISTANCES, (21.0, 25.0), (25.0, 30.0))
# Within this distance of the start people walk, m.
ROOM = 2.0


@dataclass(frozen=True)
class ReportScene:
    """A scene of the report.

    Attributes
    ----------
    title
        One line about what is in it.
    draw
        From random numbers and the duration in s, people and so on: arguments of
        `SimulationScenario`.
    moving
        Whether the vehicle moves.
    wrong
        The cues that are wrong in it; empty where none is meant to be.
    """

    title: str
    draw: Callable[[np.random.Generator, float], dict[str, object]]
    moving: bool = False
    wrong: tuple[str, ...] = ()


def scenario_of_scene(name: str, seed: int, duration: float) -> SimulationScenario:
    """Return a scene, drawn with a seed, for ``duration`` s.

    Mounts, clocks, and people are drawn anew for each scene: with one seed for all scenes, they
    would have the same mount errors, and be no independent runs.
    """
    generator = generator_of(seed, f"report scene {name}")
    drawn = SCENES[name].draw(generator, duration)
    own = int(generator_of(seed, f"simulation of {name}").integers(2**31))
    return SimulationScenario(name, duration, seed=own, **drawn)  # type: ignore[arg-type]


def places(
    generator: np.random.Generator, distances: tuple[tuple[float, float], ...]
) -> list[tuple[float, float]]:
    """Return places, one in each part of the distances, each in a sector of its own, m."""
    count = len(distances)
    sectors = generator.permutation(count)
    width = 2 * HALF_VIEW / count
    found = []
    for (near, far), sector in zip(distances, sectors.tolist(), strict=True):
        azimuth = math.radians(-HALF_VIEW + width * (sector + generator.uniform(0.15, 0.85)))
        r = generator.uniform(near, far)
        found.append((r * math.cos(azimuth), r * math.sin(azimuth)))
    return found


def walks(
    generator: np.random.Generator, at: tuple[float, float], duration: float
) -> tuple[StepConfig, ...]:
    """Return steps of somebody who stands and walks to and fro near a place."""
    steps: list[StepConfig] = []
    time, here, speed = 0.0, np.array(at), float(np.clip(generator.normal(1.3, 0.2), 0.7, 2.0))
    while time < duration:
        if generator.random() < 0.3:
            stay = generator.uniform(1, 4)
            steps.append(StepConfig(stay=stay, heading=generator.uniform(-180, 180)))
            time += stay
            continue
        to = np.array(at) + generator.uniform(-ROOM, ROOM, 2) * min(1.0, at[0] / 6)
        if np.hypot(*(to - here)) < 0.5:
            continue
        steps.append(StepConfig(walk_to=(float(to[0]), float(to[1])), speed=speed))
        time += float(np.hypot(*(to - here))) / speed
        here = to
    return tuple(steps)


def _people(
    generator: np.random.Generator,
    duration: float,
    distances: tuple[tuple[float, float], ...],
    children: float = 0.0,
) -> tuple[PersonConfig, ...]:
    people = []
    for at in places(generator, distances):
        kind = "child" if generator.random() < children else "adult"
        steps = walks(generator, at, duration)
        people.append(PersonConfig(at, kind=kind, steps=steps))  # type: ignore[arg-type]
    return tuple(people)


def _upright(generator: np.random.Generator, duration: float) -> dict[str, object]:
    return {"people": _people(generator, duration, FAR_DISTANCES)}


def _mixed_ages(generator: np.random.Generator, duration: float) -> dict[str, object]:
    return {"people": _people(generator, duration, FAR_DISTANCES, children=0.5)}


def _postures(generator: np.random.Generator, duration: float) -> dict[str, object]:
    people = []
    postures = generator.permutation(["sitting", "crouching", "lying"] * 2).tolist()
    for at, posture in zip(places(generator, DISTANCES), postures, strict=True):
        heading = float(generator.uniform(-180, 180))
        stay = StepConfig(stay=duration + 1, posture=posture, heading=heading)
        people.append(PersonConfig(at, steps=(stay,)))
    return {"people": tuple(people)}


def _crowd(generator: np.random.Generator, duration: float) -> dict[str, object]:
    return {
        "vehicle": VehicleConfig(drive=(DriveConfig(duration, 0.3),)),
        "crowd": CrowdConfig(20, (3.0, 22.0, -8.0, 8.0)),
        "obstacles": (ObstacleConfig("box", (26.0, 0.0), (0.3, 40.0), 3.0),),
    }


def _drive(generator: np.random.Generator, duration: float) -> dict[str, object]:
    turns = generator.uniform(-6, 6, 2).tolist()
    parts = [DriveConfig(duration / 2, 1.2, turns[0]), DriveConfig(duration / 2, 1.2, turns[1])]
    return {
        "vehicle": VehicleConfig(drive=tuple(parts)),
        "people": _people(generator, duration, FAR_DISTANCES[1:]),
    }


def _pitching(generator: np.random.Generator, duration: float) -> dict[str, object]:
    parts = [DriveConfig(duration / 4, speed) for speed in (1.2, 0.2, 1.5, 0.3)]
    return {
        "vehicle": VehicleConfig(drive=tuple(parts), pitching=1.0, diving=1.0),
        "people": _people(generator, duration, FAR_DISTANCES[1:]),
    }


def _tables(generator: np.random.Generator, duration: float) -> dict[str, object]:
    """A table or a pole 1 to 3 m in front of each person."""
    people, obstacles = [], []
    for number, at in enumerate(places(generator, DISTANCES[2:])):
        people.append(_standing(generator, at, duration))
        nearer = 1 - generator.uniform(1.0, 3.0) / math.hypot(*at)
        place = (at[0] * nearer, at[1] * nearer)
        heading = math.degrees(math.atan2(at[1], at[0]))
        if number % 2:
            obstacles.append(ObstacleConfig("pole", place, (0.06,), 2.0))
        else:
            size = (0.8, 1.4)
            obstacles.append(ObstacleConfig("table", place, size, 0.9, heading=heading))
    return {"people": tuple(people), "obstacles": tuple(obstacles)}


def _walls(generator: np.random.Generator, duration: float) -> dict[str, object]:
    """A wall 0.6 to 2 m behind each person."""
    people, obstacles = [], []
    for at in places(generator, DISTANCES[1:]):
        people.append(_standing(generator, at, duration))
        r, azimuth = math.hypot(*at), math.atan2(at[1], at[0])
        r += generator.uniform(0.6, 2.0)
        heading = math.degrees(azimuth) + generator.uniform(-20, 20)
        middle = (r * math.cos(azimuth), r * math.sin(azimuth))
        obstacles.append(ObstacleConfig("box", middle, (0.2, 2.5), 2.5, heading=heading))
    return {"people": tuple(people), "obstacles": tuple(obstacles)}


def _pairs(generator: np.random.Generator, duration: float) -> dict[str, object]:
    """One person half hidden by another, who stands 1 to 3 m in front."""
    people = []
    for at in places(generator, DISTANCES[2:]):
        people.append(_standing(generator, at, duration))
        r, azimuth = math.hypot(*at), math.atan2(at[1], at[0])
        aside = generator.choice([-1, 1]) * generator.uniform(0.2, 0.45) / r
        r -= generator.uniform(1.0, 3.0)
        place = (r * math.cos(azimuth + aside), r * math.sin(azimuth + aside))
        people.append(_standing(generator, place, duration))
    return {"people": tuple(people)}


def _pitch_jumps(generator: np.random.Generator, duration: float) -> dict[str, object]:
    signs = generator.choice([-1, 1], 2)
    angles = (signs * generator.uniform(2, 3, 2)).tolist()
    jumps = [
        PitchJumpConfig(0.3 * duration, angles[0], 0.15 * duration),
        PitchJumpConfig(0.7 * duration, angles[1], 0.15 * duration),
    ]
    return {
        "vehicle": VehicleConfig(pitch_jumps=tuple(jumps)),
        "people": _people(generator, duration, DISTANCES),
    }


def _dropouts(generator: np.random.Generator, duration: float) -> dict[str, object]:
    """Every sensor is silent once, for a quarter of the time."""
    faults = [
        FaultConfig(sensor, "silent", begin * duration, (begin + 0.25) * duration)  # type: ignore[arg-type]
        for sensor, begin in (("lidar", 0.3), ("depth", 0.3), ("scan", 0.5), ("imu", 0.5))
    ]
    faults.append(FaultConfig("camera", "silent", 0.85 * duration, 0.92 * duration))
    return {"people": _people(generator, duration, DISTANCES), "faults": tuple(faults)}


def _standing(
    generator: np.random.Generator, at: tuple[float, float], duration: float
) -> PersonConfig:
    heading = float(generator.uniform(-180, 180))
    return PersonConfig(at, steps=(StepConfig(stay=duration + 1, heading=heading),))


SCENES = {
    "upright": ReportScene("adults who walk and stand, 2 to 30 m away", _upright),
    "mixed_ages": ReportScene("the same, half of them children", _mixed_ages),
    "postures": ReportScene("people who sit, crouch and lie", _postures),
    "crowd": ReportScene("20 people, the vehicle creeps among them", _crowd, moving=True),
    "drive": ReportScene("the vehicle drives and turns", _drive, moving=True),
    "pitching": ReportScene("the vehicle brakes, accelerates and pitches", _pitching, moving=True),
    "tables": ReportScene(
        "a table or a pole in front of each person", _tables, wrong=("depth", "lidar", "scan")
    ),
    "walls": ReportScene(
        "a wall close behind each person", _walls, wrong=("depth", "lidar", "scan")
    ),
    "pairs": ReportScene("people half hidden by others", _pairs, wrong=("depth", "lidar", "scan")),
    "pitch_jumps": ReportScene("the pitch jumps by 2 to 3°", _pitch_jumps, wrong=("ground",)),
    "dropouts": ReportScene("sensors are silent and return", _dropouts),
}
