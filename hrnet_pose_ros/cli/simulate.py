# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose simulate``: a bag of a simulated vehicle among walking people, with the truth."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from hrnet_pose_ros.cli.arguments import Verbs


def add_simulate(verbs: Verbs) -> None:
    """``hrnet_pose simulate [SCENARIO] -o BAG``"""
    parser = verbs.add_parser(
        "simulate",
        help="write a bag of a simulated vehicle among people, with the truth",
        description="Simulate a vehicle with camera, depth camera, LIDAR, laser scanner, "
        "ultrasonic sensors, IMU and odometry among walking people, and write what the sensors "
        "give as a rosbag2, with the truth about the people. The same scenario and seed write the "
        "same bag. The camera's errors are drawn from errors measured on labelled images.",
    )
    parser.add_argument(
        "scenario",
        nargs="?",
        default="drive",
        metavar="SCENARIO",
        help="a bundled scenario's name (default drive) or a YAML file",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("-o", "--output", type=Path, metavar="BAG", help="the new bag")
    target.add_argument("--list", action="store_true", help="list the bundled scenarios")
    parser.add_argument("--seed", type=int, metavar="N", help="default: the scenario's")
    parser.add_argument("--duration", type=float, metavar="S", help="default: the scenario's")
    parser.add_argument(
        "--sensors",
        metavar="NAMES",
        help="only these, separated by commas, like camera,lidar,imu; default: the scenario's",
    )
    parser.add_argument(
        "--pictures", action="store_true", help="also write pictures of the scene, to look at"
    )
    parser.set_defaults(run=_simulate)


def _simulate(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.progress import progress
    from hrnet_pose_ros.simulation.bag import write_simulation
    from hrnet_pose_ros.simulation.scenario import bundled_scenarios, find_scenario, read_simulation
    from hrnet_pose_ros.simulation.simulator import with_changes

    if options.list:
        for name, path in bundled_scenarios().items():
            print(f"{name:16} {read_simulation(path).name}")
        return
    sensors = None
    if options.sensors is not None:
        sensors = tuple(name.strip() for name in options.sensors.split(","))
    scenario = with_changes(
        read_simulation(find_scenario(options.scenario)),
        seed=options.seed,
        duration=options.duration,
        sensors=sensors,
    )
    with progress(scenario.name, "s", math.ceil(scenario.duration)) as bar:
        written = write_simulation(
            options.output,
            scenario,
            pictures=options.pictures,
            advance=lambda seconds: bar.update(min(int(seconds), bar.total) - bar.n),
        )
    print(f"{options.output}: {written.summary()}")
