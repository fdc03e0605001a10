# SPDX-License-Identifier: Apache-2.0
"""The time that the fusion takes for one image of a crowd, with a LIDAR of 30,000 points."""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from typing import Any

import numpy as np

from hrnet_pose_ros.fusion.inputs import Skeletons
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.fusion.transforms import FixedExtrinsics
from hrnet_pose_ros.fusion_report.runs import SENSOR_SETS, SimulatedRun, simulate_run
from hrnet_pose_ros.fusion_report.scenes import places, scenario_of_scene
from hrnet_pose_ros.simulation.scenario import SimulationScenario
from hrnet_pose_ros.simulation.scene_configs import PersonConfig, StepConfig
from hrnet_pose_ros.simulation.sensor import generator_of

# Beams and columns of the LIDAR: 30,080 points a sweep.
BEAMS, COLUMNS = 32, 940
# So many people walk to and fro in the camera's view, each at a distance and in a direction of its
# own, m, so that nobody is hidden.
PEOPLE, NEAREST, APART, STRETCH = 20, 7.0, 0.75, 1.0
# The first images make caches.
WARM_UP = 5
TIMED_SETS = ("camera", "lidar", "all")


def crowd_scenario(seed: int, duration: float) -> SimulationScenario:
    """Return a crowd of 20 in the camera's view and a LIDAR of 30,000 points."""
    crowd = scenario_of_scene("crowd", seed, duration)
    lidar = replace(crowd.configs.lidar, beams=BEAMS, columns=COLUMNS)
    near = [NEAREST + APART * n for n in range(PEOPLE)]
    at = places(generator_of(seed, "frame time"), tuple((r, r + APART) for r in near))
    return replace(
        crowd,
        people=tuple(_walker(place, duration) for place in at),
        crowd=None,
        configs=replace(crowd.configs, lidar=lidar),
    )


def _walker(at: tuple[float, float], duration: float) -> PersonConfig:
    """Return somebody who walks away from the camera and back."""
    further = 1 + STRETCH / math.hypot(*at)
    ends = (at[0] * further, at[1] * further), at
    steps = tuple(StepConfig(walk_to=ends[n % 2]) for n in range(math.ceil(2 * duration)))
    return PersonConfig(at, steps=steps)


def frame_times(seed: int, duration: float) -> list[dict[str, Any]]:
    """Return, by set of sensors, the CPU time for one image with all that arrived before it, ms.

    It is the time of the process; the load of the machine and the time on the wall are beside it.
    """
    run = simulate_run(crowd_scenario(seed, duration), moving=True)
    return [_timed(run, name) for name in TIMED_SETS]


def _timed(run: SimulatedRun, name: str) -> dict[str, Any]:
    fusion = PeopleFusion(FusionSettings(), FixedExtrinsics(run.extrinsics))
    spent, elapsed, people = [], [], []
    cpu = wall = 0.0
    for event in run.events:
        if event.sensor not in SENSOR_SETS[name]:
            continue
        begin, begin_wall = time.process_time(), time.perf_counter()
        if isinstance(event.value, Skeletons):
            fusion.fuse(event.value, event.arrival)
        else:
            fusion.receive(event.value, event.arrival)
        cpu += time.process_time() - begin
        wall += time.perf_counter() - begin_wall
        if isinstance(event.value, Skeletons):
            spent.append(cpu)
            elapsed.append(wall)
            people.append(len(event.value))
            cpu = wall = 0.0
    times, on_wall = 1e3 * np.array(spent[WARM_UP:]), 1e3 * np.array(elapsed[WARM_UP:])
    if not len(times):
        return {"sensors": name, "images": 0}
    return {
        "sensors": name,
        "images": len(times),
        "skeletons": float(np.mean(people[WARM_UP:])),
        "points": BEAMS * COLUMNS if "lidar" in SENSOR_SETS[name] else 0,
        "cpu_p50_ms": float(np.median(times)),
        "cpu_p95_ms": float(np.quantile(times, 0.95)),
        "wall_p50_ms": float(np.median(on_wall)),
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }
