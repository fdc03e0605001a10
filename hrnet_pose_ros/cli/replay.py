# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose replay``: the node's work on a bag, without ROS."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hrnet_pose_ros.cli.arguments import Verbs, add_bag_inputs
from hrnet_pose_ros.cli.engine_options import add_engine_options, given_engine_options


def add_replay(verbs: Verbs) -> None:
    """``hrnet_pose replay BAG -o OUT_BAG``"""
    parser = verbs.add_parser(
        "replay",
        help="run the node's work on a rosbag2, without ROS",
        description="Read images and detections of a rosbag2 and write their skeletons into a new "
        "one, by the node's own code and without ROS. Two runs with the same model and precision "
        "on the same machine write the same messages. The engine's options win over the parameter "
        "file.",
    )
    add_bag_inputs(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT_BAG")
    add_engine_options(parser, model_option=True)
    parser.set_defaults(run=_replay)


def _replay(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.replay.offline import replay
    from hrnet_pose_ros.replay.parameter_file import settings_of

    settings = settings_of(options.params_file, given_engine_options(options))
    done = replay(
        options.bag,
        options.output,
        settings,
        image=options.image,
        detections=options.detections,
        warn=lambda text: print(text, file=sys.stderr),
    )
    print(f"{options.output}: {done.summary()}")
