# SPDX-License-Identifier: Apache-2.0
"""What the verbs' arguments have in common."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, TypeAlias

from hrnet_pose_ros.files import write_file

# What `add_subparsers` returns; argparse has no public name for it.
Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def height_x_width(text: str) -> tuple[int, int]:
    """``256x192`` (height x width, as papers write it) to (width, height): an argparse ``type``."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, like 256x192; got {text!r}")
    return int(match[2]), int(match[1])


def positive(text: str) -> int:
    """A number from 1 on: an argparse ``type``."""
    number = whole_number(text)
    if not number:
        raise argparse.ArgumentTypeError("must be at least 1, got 0")
    return number


def whole_number(text: str) -> int:
    """A number from 0 on: an argparse ``type``."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}")
    return int(text)


def write_json(path: Path | None, content: Any) -> None:
    """Write what an option ``--json FILE`` asks for, where it was given."""
    if path is not None:
        write_file(path, json.dumps(content, indent=1) + "\n")
        print(f"wrote {path}", file=sys.stderr)


def add_bag_inputs(parser: argparse.ArgumentParser) -> None:
    """A bag of images and detections, and the parameters with which they are read."""
    parser.add_argument("bag", type=Path, metavar="BAG", help="a folder, .mcap or .db3 file")
    add_parameters_and_topics(parser)


def add_parameters_and_topics(parser: argparse.ArgumentParser) -> None:
    """The parameters with which bags are read, and their topics."""
    parser.add_argument("--params-file", type=Path, metavar="YAML", help="the node's parameters")
    parser.add_argument("--image", metavar="TOPIC", help="default: the only image topic")
    parser.add_argument("--detections", metavar="TOPIC", help="default: the only one there is")
