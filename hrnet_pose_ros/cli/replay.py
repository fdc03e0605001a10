# SPDX-License-Identifier: Apache-2.0
"""The verbs ``replay`` and ``bag-info`` of the command ``hrnet_pose``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

Verbs = argparse._SubParsersAction  # argparse has no public name for what add_parser belongs to

ENGINE_OPTIONS = ("model", "engine", "precision", "decoding")


def add_replay(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """``hrnet_pose replay BAG -o OUT_BAG``"""
    from hrnet_pose_ros.engines.choose_engine import DECODINGS, ENGINES, PRECISIONS

    parser = verbs.add_parser(
        "replay",
        help="run the node's work on a rosbag2, without ROS",
        description="Read images and detections of a rosbag2 and write their skeletons into a new "
        "one, by the node's own code and without ROS. Two runs with the same model and precision "
        "on the same machine write the same messages.",
    )
    _add_inputs(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT_BAG")
    parser.add_argument("--model", help="a bundled name, or a path")
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--precision", choices=PRECISIONS)
    parser.add_argument("--decoding", choices=DECODINGS)
    parser.set_defaults(run=_replay)


def _replay(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.replay.offline import replay
    from hrnet_pose_ros.replay.parameter_file import settings_of

    given = {name: getattr(options, name) for name in ENGINE_OPTIONS}
    settings = settings_of(
        options.params_file, {name: value for name, value in given.items() if value is not None}
    )
    done = replay(
        options.bag,
        options.output,
        settings,
        image=options.image,
        detections=options.detections,
        warn=lambda text: print(text, file=sys.stderr),
    )
    print(f"{options.output}: {done.summary()}")


def add_bag_info(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """``hrnet_pose bag-info BAG``"""
    parser = verbs.add_parser(
        "bag-info",
        help="say what a rosbag2 holds and what the node would make of it",
        description="Rates, gaps, stamps, encodings, and what the node would drop and why: the "
        "first thing to run when nothing comes out.",
    )
    _add_inputs(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_bag_info)


def _bag_info(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.replay.bag_advice import text_of
    from hrnet_pose_ros.replay.bag_info import bag_info
    from hrnet_pose_ros.replay.parameter_file import settings_of

    settings = settings_of(options.params_file, {})
    report: Any = bag_info(
        options.bag, settings, image=options.image, detections=options.detections
    )
    print(json.dumps(report.to_json(), indent=1) if options.json else text_of(report))


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, metavar="BAG", help="a folder, .mcap or .db3 file")
    parser.add_argument("--params-file", type=Path, metavar="YAML", help="the node's parameters")
    parser.add_argument("--image", metavar="TOPIC", help="default: the only image topic")
    parser.add_argument("--detections", metavar="TOPIC", help="default: the only one there is")
