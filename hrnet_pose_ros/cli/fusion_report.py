# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose fusion-report``: how well people are found in metres, on simulated or real data."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from hrnet_pose_ros.cli.arguments import Verbs
from hrnet_pose_ros.cli.engine_options import EngineChoice, add_engine_options

RUNS, DURATION = 10, 8.0
QUICK_RUNS, QUICK_DURATION = 2, 3.0


def add_fusion_report(verbs: Verbs) -> None:
    """``hrnet_pose fusion-report -o FOLDER``"""
    parser = verbs.add_parser(
        "fusion-report",
        help="measure the fusion of people against the truth",
        description="Measure the fusion of people: errors of position, heading and posture, "
        "whether covariances are honest, tracks, wrong cues and time, on simulated scenes with "
        "several sets of sensors; or, with --kitti, the distance of people in KITTI-formatted "
        "folders. Writes report.json, report.md and plots.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--runs", type=int, metavar="N", help=f"of each scene, with seeds S … (default {RUNS})"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the first (default 1)")
    parser.add_argument(
        "--duration", type=float, metavar="S", help=f"seconds of each run (default {DURATION:g})"
    )
    parser.add_argument(
        "--sensors",
        nargs="+",
        default=[],
        metavar="SET",
        help="sets of sensors: camera imu depth lidar scan ultrasonic all, or names of sensors "
        "like camera,lidar,imu; default: these seven",
    )
    parser.add_argument(
        "--scenes", nargs="+", default=[], metavar="SCENE", help="only these; default: all"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_RUNS} runs of {QUICK_DURATION:g} s, to try it out",
    )
    parser.add_argument(
        "--kitti",
        type=Path,
        metavar="DIR",
        help="KITTI-formatted folders (single frames, or a drive) in place of simulated scenes",
    )
    add_engine_options(parser, model_option=True)
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.fusion_report.report import (
        check_scenes,
        kitti_report,
        sensor_sets,
        simulated_report,
    )

    if options.kitti is not None:
        from hrnet_pose_ros.detector.person_detector import PersonDetector
        from hrnet_pose_ros.fusion_report.kitti_files import read_kitti

        folder = Path(os.path.abspath(options.kitti))  # '.' has no name
        sequences = read_kitti(folder)  # first: an engine takes seconds
        engine, detect = EngineChoice.of(options).make(), PersonDetector().detect
        written = kitti_report(options.output, folder.name, sequences, engine, detect)
    else:
        runs, duration = (QUICK_RUNS, QUICK_DURATION) if options.quick else (RUNS, DURATION)
        runs = runs if options.runs is None else options.runs
        duration = duration if options.duration is None else options.duration
        if runs < 1 or options.seed < 0 or not 1 <= duration <= 3600:
            raise ValueError(
                f"--runs must be 1 or more, --seed 0 or more, and --duration 1 to 3600 s; got "
                f"{runs}, {options.seed} and {duration:g}"
            )
        written = simulated_report(
            options.output,
            scenes=check_scenes(options.scenes),
            sets=sensor_sets(options.sensors),
            runs=runs,
            seed=options.seed,
            duration=duration,
        )
    for path in written:
        print(path)
