# SPDX-License-Identifier: Apache-2.0
"""The verb ``quantize`` of the command ``hrnet_pose``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

Verbs = argparse._SubParsersAction  # argparse has no public name for what add_parser belongs to

BUNDLED = "check_crops"
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def add_quantize(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """``hrnet_pose quantize MODEL.onnx -o MODEL_int8.onnx``"""
    parser = verbs.add_parser(
        "quantize",
        help="write a model in float32 as one in 8 bits",
        description="Quantise the convolutions of a model to int8, calibrated on crops of "
        "persons, and say how far the key points of other crops move. A model (MODEL.onnx) is "
        "quantised for OpenVINO, and not written where its mean OKS against float32 is below "
        "0.98; an end-to-end graph in float32 (MODEL_end2end_float32.onnx) for TensorRT: look at "
        "the figures, float16 costs no accuracy, int8 does. Needs onnx and onnxruntime, for "
        "OpenVINO also nncf.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.onnx")
    parser.add_argument(
        "--crops",
        default=BUNDLED,
        metavar="FOLDER",
        help="pictures of one person each, cut as the network sees them (about 1.25 times the "
        "person's box, some hundred of them from the vehicle's own camera); default: "
        f"{BUNDLED}, the bundled eight, to try it out",
    )
    parser.set_defaults(run=_quantize)


def _quantize(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.engines.precision_check import load_check_crops
    from hrnet_pose_ros.model_files.metadata import ModelMetadata
    from hrnet_pose_ros.model_files.model_file import ONNX, ModelFile

    if options.output.suffix != ONNX:
        raise ValueError(f"the output must end in {ONNX}, got '{options.output}'")
    if not options.model.is_file():
        raise FileNotFoundError(f"no model at '{options.model.absolute()}'")
    bundled = options.crops == BUNDLED
    crops = load_check_crops() if bundled else load_crops(Path(options.crops))
    file = ModelFile.read(options.model)
    if file.kind == "end2end":
        from hrnet_pose_ros.network.quantize import quantize_end2end_graph

        graph, change = quantize_end2end_graph(file, options.output, crops)
        model: ModelMetadata = graph.model
        engine = "TensorRT"
    else:
        from hrnet_pose_ros.network.quantize_heatmaps import quantize_heatmap_graph

        model, change = quantize_heatmap_graph(file, options.output, crops)
        engine = "OpenVINO"
    print(f"{options.output}: {model.name} in int8 for {engine}, {change}")


def load_crops(folder: Path) -> np.ndarray:
    """All pictures of a folder, uint8 ``[N, 256, 192, 3]`` RGB, in the order of their names.

    Raises ValueError where there is no such folder, it holds no picture, or one is unreadable.
    """
    import cv2

    from hrnet_pose_ros.engines.precision_check import CHECK_CROP_SIZE

    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    if not paths:
        raise ValueError(f"no pictures ({', '.join(sorted(PICTURES))}) in the folder '{folder}'")
    crops = []
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"'{path}' cannot be read as a picture")
        crops.append(cv2.resize(picture, CHECK_CROP_SIZE)[:, :, ::-1])
    return np.stack(crops)
