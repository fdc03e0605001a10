# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose export``: a checkpoint as an ONNX model for the engines."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from hrnet_pose_ros.cli.arguments import Verbs, height_x_width
from hrnet_pose_ros.cli.engine_options import add_parameter_option

# Options of `export` that say more than the zoo knows, or otherwise.
EXPORT_FACTS = (
    *("configuration", "input_size", "target_sigma", "flip_shift", "colour_order", "crop"),
)
END2END_OPTIONS = ("precision", "decoding", "flip_test", "image_size")


def add_export(verbs: Verbs) -> None:
    """``hrnet_pose export MODEL [-o FILE.onnx]``"""
    from hrnet_pose_ros.model_files.metadata import COLOUR_ORDERS, TARGET_SIGMAS
    from hrnet_pose_ros.pose.boxes import CropRule

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
        type=height_x_width,
        metavar="HxW",
        help="height and width of the crops in pixels (default: as published, or 256x192)",
    )
    parser.add_argument(
        "--colour-order", choices=COLOUR_ORDERS, help="of the images the weights were trained on"
    )
    parser.add_argument(
        "--crop",
        choices=get_args(CropRule),
        help="crop rule that the weights were trained with: the HRNet reference's, or udp for "
        "unbiased data processing (default: as published, or reference)",
    )
    parser.add_argument(
        "--target-sigma", type=float, choices=TARGET_SIGMAS, help="of the training targets, cells"
    )
    parser.add_argument(
        "--skeleton",
        metavar="NAME|FILE.yaml",
        help="the joints of the weights: a shipped definition or your own (default: as published, "
        "as trained, or coco17)",
    )
    parser.add_argument(
        "--flip-shift",
        action=argparse.BooleanOptionalAction,
        help="whether a flip test shifts the mirrored heatmap one column (default: as published, "
        "or yes; with --crop udp always no)",
    )
    end2end = parser.add_argument_group(
        "with --graph end2end", "what TensorRT compiles: from the camera image to key points"
    )
    end2end.add_argument("--graph", choices=("heatmaps", "end2end"), default="heatmaps")
    end2end.add_argument(
        "--precision", choices=("float16", "float32"), help="of the network (default float16)"
    )
    add_parameter_option(end2end, "decoding")
    add_parameter_option(end2end, "flip_test")
    end2end.add_argument(
        "--image-size",
        type=height_x_width,
        metavar="HxW",
        help="of the only images it takes (default: any)",
    )
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.engines.precision_check import load_check_crops
    from hrnet_pose_ros.model_files.end2end_graphs import end2end_file_name
    from hrnet_pose_ros.model_files.find import find_checkpoint, metadata_beside
    from hrnet_pose_ros.model_files.folders import user_models_folder
    from hrnet_pose_ros.model_files.model_file import ONNX
    from hrnet_pose_ros.skeleton import find_skeleton

    if options.output is not None and options.output.suffix != ONNX:
        raise ValueError(f"the output must end in {ONNX}, got '{options.output}'")
    found, entry = find_checkpoint(options.model)
    checkpoint = found.path
    if options.output is None and (entry is None or options.model != entry.name):
        raise ValueError(f"say where '{checkpoint}' is to be written: -o FILE{ONNX}")
    given = {
        name: value for name in END2END_OPTIONS if (value := getattr(options, name)) is not None
    }
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
    if options.skeleton is not None:
        facts["skeleton"] = find_skeleton(options.skeleton)
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
        f"{metadata.input_height}x{metadata.input_width} (HxW), {metadata.skeleton.joints} joints "
        f"({metadata.skeleton.name}), {metadata.colour_order} weights, "
        + ("udp crops, " if metadata.crop == "udp" else "")
        + f"sigma {metadata.target_sigma:g}, checked against PyTorch"
        + (f"; calibrated for {', '.join(metadata.calibrations)}" if metadata.calibrations else "")
    )
