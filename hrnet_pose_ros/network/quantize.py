# SPDX-License-Identifier: Apache-2.0
"""An end-to-end graph whose convolutions compute in 8 bits, calibrated on crops of persons.

Needs the packages ``onnx`` and ``onnxruntime``, not ``torch``. ONNX Runtime's static quantiser puts
QuantizeLinear and DequantizeLinear before the convolutions; TensorRT reads them as explicit INT8.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.model_files.metadata import End2EndGraphMetadata, ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.model_files.quantized import LEAST_OKS
from hrnet_pose_ros.network.float16_base import set_float16_base
from hrnet_pose_ros.network.key_point_change import (
    KeyPointChange,
    as_images,
    check_judges,
    checked_judgement,
    judges,
    key_point_change,
)
from hrnet_pose_ros.network.onnx_files import save_model
from hrnet_pose_ros.network.onnx_running import graph_inputs, onnx_session


def quantize_end2end_graph(
    model: ModelFile,
    output: str | Path,
    calibrating: np.ndarray,
    judging: np.ndarray,
    least_oks: float | None = LEAST_OKS,
) -> tuple[End2EndGraphMetadata, KeyPointChange]:
    """Write an end-to-end graph in float32 as one whose convolutions compute in int8.

    Weights are symmetric, one scale a channel; activations symmetric, one scale a tensor from the
    smallest and largest value seen. Crops and decoding stay float32, and so does the network's last
    convolution, which writes the heatmaps. Its other layers compute in float16; where a convolution
    reads the same tensor, sums take its 8-bit values, so that TensorRT fuses
    convolution, addition and ReLU (`float16_base`).

    Parameters
    ----------
    model
        The file of an end-to-end graph of `hrnet_pose export --graph end2end --precision float32`.
    output
        The file to write.
    calibrating, judging
        uint8 ``[N, H, W, 3]`` RGB, crops of one person each of the model's input size: those that
        the ranges are taken from, and others that the result is judged on. The persons of one
        picture belong on one side (`split_persons`).
    least_oks
        What the mean OKS against float32 must reach on the crops that judge, at least 200 of them,
        or the file is not kept; None keeps it whatever comes out (to measure its speed; it will
        not run with ``precision: int8``).

    Raises
    ------
    ModelError
        The model is not an end-to-end graph in float32 for images of any size.
    ExportError
        Fewer than 200 persons judge, or the OKS is lower than ``least_oks``.
    """
    import onnx

    output = Path(output)
    metadata = float32_graph(model)
    graph = onnx.load(str(model.path))
    metadata = dataclasses.replace(metadata, precision="int8")
    reference = found_key_points(model.path, judging)
    check_judges(judges(reference[1]), least_oks)
    with replacing(output) as written:
        _quantize(model.path, written, quantized_convolutions(graph), calibrating)
        quantized = onnx.load(str(written))
        set_float16_base(quantized)
        save_model(quantized, metadata.to_properties(), written)
        change = key_point_change(
            reference,
            found_key_points(written, judging),
            metadata.model.input_size,
            calibrated=len(calibrating),
            skeleton=metadata.model.skeleton,
        )
        facts = dataclasses.replace(
            metadata.model, int8_judgement=checked_judgement(change, least_oks)
        )
        metadata = dataclasses.replace(metadata, model=facts)
        save_model(quantized, metadata.to_properties(), written)
    return metadata, change


def quantized_convolutions(graph: Any) -> list[str]:
    """Names of the network's convolutions, the last one left out.

    Measured for a compact HRNet of 16 channels, calibrated on the bundled crops, mean OKS against
    float32 on 36 persons of the bundled clip: all of them 0.991, without the last 0.993, without
    the first 0.988.
    """
    return [node.name for node in graph.graph.node if node.op_type == "Conv"][:-1]


def float32_graph(model: ModelFile) -> End2EndGraphMetadata:
    """The metadata of an end-to-end graph that can be quantised; else ModelError."""
    metadata = model.end2end()
    if metadata.precision != "float32" or metadata.image_size is not None:
        raise ModelError(
            f"'{model.path}' is an end-to-end graph in {metadata.precision} for images of "
            f"{metadata.image_size or 'any size'}; quantising starts from float32 and any size: "
            "'hrnet_pose export --graph end2end --precision float32'"
        )
    return metadata


def _quantize(model: Path, output: Path, nodes: list[str], crops: np.ndarray) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Crops(CalibrationDataReader):
        def __init__(self) -> None:
            self.inputs: Iterator[dict[str, np.ndarray]] = (_inputs(crop) for crop in crops)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.inputs, None)

    quantize_static(
        str(model),
        str(output),
        Crops(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        nodes_to_quantize=nodes,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={
            # TensorRT knows zero points of 0 only, and no 32-bit bias behind a DequantizeLinear.
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            # Only what a convolution reads is quantised, not what it writes.
            "OpTypesToExcludeOutputQuantization": ["Conv"],
            "AddQDQPairToWeight": True,
        },
    )


def found_key_points(path: Path, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Key points ``[N, J, 2]`` of an end-to-end graph on crops of its input size, uint8
    ``[N, H, W, 3]``, and bool ``[N, J]``: those that it found."""
    session = onnx_session(str(path))
    results = [session.run(None, _inputs(crop))[:2] for crop in crops]
    points, scores = (np.concatenate(column) for column in zip(*results, strict=True))
    return points, scores > 0


def _inputs(crop: np.ndarray) -> dict[str, np.ndarray]:
    return graph_inputs(crop, as_images(1))
