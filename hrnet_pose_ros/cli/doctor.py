# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose doctor``"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys

from hrnet_pose_ros.cli.arguments import Verbs


def add_doctor(verbs: Verbs) -> None:
    """``hrnet_pose doctor [--json] [--strict]``"""
    parser = verbs.add_parser(
        "doctor",
        help="say what is installed and found here, and whether a node can run",
        description="Look at Python, ROS 2, the middleware, processor, GPU, engines, models and "
        "compiled plans. Exit code: 0 a node can run here with the default parameters, 1 it "
        "cannot (the lines marked ERROR say why).",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--strict", action="store_true", help="exit with 1 after warnings too")
    parser.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from hrnet_pose_ros.doctor.probes import run_probes
    from hrnet_pose_ros.doctor.summary import Report

    report = Report(run_probes())
    if options.json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        terminal = sys.stdout.isatty()
        width = min(shutil.get_terminal_size((100, 40)).columns, 120) if terminal else 100
        print(report.text(max(width, 60), colour=terminal and "NO_COLOR" not in os.environ))
    return report.code(options.strict)
