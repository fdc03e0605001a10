# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose bag-info``: what a bag holds, and what the node would make of it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hrnet_pose_ros.cli.arguments import Verbs, add_bag_inputs


def add_bag_info(verbs: Verbs) -> None:
    """``hrnet_pose bag-info BAG``"""
    parser = verbs.add_parser(
        "bag-info",
        help="say what a rosbag2 holds and what the node would make of it",
        description="Rates, gaps, stamps, encodings, and what the node would drop and why: the "
        "first thing to run when nothing comes out. Of a bag with skeletons, also what the sensors "
        "send to the fusion: units, registration, places on the vehicle, stamps, signs.",
    )
    add_bag_inputs(parser)
    parser.add_argument(
        "--fusion-params-file",
        type=Path,
        metavar="YAML",
        help="the parameters of person_fusion, whose inputs are checked if there are skeletons",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_bag_info)


def _bag_info(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
    from hrnet_pose_ros.replay.bag_advice import text_of
    from hrnet_pose_ros.replay.bag_info import bag_info
    from hrnet_pose_ros.replay.parameter_file import node_settings, settings_of

    settings = settings_of(options.params_file, {})
    fusion = node_settings(options.fusion_params_file, {}, PersonFusionSettings, "person_fusion")
    report: Any = bag_info(
        options.bag,
        settings,
        image=options.image,
        detections=options.detections,
        fusion=fusion,
    )
    print(json.dumps(report.to_json(), indent=1) if options.json else text_of(report))
