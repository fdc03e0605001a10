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

from hrnet_pose_ros.cli.doctor import add_doctor
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
    add_doctor(verbs)
    if list(sys.argv[1:2] if arguments is None else arguments[:1]) != ["doctor"]:
        _add_others(verbs)
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


def _add_others(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Every verb but the doctor, which has to start where a library of the others is broken."""
    from hrnet_pose_ros.cli.calibrate import add_calibrate
    from hrnet_pose_ros.cli.compare import add_compare
    from hrnet_pose_ros.cli.compile import add_compile
    from hrnet_pose_ros.cli.evaluate import add_evaluate
    from hrnet_pose_ros.cli.models import add_fetch, add_models
    from hrnet_pose_ros.cli.quantize import add_quantize
    from hrnet_pose_ros.cli.replay import add_bag_info, add_replay
    from hrnet_pose_ros.cli.train import add_train

    add_estimate(verbs)
    add_models(verbs)
    add_fetch(verbs)
    add_export(verbs)
    add_quantize(verbs)
    add_compile(verbs)
    add_evaluate(verbs)
    add_calibrate(verbs)
    add_train(verbs)
    add_replay(verbs)
    add_bag_info(verbs)
    add_compare(verbs)


def add_estimate(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """``hrnet_pose estimate IMAGE|VIDEO|FOLDER -o FOLDER``"""
    from hrnet_pose_ros.engines.choose_engine import DECODINGS, ENGINES, PRECISIONS

    parser = verbs.add_parser(
        "estimate",
        help="find the persons of pictures or a video and their skeletons",
        description="Find persons and their skeletons without ROS; writes pictures with skeletons "
        "and results.json in COCO's result format.",
    )
    parser.add_argument("input", type=Path, metavar="IMAGE|VIDEO|FOLDER")
    parser.add_argument("-o", "--output", type=Path, default=Path("poses"), metavar="FOLDER")
    parser.add_argument(
        "--model",
        default="hrnet_w16_small",
        help="a name (hrnet_pose models), or the path of an exported model or a checkpoint",
    )
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
    from hrnet_pose_ros.detector.person_detector import PersonDetector
    from hrnet_pose_ros.engines.make_engine import make_engine
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


# Options of `export` that say more than the zoo knows, or otherwise.
EXPORT_FACTS = ("configuration", "input_size", "target_sigma", "flip_shift", "colour_order")
POSE_OPTIONS = ("precision", "decoding", "flip_test", "image_size")


def add_export(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """``hrnet_pose export MODEL [-o FILE.onnx]``"""
    from hrnet_pose_ros.model_files.metadata import COLOUR_ORDERS, TARGET_SIGMAS

    parser = verbs.add_parser(
        "export",
        help="write a checkpoint as an ONNX model for the engines",
        description="Write a checkpoint as ONNX, checked against PyTorch. What is known of a "
        "published checkpoint (hrnet_pose models) need not be said. Needs PyTorch and onnx: "
        "pip install 'hrnet_pose_ros[torch]'.",
    )
    parser.add_argument("model", metavar="MODEL", help="checkpoint: a path, or a name of the zoo")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE.onnx",
        help="default for a name of the zoo: NAME.onnx in the user's models folder",
    )
    parser.add_argument("--configuration", metavar="NAME", help="what the file must hold")
    parser.add_argument(
        "--input-size",
        type=_size,
        metavar="HxW",
        help="height and width of the crops in pixels (default: as published, or 256x192)",
    )
    parser.add_argument(
        "--colour-order", choices=COLOUR_ORDERS, help="of the images the weights were trained on"
    )
    parser.add_argument(
        "--target-sigma", type=float, choices=TARGET_SIGMAS, help="of the training targets, cells"
    )
    parser.add_argument(
        "--flip-shift",
        action=argparse.BooleanOptionalAction,
        help="whether a flip test shifts the mirrored heatmap one column (default: as published, "
        "or yes)",
    )
    pose = parser.add_argument_group(
        "with --graph end2end", "what TensorRT compiles: from the camera image to key points"
    )
    pose.add_argument("--graph", choices=("heatmaps", "end2end"), default="heatmaps")
    pose.add_argument(
        "--precision", choices=("float16", "float32"), help="of the network (default float16)"
    )
    pose.add_argument("--decoding", choices=("quarter", "dark"), help="default quarter")
    pose.add_argument(
        "--flip-test", action="store_true", default=None, help="run each crop mirrored as well"
    )
    pose.add_argument(
        "--image-size", type=_size, metavar="HxW", help="of the only images it takes (default: any)"
    )
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.engines.precision_check import load_check_crops
    from hrnet_pose_ros.model_files.end2end_graphs import end2end_file_name
    from hrnet_pose_ros.model_files.find import find_checkpoint, metadata_beside
    from hrnet_pose_ros.model_files.folders import user_models_folder
    from hrnet_pose_ros.model_files.model_file import ONNX

    if options.output is not None and options.output.suffix != ONNX:
        raise ValueError(f"the output must end in {ONNX}, got '{options.output}'")
    found, entry = find_checkpoint(options.model)
    checkpoint = found.path
    if options.output is None and (entry is None or options.model != entry.name):
        raise ValueError(f"say where '{checkpoint}' is to be written: -o FILE{ONNX}")
    given = {name: value for name in POSE_OPTIONS if (value := getattr(options, name)) is not None}
    if given and options.graph != "end2end":
        raise ValueError(f"{', '.join(sorted(given))}: only with --graph end2end")
    file = (
        end2end_file_name(options.model, **given)
        if options.graph == "end2end"
        else options.model + ONNX
    )
    output = options.output or user_models_folder() / file
    facts = {} if entry is None else entry.facts
    facts |= {
        name: getattr(options, name) for name in EXPORT_FACTS if getattr(options, name) is not None
    }
    try:
        from hrnet_pose_ros.network.export import export_onnx
        from hrnet_pose_ros.network.export_end2end import export_end2end_graph
    except ImportError as error:
        raise ImportError(
            f"the export needs PyTorch ({error}): pip install 'hrnet_pose_ros[torch]'"
        ) from error
    facts["calibrated"] = metadata_beside(checkpoint)
    crops = load_check_crops()
    if options.graph == "end2end":
        graph = export_end2end_graph(checkpoint, output, crops=crops, **facts, **given)
        metadata = graph.model
        made = f"end-to-end graph in {graph.precision}, {graph.decoding} decoding, "
        made += "with flip test, " if graph.flip_test else ""
    else:
        metadata = export_onnx(checkpoint, output, crops=crops, **facts)
        made = ""
    print(
        f"{output}: {made}{metadata.configuration}, "
        f"{metadata.input_height}x{metadata.input_width} (HxW), {metadata.colour_order} weights, "
        f"sigma {metadata.target_sigma:g}, checked against PyTorch"
        + (f"; calibrated for {', '.join(metadata.calibrations)}" if metadata.calibrations else "")
    )


def _size(text: str) -> tuple[int, int]:
    """``256x192`` (height x width, as papers write it) to (width, height)."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, like 256x192; got {text!r}")
    return int(match[2]), int(match[1])
