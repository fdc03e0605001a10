# SPDX-License-Identifier: Apache-2.0
"""The command ``hrnet_pose VERB``: everything that runs without ROS.

Each verb has a function ``add_<verb>`` that describes its arguments, and one that runs it and
imports what it needs only then.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hrnet_pose_ros.version import VERSION

# What argparse itself exits with when the arguments are wrong.
USER_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0, or 2 after an error of the user's.

    User errors (ValueError, RuntimeError and OSError by the project's convention) are printed as
    one line.
    """
    parser = argparse.ArgumentParser(
        prog="hrnet_pose", description="Human pose by HRNet: tools beside the ROS 2 node."
    )
    parser.add_argument("--version", action="version", version=f"hrnet_pose {VERSION}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    add_export(verbs)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        line = " ".join(str(error).split())
        print(f"hrnet_pose: {line or type(error).__name__}", file=sys.stderr)
        return USER_ERROR
    return 0


Verbs = argparse._SubParsersAction  # argparse has no public name for what add_parser belongs to


def add_export(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """``hrnet_pose export MODEL -o FILE.onnx``"""
    parser = verbs.add_parser(
        "export",
        help="write a checkpoint as an ONNX model for the engines",
        description="Write a checkpoint as ONNX, checked against PyTorch. Needs PyTorch and onnx: "
        "pip install 'hrnet_pose_ros[torch]'.",
    )
    parser.add_argument("model", metavar="MODEL", help="checkpoint: a path, or a bundled name")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE.onnx")
    parser.add_argument("--configuration", metavar="NAME", help="what the file must hold")
    parser.add_argument(
        "--input-size",
        type=_size,
        default=(192, 256),
        metavar="HxW",
        help="height and width of the crops in pixels (default 256x192)",
    )
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.engines.model_files import CHECKPOINT, ONNX, find_model
    from hrnet_pose_ros.engines.precision_check import load_check_crops

    if options.output.suffix != ONNX:
        raise ValueError(f"the output must end in {ONNX}, got '{options.output}'")
    checkpoint = find_model(options.model, CHECKPOINT)
    try:
        from hrnet_pose_ros.network.export import export_onnx
    except ImportError as error:
        raise ImportError(
            f"the export needs PyTorch ({error}): pip install 'hrnet_pose_ros[torch]'"
        ) from error
    metadata = export_onnx(
        checkpoint,
        options.output,
        crops=load_check_crops(),
        input_size=options.input_size,
        configuration=options.configuration,
    )
    print(
        f"{options.output}: {metadata.configuration}, "
        f"{metadata.input_height}x{metadata.input_width} (HxW), checked against PyTorch"
    )


def _size(text: str) -> tuple[int, int]:
    """``256x192`` (height x width, as papers write it) to (width, height)."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, like 256x192; got {text!r}")
    return int(match[2]), int(match[1])
