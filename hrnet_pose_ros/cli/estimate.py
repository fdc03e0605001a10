# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose estimate``: the persons of pictures or a video and their skeletons."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hrnet_pose_ros.cli.arguments import Verbs
from hrnet_pose_ros.cli.engine_options import EngineChoice, add_engine_options


def add_estimate(verbs: Verbs) -> None:
    """``hrnet_pose estimate IMAGE|VIDEO|FOLDER -o FOLDER``"""
    parser = verbs.add_parser(
        "estimate",
        help="find the persons of pictures or a video and their skeletons",
        description="Find persons and their skeletons without ROS; writes pictures with skeletons "
        "and results.json in COCO's result format.",
    )
    parser.add_argument("input", type=Path, metavar="IMAGE|VIDEO|FOLDER")
    parser.add_argument("-o", "--output", type=Path, default=Path("poses"), metavar="FOLDER")
    add_engine_options(parser, model_option=True)
    parser.add_argument(
        "--min-score", type=float, default=0.5, metavar="S", help="of a detection (default 0.5)"
    )
    parser.add_argument(
        "--whole-image", action="store_true", help="no detector: each picture is one person"
    )
    parser.set_defaults(run=_estimate)


def _estimate(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.detector.person_detector import PersonDetector
    from hrnet_pose_ros.estimate import RESULTS, estimate_path, whole_frame

    if not options.input.exists():  # before the engine takes its time
        raise FileNotFoundError(f"{options.input} does not exist")
    engine = EngineChoice.of(options).make()
    detect = whole_frame if options.whole_image else PersonDetector(options.min_score).detect
    estimates = estimate_path(options.input, options.output, engine, detect)
    for skipped in estimates.skipped:
        print(f"skipped: {skipped}", file=sys.stderr)
    print(
        f"{len(estimates.results)} persons in {estimates.images} images: pictures and {RESULTS} "
        f"in {options.output}"
    )
