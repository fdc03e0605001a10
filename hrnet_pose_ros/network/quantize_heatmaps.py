# SPDX-License-Identifier: Apache-2.0
"""A heatmap graph whose convolutions compute in 8 bits on a CPU, calibrated on crops of persons.

Needs the packages ``nncf``, ``onnx``, ``onnxruntime`` and ``openvino``. NNCF puts QuantizeLinear
and DequantizeLinear where OpenVINO's kernels for CPUs want them. The range of each activation is
the widest seen, and biases stay as they are. Mean OKS of a compact HRNet of 16 channels against
float32 on 291 persons of 'coco_dev': so 0.966, with NNCF's own ranges 0.956, with its bias
correction as well 0.941 (calibrated on 273 or 128 of the others; on 50 of them or on the bundled
crops alone it is 0.967 and 0.970).
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.model_files.quantized import LEAST_OKS
from hrnet_pose_ros.network.key_point_change import (
    KeyPointChange,
    as_images,
    check_judges,
    checked_judgement,
    judges,
    key_point_change,
)
from hrnet_pose_ros.network.onnx_files import save_model
from hrnet_pose_ros.pose.decoding import poses_from_heatmaps
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD, Poses

_AT_A_TIME = 8  # crops judged in one run


def quantize_heatmap_graph(
    model: ModelFile,
    output: str | Path,
    calibrating: np.ndarray,
    judging: np.ndarray,
    least_oks: float | None = LEAST_OKS,
) -> tuple[ModelMetadata, KeyPointChange]:
    """Write a heatmap graph in float32 as one whose convolutions compute in int8 with OpenVINO.

    Weights are symmetric, one scale a channel; activations one scale a tensor. The last
    convolution, which writes the heatmaps, stays float32.

    Parameters
    ----------
    model
        The file of a heatmap graph of `hrnet_pose export`.
    output
        The file to write.
    calibrating, judging, least_oks
        As `quantize_end2end_graph` takes them.

    Raises
    ------
    ModelError
        The model is not a heatmap graph in float32.
    ExportError
        As `quantize_end2end_graph`.
    """
    import onnx

    output = Path(output)
    metadata = float32_model(model)
    graph = onnx.load(str(model.path))
    metadata = dataclasses.replace(metadata, quantized=True)
    reference = _found(model.path, metadata, judging)
    check_judges(judges(reference[1]), least_oks)
    with replacing(output) as written:
        quantized = _quantized(graph, calibrating)
        save_model(quantized, metadata.to_properties(), written)
        change = key_point_change(
            reference,
            _found(written, metadata, judging),
            metadata.input_size,
            calibrated=len(calibrating),
            skeleton=metadata.skeleton,
        )
        judgement = checked_judgement(change, least_oks)
        metadata = dataclasses.replace(metadata, int8_judgement=judgement)
        save_model(quantized, metadata.to_properties(), written)
    return metadata, change


def float32_model(model: ModelFile) -> ModelMetadata:
    """The metadata of a heatmap graph that can be quantised; else ModelError."""
    metadata = model.heatmaps()
    if metadata.quantized:
        raise ModelError(
            f"'{model.path}' computes in 8 bits already; quantising starts from float32"
        )
    return metadata


def _quantized(graph: Any, crops: np.ndarray) -> Any:
    # NNCF tells its makers what it is used for; the user of this package was not asked.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    except ImportError as error:
        raise ImportError(
            f"quantising for OpenVINO needs NNCF ({error}): pip install nncf"
        ) from error
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    return nncf.quantize(
        graph,
        nncf.Dataset(list(crops), lambda crop: {graph.graph.input[0].name: crop[None]}),
        subset_size=len(crops),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        ignored_scope=nncf.IgnoredScope(names=convolutions[-1:]),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            disable_bias_correction=True,
        ),
    )


def _found(path: Path, metadata: ModelMetadata, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Key points of one model on crops, and which of them it found, as OpenVINO computes them."""
    import openvino
    from openvino.properties import hint

    compiled = openvino.Core().compile_model(
        path, "CPU", {hint.inference_precision: openvino.Type.f32}
    )
    parts = [
        poses_from_heatmaps(
            compiled([part])["heatmaps"],
            as_images(len(part)),
            metadata.input_size,
            "quarter",
            metadata.target_sigma,
            metadata.skeleton,
            metadata.crop,
        )
        for part in np.split(crops, range(_AT_A_TIME, len(crops), _AT_A_TIME))
    ]
    poses = Poses.concatenate(parts)
    return poses.keypoints, poses.valid & (poses.scores > PERSON_SCORE_THRESHOLD)
