# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose quantize``: a model in 8 bits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_pose_ros.cli.arguments import Verbs
from hrnet_pose_ros.cli.train import ANNOTATIONS, IMAGES, data_place

if TYPE_CHECKING:
    import numpy as np

    from hrnet_pose_ros.model_files.metadata import ModelMetadata
    from hrnet_pose_ros.model_files.model_file import ModelFile

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
# Half of them calibrate, half judge; more than these change neither.
MOST_PERSONS = 800


def add_quantize(verbs: Verbs) -> None:
    """``hrnet_pose quantize MODEL.onnx -o MODEL_int8.onnx --data DATA``"""
    from hrnet_pose_ros.model_files.metadata import LEAST_JUDGED
    from hrnet_pose_ros.model_files.quantized import LEAST_OKS

    parser = verbs.add_parser(
        "quantize",
        help="write a model in float32 as one in 8 bits",
        description="Quantise the convolutions of a model to int8, calibrated on crops of "
        "persons, and judge it on other persons: the file is not written where fewer than "
        f"{LEAST_JUDGED} can judge, or where their mean OKS against float32 is too low. A model "
        "(MODEL.onnx) is quantised for OpenVINO, an end-to-end graph in float32 "
        "(MODEL_end2end_float32.onnx) for TensorRT. Needs onnx and onnxruntime, for OpenVINO also "
        "nncf.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.onnx")
    persons = parser.add_mutually_exclusive_group()
    persons.add_argument(
        "--data",
        metavar="DATA",
        help="COCO key point data, as for train: FILE.json:IMAGES, or a folder with "
        f"{ANNOTATIONS} and {IMAGES}/; the vehicle's own, or COCO val2017",
    )
    persons.add_argument(
        "--crops",
        type=Path,
        metavar="FOLDER",
        help="without labels: pictures of one person each, cut as the network sees them (about "
        "1.25 times the person's box), from the vehicle's own camera",
    )
    parser.add_argument(
        "--least-oks",
        type=float,
        default=LEAST_OKS,
        metavar="X",
        help="mean OKS against float32 that the persons who judge must keep, in [0, 1] "
        f"(default {LEAST_OKS})",
    )
    parser.add_argument(
        "--even-if-slower",
        action="store_true",
        help="for OpenVINO: write the file although it is not faster than bfloat16 (float32 where "
        "the processor has none) on this processor",
    )
    parser.set_defaults(run=_quantize)


def _quantize(options: argparse.Namespace) -> None:
    from hrnet_pose_ros.files import replacing
    from hrnet_pose_ros.model_files.metadata import LEAST_JUDGED
    from hrnet_pose_ros.model_files.model_file import ONNX, ModelFile
    from hrnet_pose_ros.network.key_point_change import LEAST_CALIBRATED, split_persons

    if options.output.suffix != ONNX:
        raise ValueError(f"the output must end in {ONNX}, got '{options.output}'")
    if not options.model.is_file():
        raise FileNotFoundError(f"no model at '{options.model.absolute()}'")
    if not 0 <= options.least_oks <= 1:
        raise ValueError(f"--least-oks must be in [0, 1], got {options.least_oks}")
    if options.data is None and options.crops is None:
        raise ValueError(
            f"quantising needs persons, {LEAST_JUDGED} to judge the result on and "
            f"{LEAST_CALIBRATED} to calibrate with: --data FILE.json:IMAGES (COCO key points), or "
            "--crops FOLDER (pictures of one person each)"
        )
    if options.output.is_dir():
        raise IsADirectoryError(f"the output '{options.output}' is a folder")
    file = ModelFile.read(options.model)
    for_tensorrt = file.kind == "end2end"
    if for_tensorrt:
        from hrnet_pose_ros.network.quantize import float32_graph, quantize_end2end_graph

        model = float32_graph(file).model
    else:
        from hrnet_pose_ros.network.quantize_heatmaps import float32_model, quantize_heatmap_graph

        model = float32_model(file)
    crops, pictures = _persons(options, model)
    try:
        judges = split_persons(pictures)
    except ValueError as error:
        raise ValueError(f"{error} of '{options.data or options.crops}'") from None
    arguments = (file, options.output, crops[~judges], crops[judges], options.least_oks)
    gain = ""
    if for_tensorrt:
        graph, change = quantize_end2end_graph(*arguments)
        model = graph.model
    else:
        with replacing(options.output) as written:
            model, change = quantize_heatmap_graph(file, written, *arguments[2:])
            gain = "; " + _gain_on_processor(file, ModelFile.read(written), options.even_if_slower)
    engine = "TensorRT" if for_tensorrt else "OpenVINO"
    print(f"{options.output}: {model.name} in int8 for {engine}, {change}{gain}")
    if for_tensorrt:
        print(
            "Whether it is faster than float16 depends on the GPU and is not known here: "
            "'hrnet_pose compile --precision int8' measures both there, and refuses int8 if it is "
            "not"
        )


