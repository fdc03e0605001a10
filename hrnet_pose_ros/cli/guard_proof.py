# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose guard-proof``: the guard in closed loop, in many simulated rides."""

from __future__ import annotations

import argparse
from pathlib import Path

from hrnet_pose_ros.cli.arguments import Verbs


def add_guard_proof(verbs: Verbs) -> None:
    """``hrnet_pose guard-proof -o FOLDER``"""
    parser = verbs.add_parser(
        "guard-proof",
        help="drive the guard among simulated people, and report its contacts and false stops",
        description="Drive a simulated vehicle with the guard in many rides: crossings, children "
        "from behind obstacles, turns, following, overtaking, standing people, free rides; with "
        "every way in which people, commands and clock may fail. Writes report.json, report.md "
        "and report.html. Exit code 1 if a criterion fails.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rides", type=int, default=1000, metavar="N", help="default 1000")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="default 1")
    parser.add_argument(
        "--free-rides",
        type=int,
        metavar="N",
        help="so many more rides in which nobody is in the way and nothing fails, for the share of "
        "false stops; default three for ten rides",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes, default 1")
    parser.add_argument(
        "--fused-every",
        type=int,
        default=23,
        metavar="N",
        help="every N-th ride has the simulator's sensors and the fusion, 0: none; the others have "
        "people with assumed errors, which the report shows beside; default 23 (with a multiple of "
        "5, none of them has the LIDAR)",
    )
    parser.set_defaults(run=_guard_proof)


def _guard_proof(options: argparse.Namespace) -> int:
    from hrnet_pose_ros.guard.settings import GuardSettings
    from hrnet_pose_ros.guard_proof.proof import rides_of, run_rides
    from hrnet_pose_ros.guard_proof.proof_report import MARKDOWN, PAGE, write_proof
    from hrnet_pose_ros.guard_proof.summary import Summary
    from hrnet_pose_ros.progress import progress

    rides, seed, jobs = options.rides, options.seed, options.jobs
    every, free = options.fused_every, options.free_rides
    free = round(0.3 * rides) if free is None else free
    bounds = (
        ("rides", rides, 1),
        ("free-rides", free, 0),
        ("seed", seed, 0),
        ("jobs", jobs, 1),
        ("fused-every", every, 0),
    )
    for name, value, least in bounds:
        if value < least:
            raise ValueError(f"--{name} must be at least {least}, got {value}")
    options.output.mkdir(parents=True, exist_ok=True)  # first: the rides take minutes
    results = []
    numbers = rides_of(seed, rides, free)
    with progress("guard-proof", "ride", len(numbers)) as bar:
        for result in run_rides(numbers, seed, jobs, every, GuardSettings()):
            results.append(result)
            bar.update()
    summary = Summary(tuple(results))
    command = (
        f"hrnet_pose guard-proof --rides {rides} --free-rides {free} --seed {seed} "
        f"--fused-every {every}"
    )
    write_proof(options.output, summary, seed=seed, command=command)
    for one in summary.criteria:
        word = {True: "holds", False: "FAILS", None: "not measured"}[one.holds]
        print(f"{word:12} {one.name}: {one.measured}; limit {one.limit}")
    print(f"{options.output / MARKDOWN}, {options.output / PAGE}")
    return 0 if summary.holds else 1
