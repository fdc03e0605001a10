# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose fleet``: replay many bags."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_pose_ros.cli.arguments import (
    Verbs,
    add_parameters_and_topics,
    positive,
    whole_number,
)
from hrnet_pose_ros.cli.engine_options import add_engine_options, given_engine_options

if TYPE_CHECKING:
    from hrnet_pose_ros.fleet.run import FleetPlan, Shard

INCOMPLETE = 1
RETRIES = 2


def add_fleet(verbs: Verbs) -> None:
    """``hrnet_pose fleet MANIFEST -o FOLDER``"""
    parser = verbs.add_parser(
        "fleet",
        help="replay many bags, on many processes or machines",
        description="Replay every bag of a manifest as `replay` does, once: what is done already "
        "is never done again, whenever the fleet was interrupted. Exit code: 0 every bag is done, "
        "1 some failed, 2 bad input.",
    )
    parser.add_argument(
        "manifest",
        metavar="MANIFEST",
        help="a folder of bags, a pattern, a list (.txt), or a manifest with tags (.yaml, .json, "
        ".csv); local, or a URL that fsspec opens",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    add_parameters_and_topics(parser)
    add_engine_options(parser, model_option=True)
    workers = parser.add_argument_group("workers")
    workers.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="processes, each with an engine, that share the cores (default 1); with --ray: "
        "actors (default: as many as fit)",
    )
    workers.add_argument(
        "--ray", metavar="ADDRESS", help="work on a Ray cluster: auto, HOST:6379, ray://HOST:10001"
    )
    workers.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="do only part I of N, which counts from 0: for arrays of jobs",
    )
    workers.add_argument(
        "--retries",
        type=whole_number,
        default=RETRIES,
        metavar="N",
        help=f"how often a bag that failed is tried again (default {RETRIES})",
    )
    workers.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="for copies of remote bags while they are replayed (default: TMPDIR)",
    )
    parser.add_argument(
        "--identity",
        choices=("stat", "content"),
        default="stat",
        help="tell a bag by the sizes and times of its files (or ETags), or by checksums of their "
        "content (default stat)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list the bags with their states; do nothing"
    )
    parser.set_defaults(run=_fleet)


def _fleet(options: argparse.Namespace) -> int:
    from hrnet_pose_ros.fleet.manifest import read_manifest
    from hrnet_pose_ros.fleet.recipe import Recipe
    from hrnet_pose_ros.fleet.run import FleetPlan, Shard, local_slots, run_fleet
    from hrnet_pose_ros.replay.parameter_file import settings_of

    settings = settings_of(options.params_file, given_engine_options(options))
    bags = read_manifest(options.manifest)
    topics = options.image, options.detections
    shard = options.shard or Shard()
    if options.ray is None:
        plan = FleetPlan.of(bags, options.output, Recipe.of(settings, *topics), options.identity)
        slots = local_slots(plan, options.jobs or 1, options.cache)
    else:
        from hrnet_pose_ros.fleet.ray_workers import connect, ray_recipe, ray_slots

        ray = connect(options.ray)
        recipe = ray_recipe(ray, settings, *topics)
        plan = FleetPlan.of(bags, options.output, recipe, options.identity)
        slots = ray_slots(ray, recipe, options.jobs, options.cache)

    for names in plan.same_content().values():
        print(f"the same bag under several names: {', '.join(names)}", file=sys.stderr)
    if options.dry_run:
        return _list(plan, shard)
    several = options.ray is not None or shard.count > 1
    if several and (why := plan.recipe.depends_on_machine):
        print(why, file=sys.stderr)
    summary = run_fleet(plan, shard=shard, slots=slots, retries=options.retries)
    print(f"{options.output}: {summary.text()}")
    for name, reason in sorted(summary.failed.items()):
        print(f"failed: {name}: {reason}", file=sys.stderr)
    return INCOMPLETE if summary.failed else 0


def _list(plan: FleetPlan, shard: Shard) -> int:
    for task in sorted(shard.share(plan.tasks), key=lambda task: task.bag.name):
        tags = ", ".join(f"{name}={value}" for name, value in task.bag.tags.items())
        print(f"{plan.folder.state(task.key)}  {task.bag.name}" + (f"  ({tags})" if tags else ""))
    return 0


def _shard(text: str) -> Shard:
    from hrnet_pose_ros.fleet.run import Shard

    try:
        return Shard.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
