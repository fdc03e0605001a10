# SPDX-License-Identifier: Apache-2.0
"""A heatmap graph whose convolutions compute in 8 bits on a CPU, calibrated on crops of persons.

Needs the packages ``nncf``, ``onnx``, ``onnxruntime`` and ``openvino``. NNCF puts QuantizeLinear
and DequantizeLinear where OpenVINO's kernels for CPUs want them. Its defaults suit hundreds of
crops; for a few, the range of each activation is the widest seen, and biases stay as they are.
Mean OKS of hrnet_w16_small against float32, calibrated on 4 bundled crops: on the other 4 and on 36
persons of the bundled clip 0.970 and 0.975 with the defaults, 0.994 and 0.986 so.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.network.key_point_change import (
    KeyPointChange,
    as_images,
    key_point_change,
    split_crops,
)
from hrnet_pose_ros.network.onnx_files import ExportError, kept_when_checked, save_model
from hrnet_pose_ros.pose.decoding import poses_from_heatmaps
from hrnet_pose_ros.pose.poses import PERSON_SCORE_THRESHOLD

# Mean OKS against float32 that a model in 8 bits must keep on crops it was not calibrated on.
LEAST_OKS = 0.98


def quantize_heatmap_graph(
    model: ModelFile, output: str | Path, crops: np.ndarray, least_oks: float | None = LEAST_OKS
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
    crops
        As `quantize_end2end_graph` takes them.
    least_oks
        What the mean OKS against float32 must reach on the crops that judge, or the file is not
        kept; None keeps it whatever it does (to measure its speed).

    Raises
    ------
    ModelError
        The model is not a heatmap graph in float32.
    ExportError
        The OKS is lower than ``least_oks``, or nobody is seen on the crops.
    ValueError
        There are fewer than 2 crops.
    """
    import onnx

    output = Path(output)
    metadata = _float32_metadata(model)
    graph = onnx.load(str(model.path))
    crops, judged = split_crops(crops, metadata.input_size)
    metadata = dataclasses.replace(metadata, quantized=True)
    with kept_when_checked(output) as written:
        save_model(_quantized(graph, crops[~judged]), metadata.to_properties(), written)
        change = key_point_change(
            _found(model.path, metadata, crops[judged]),
            _found(written, metadata, crops[judged]),
            metadata.input_size,
            calibrated=int((~judged).sum()),
        )
        if least_oks is not None and not change.mean_oks >= least_oks:  # also where it is NaN
            raise ExportError(
                f"'{output}' was not written: {change}; needed is a mean OKS of {least_oks:g}. "
                "More crops, from the camera that will be used, may help (--crops)"
            )
    return metadata, change


def _float32_metadata(model: ModelFile) -> ModelMetadata:
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
    poses = poses_from_heatmaps(
        compiled([crops])["heatmaps"],
        as_images(len(crops)),
        metadata.input_size,
        "quarter",
        metadata.target_sigma,
    )
    return poses.keypoints, poses.valid & (poses.scores > PERSON_SCORE_THRESHOLD)