def _gain_on_processor(original: ModelFile, int8: ModelFile, even_if_slower: bool) -> str:
    """How fast both files are on this processor; ExportError where int8 is not faster."""
    import cv2
    import numpy as np

    from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine, Precision
    from hrnet_pose_ros.engines.openvino_network import cpu_has_bfloat16
    from hrnet_pose_ros.engines.precision_check import load_check_crops
    from hrnet_pose_ros.engines.speed import alternating_ms
    from hrnet_pose_ros.network.onnx_files import ExportError

    best: Precision = "bfloat16" if cpu_has_bfloat16() else "float32"
    size = original.heatmaps().input_size
    crops = np.stack([cv2.resize(crop, size) for crop in load_check_crops()])
    ours, theirs = OpenVinoEngine(int8, precision="int8"), OpenVinoEngine(original, precision=best)
    ms = alternating_ms(lambda: ours.heatmaps(crops), lambda: theirs.heatmaps(crops))
    ours.close()
    theirs.close()
    text = f"{len(crops)} persons take {ms[0]:.1f} ms in int8, {ms[1]:.1f} ms in {best} here"
    if ms[0] >= ms[1] and not even_if_slower:
        raise ExportError(
            f"'{int8.path.name}' was not kept: it gains nothing on this processor ({text}); "
            "--even-if-slower keeps it, for another processor"
        )
    return text


def _persons(options: argparse.Namespace, model: ModelMetadata) -> tuple[np.ndarray, np.ndarray]:
    """Crops ``[N, H, W, 3]`` and which picture ``[N]`` each is from."""
    import numpy as np

    if options.crops is not None:
        crops = load_crops(options.crops, model.input_size)
        return crops, np.arange(len(crops))
    from hrnet_pose_ros.coco.annotations import read_annotations
    from hrnet_pose_ros.coco.person_crops import person_crops

    annotations, images = map(Path, data_place(options.data))
    if not images.is_dir():
        raise ValueError(f"--data '{options.data}': there is no folder '{images}'")
    labelled = read_annotations(annotations, model.skeleton)
    return person_crops(labelled, images, model.input_size, MOST_PERSONS, model.crop)


def load_crops(folder: Path, input_size: tuple[int, int]) -> np.ndarray:
    """The pictures of a folder, in the order of their names, each resized to (width, height).

    uint8 ``[N, height, width, 3]`` RGB. Of more than `MOST_PERSONS` pictures so many are taken,
    spread evenly. Raises ValueError where there is no such folder, it holds no picture, or one is
    unreadable.
    """
    import cv2
    import numpy as np

    from hrnet_pose_ros.image_files import read_image_file

    if not folder.is_dir():
        raise ValueError(f"--crops '{folder}': there is no such folder")
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    if not paths:
        raise ValueError(f"no pictures ({', '.join(sorted(PICTURES))}) in the folder '{folder}'")
    if len(paths) > MOST_PERSONS:
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, MOST_PERSONS).round().astype(int)]
    crops = []
    for path in paths:
        crops.append(cv2.resize(read_image_file(path, upright=True), input_size))
    return np.stack(crops)
