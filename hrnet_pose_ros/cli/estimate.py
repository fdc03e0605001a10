# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose estimate``: the persons of pictures or a video and their skeletons."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_pose_ros.cli.arguments import Verbs
from hrnet_pose_ros.cli.engine_options import EngineChoice, add_engine_options

if TYPE_CHECKING:
    from hrnet_pose_ros.estimate import Detect

# Exit code where an input could not be read, or not completely.
INCOMPLETE = 1

DETECTOR_OPTIONS = ("min_score", "tile_columns", "tile_rows")


def add_estimate(verbs: Verbs) -> None:
    """``hrnet_pose estimate IMAGE|VIDEO|FOLDER -o FOLDER``"""
    parser = verbs.add_parser(
        "estimate",
        help="find the persons of pictures or a video and their skeletons",
        description="Find persons and their skeletons without ROS; writes pictures with skeletons "
        "and results.json in COCO's result format. The exit code is 1 where a picture or a part of "
        "a video could not be read.",
    )
    parser.add_argument("input", type=Path, metavar="IMAGE|VIDEO|FOLDER")
    parser.add_argument("-o", "--output", type=Path, default=Path("poses"), metavar="FOLDER")
    add_engine_options(parser, model_option=True)
    parser.add_argument("--min-score", type=float, metavar="S", help="of a detection (default 0.5)")
    for name, direction in (("--tile-columns", "across"), ("--tile-rows", "down")):
        parser.add_argument(
            name,
            type=int,
            metavar="N",
            help=f"overlapping tiles {direction} that the detector looks at beside the whole "
            "picture; 1 and 1: none, fastest (default 4 columns, 2 rows)",
        )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="HZ",
        help="the folder contains a sequence of so many images per second: persons get a track_id, "
        "as those of a video do",
    )
    parser.add_argument(
        "--whole-image", action="store_true", help="no detector: each picture is one person"
    )
    parser.set_defaults(run=_estimate)


def _estimate(options: argparse.Namespace) -> int:
    from hrnet_pose_ros.estimate import RESULTS, estimate_path

    if not options.input.exists():  # before the engine takes its time
        raise FileNotFoundError(f"{options.input} does not exist")
    detect = _detect(options)
    engine = EngineChoice.of(options).make()
    estimates = estimate_path(options.input, options.output, engine, detect, rate=options.rate)
    for skipped in estimates.skipped:
        print(f"incomplete: {skipped}", file=sys.stderr)
    print(
        f"{len(estimates.results)} persons in {estimates.images} images: pictures and {RESULTS} "
        f"in {options.output}"
    )
    return INCOMPLETE if estimates.skipped else 0


def _detect(options: argparse.Namespace) -> Detect:
    """What finds the persons of a frame."""
    from hrnet_pose_ros.detector.person_detector import DEFAULT_TILES, PersonDetector
    from hrnet_pose_ros.estimate import whole_frame

    columns, rows = DEFAULT_TILES
    given = {
        name: value for name in DETECTOR_OPTIONS if (value := getattr(options, name)) is not None
    }
    if options.whole_image:
        if given:
            names = ", ".join("--" + name.replace("_", "-") for name in given)
            raise ValueError(f"{names}: of the detector, which --whole-image leaves out")
        return whole_frame
    return PersonDetector(
        min_score=given.get("min_score", 0.5),
        tiles=(given.get("tile_columns", columns), given.get("tile_rows", rows)),
    ).detect
