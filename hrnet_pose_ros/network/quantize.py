# SPDX-License-Identifier: Apache-2.0
"""A pose graph whose convolutions compute in 8 bits, calibrated on crops of persons.

Needs the packages ``onnx`` and ``onnxruntime``, not ``torch``. ONNX Runtime's static quantiser puts
QuantizeLinear and DequantizeLinear before the convolutions; TensorRT reads them as explicit INT8.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.model_metadata import STRIDE, ModelError, PoseGraphMetadata
from hrnet_pose_ros.network.onnx_files import kept_when_checked, save_model
from hrnet_pose_ros.network.onnx_running import INPUTS, onnx_session
from hrnet_pose_ros.pose.boxes import PADDING
from hrnet_pose_ros.pose.oks import PERSON_TO_BOX, oks

# One of so many crops is kept out of the calibration, to judge the result on; of fewer than MANY
# every second one, or the judgement would rest on a few.
JUDGED_EVERY = 4
MANY = 32

# A crop as an image: the crop's pixels are the image's.
AS_IMAGE = np.eye(2, 3, dtype=np.float32)[None]


@dataclasses.dataclass(frozen=True)
class KeyPointChange:
    """How far quantising moved the key points of crops it was not calibrated on.

    Attributes
    ----------
    calibrated, judged
        Crops that the calibration saw, and the others.
    joints
        Key points that the float32 graph found on the others.
    mean_oks
        Mean OKS of the persons against float32, in [0, 1].
    shares
        Share of the key points within so many heatmap cells, by the number of cells.
    """

    calibrated: int
    judged: int
    joints: int
    mean_oks: float
    shares: dict[float, float]

    def __str__(self) -> str:
        shares = ", ".join(f"{share:.1%} within {c:g}" for c, share in self.shares.items())
        return (
            f"calibrated on {self.calibrated} crops; against float32 on {self.judged} others "
            f"({self.joints} key points): mean OKS {self.mean_oks:.4f}; {shares} cell"
        )


def quantize_pose_graph(
    model: str | Path, output: str | Path, crops: np.ndarray
) -> tuple[PoseGraphMetadata, KeyPointChange]:
    """Write a pose graph in float32 as one whose convolutions compute in int8.

    Weights are symmetric, one scale a channel; activations symmetric, one scale a tensor from the
    smallest and largest value seen. Crops and decoding stay float32, and so does the network's last
    convolution, which writes the heatmaps. Sums compute in float32; where a convolution reads the
    same tensor, they take its 8-bit values.

    Parameters
    ----------
    model
        A pose graph of `hrnet_pose export --graph pose --precision float32`.
    output
        The file to write.
    crops
        uint8 ``[N, H', W', 3]`` RGB, one person each, as the network will see them; N at least 2.
        Resized to the model's input; every fourth one (of fewer than 32, every second one)
        judges the result.

    Raises
    ------
    ModelError
        The model is not a pose graph in float32 for images of any size.
    ValueError
        There are fewer than 2 crops.
    """
    import onnx

    model, output = Path(model), Path(output)
    graph = onnx.load(str(model))
    metadata = _float32_metadata(graph, model)
    if len(crops) < 2:
        raise ValueError(f"quantising needs at least 2 crops of persons, got {len(crops)}")
    crops = np.stack([cv2.resize(crop, metadata.model.input_size) for crop in crops])
    judged = np.zeros(len(crops), bool)
    judged[:: JUDGED_EVERY if len(crops) >= MANY else 2] = True
    metadata = dataclasses.replace(metadata, precision="int8")
    with kept_when_checked(output) as written:
        _quantize(model, written, quantized_convolutions(graph), crops[~judged])
        save_model(onnx.load(str(written)), metadata.to_properties(), written)
        change = key_point_change(written, model, metadata, crops[judged], int((~judged).sum()))
    return metadata, change


def quantized_convolutions(graph: Any) -> list[str]:
    """Names of the network's convolutions, the last one left out.

    Measured for hrnet_w16_small, calibrated on the bundled crops, mean OKS against float32 on 36
    persons of the bundled clip: all of them 0.991, without the last 0.993, without the first 0.988.
    """
    return [node.name for node in graph.graph.node if node.op_type == "Conv"][:-1]


def _float32_metadata(graph: Any, path: Path) -> PoseGraphMetadata:
    try:
        metadata = PoseGraphMetadata.from_properties({p.key: p.value for p in graph.metadata_props})
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from error
    if metadata.precision != "float32" or metadata.image_size is not None:
        raise ModelError(
            f"'{path}' is a pose graph in {metadata.precision} for images of "
            f"{metadata.image_size or 'any size'}; quantising starts from float32 and any size: "
            "'hrnet_pose export --graph pose --precision float32'"
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


def key_point_change(
    quantized: Path,
    reference: Path,
    metadata: PoseGraphMetadata,
    crops: np.ndarray,
    calibrated: int,
) -> KeyPointChange:
    """Compare two pose graphs of one model on crops of its input size, uint8 ``[N, H, W, 3]``."""
    results = []
    for path in (reference, quantized):
        session = onnx_session(str(path))
        results.append([session.run(None, _inputs(crop))[:2] for crop in crops])
    (points, scores), (others, found) = (
        (np.concatenate(column) for column in zip(*rows, strict=True)) for rows in results
    )
    seen = scores > 0
    others = np.where((found > 0)[..., None], others, np.inf)  # a lost joint is no near one
    width, height = metadata.model.input_size
    areas = np.full(len(crops), PERSON_TO_BOX * width * height / PADDING**2)
    distances = np.linalg.norm(others - points, axis=-1)[seen] / STRIDE
    return KeyPointChange(
        calibrated=calibrated,
        judged=len(crops),
        joints=int(seen.sum()),
        mean_oks=float(np.nanmean(oks(others, points, areas, seen)))
        if seen.any()
        else float("nan"),
        shares={c: float((distances <= c).mean()) for c in (0.05, 0.25, 0.5)} if seen.any() else {},
    )


def _inputs(crop: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(INPUTS, (crop, AS_IMAGE), strict=True))
