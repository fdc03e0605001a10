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

from hrnet_pose_ros.replay.compare_verb import add_compare
from hrnet_pose_ros.replay.verbs import add_bag_info, add_replay
from hrnet_pose_ros.version import VERSION

# What argparse itself exits with when the arguments are wrong.
USER_ERROR = 2
# What a shell gives for a program that Ctrl-C ended.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0 or what the verb says (`compare`: 1 for a fail), 2
    after an error of the user's, or 130 after Ctrl-C.

    User errors (ValueError, RuntimeError and OSError by the project's convention) are printed as
    one line.
    """
    parser = argparse.ArgumentParser(
        prog="hrnet_pose", description="Human pose by HRNet: tools beside the ROS 2 node."
    )
    parser.add_argument("--version", action="version", version=f"hrnet_pose {VERSION}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    add_estimate(verbs)
    add_export(verbs)
    add_replay(verbs)
    add_bag_info(verbs)
    add_compare(verbs)
    options = parser.parse_args(arguments)
    try:
        code = options.run(options)
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        line = " ".join(str(error).split())
        print(f"hrnet_pose: {line or type(error).__name__}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    return code or 0


Verbs = argparse._SubParsersAction  # argparse has no public name for what add_parser belongs to


def add_estimate(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """``hrnet_pose estimate IMAGE|VIDEO|FOLDER -o FOLDER``"""
    from hrnet_pose_ros.engines.make_engine import DECODINGS, ENGINES, PRECISIONS

    parser = verbs.add_parser(
        "estimate",
        help="find the persons of pictures or a video and their skeletons",
        description="Find persons and their skeletons without ROS; writes pictures with skeletons "
        "and results.json in COCO's result format.",
    )
    parser.add_argument("input", type=Path, metavar="IMAGE|VIDEO|FOLDER")
    parser.add_argument("-o", "--output", type=Path, default=Path("poses"), metavar="FOLDER")
    parser.add_argument("--model", default="hrnet_w16_small", help="a bundled name, or a path")
    parser.add_argument("--engine", choices=ENGINES, default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--decoding", choices=DECODINGS, default="quarter")
    parser.add_argument(
        "--min-score", type=float, default=0.5, metavar="S", help="of a detection (default 0.5)"
    )
    parser.add_argument(
        "--whole-image", action="store_true", help="no detector: each picture is one person"
    )
    parser.set_defaults(run=_estimate)


def _estimate(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.engines.make_engine import make_engine
    from hrnet_pose_ros.engines.person_detector import PersonDetector
    from hrnet_pose_ros.estimate import RESULTS, estimate_path, whole_frame

    if not options.input.exists():  # before the engine takes its time
        raise FileNotFoundError(f"{options.input} does not exist")
    engine = make_engine(
        options.model,
        engine=options.engine,
        precision=options.precision,
        decoding=options.decoding,
    )
    detect = whole_frame if options.whole_image else PersonDetector(options.min_score).detect
    estimates = estimate_path(options.input, options.output, engine, detect)
    for skipped in estimates.skipped:
        print(f"skipped: {skipped}", file=sys.stderr)
    print(
        f"{len(estimates.results)} persons in {estimates.images} images: pictures and {RESULTS} "
        f"in {options.output}"
    )


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
