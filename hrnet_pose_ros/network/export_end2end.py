# SPDX-License-Identifier: Apache-2.0
"""Export of an end-to-end graph to ONNX, for TensorRT: checked step by step before.

Needs the packages ``torch``, ``onnx`` and ``onnxruntime``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.model_files.folders import END2END
from hrnet_pose_ros.model_files.metadata import End2EndGraphMetadata, ModelError, ModelMetadata
from hrnet_pose_ros.network.checkpoints import load_pose_network
from hrnet_pose_ros.network.end2end_graph import End2EndGraph, GraphStages
from hrnet_pose_ros.network.export import HEATMAP_TOLERANCE, metadata_of
from hrnet_pose_ros.network.onnx_files import (
    ExportError,
    save_model,
    traced_model,
)
from hrnet_pose_ros.network.onnx_running import INPUTS, OUTPUTS, graph_inputs, onnx_session
from hrnet_pose_ros.pose.boxes import PADDING, CropRule, cell_pitch, crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.pose.decoding import Method, poses_from_heatmaps
from hrnet_pose_ros.skeleton import SkeletonDefinition

# Names of tensors inside the graph, for checks: no outputs of the file.
INSIDE = ("crops", "heatmaps")

# Largest difference of heatmaps from PyTorch's float32, as a part of the largest value. Measured
# for float16: 0.25 % for HRNet-W32 and for a compact HRNet of 16 channels.
FLOAT16_TOLERANCE = 0.01
# Largest distance between key points decoded from the same heatmap, in cells, and between their
# covariances as a part of the larger one.
DECODING_TOLERANCE = 1e-3
# Share of values for which the tolerance of crops and decodings must hold: a sample between two
# steps of 1/32 px, or a DARK step at the edge of what is taken, may go either way.
SHARE = 0.98

# All steps of a graph's file for an image and transforms from crop to image.
RunStages = Callable[[Path, np.ndarray, np.ndarray], GraphStages]


def export_end2end_graph(
    checkpoint: str | Path,
    output: str | Path,
    *,
    crops: np.ndarray,
    precision: str = "float16",
    decoding: Method = "quarter",
    flip_test: bool = False,
    image_size: tuple[int, int] | None = None,
    input_size: tuple[int, int] = (192, 256),
    configuration: str | None = None,
    target_sigma: float | None = None,
    flip_shift: bool | None = None,
    colour_order: str | None = None,
    skeleton: SkeletonDefinition | None = None,
    crop: CropRule = "reference",
    calibrated: ModelMetadata | None = None,
    run: RunStages | None = None,
) -> End2EndGraphMetadata:
    """Write the whole way from image to key points as ONNX, after checking it.

    The file's inputs and outputs are those of `End2EndGraph`, with any N from 1 on; its
    ``metadata_props`` hold `End2EndGraphMetadata`. ONNX Runtime runs it before it is kept, and each
    step must agree: crops with ``cv2.warpAffine``, heatmaps with PyTorch in float32, key points
    with ``pose/decoding``.

    Parameters
    ----------
    checkpoint, crops, calibrated
        As for `hrnet_pose_ros.network.export.export_onnx`.
    input_size, configuration, target_sigma, flip_shift, colour_order, skeleton, crop
        As for `hrnet_pose_ros.network.export.export_onnx`.
    output
        The file to write, called ``NAME_end2end*.onnx`` so that engines find it beside the model
        NAME; the model's name is what stands before the last ``_end2end``.
    precision
        ``"float16"`` or ``"float32"``: what the network computes with.
    decoding, flip_test
        What is compiled into the graph.
    image_size
        (width, height) in pixels of the only images that the graph will take; None: any.
    run
        Runs the written file for the check; None takes `run_stages`.

    Raises
    ------
    CheckpointError, ModelError
        As `export_onnx`; also where the precision is none of the two, or the output's name does
        not hold the model's.
    ExportError
        A step of the file differs; the message says which and by how much.
    """
    checkpoint, output = Path(checkpoint), Path(output)
    name, found, _ = output.stem.rpartition(END2END)
    if not (name and found):
        raise ModelError(
            f"an end-to-end graph of the model NAME is called NAME{END2END}*.onnx, so that engines "
            f"find it; got '{output.name}'"
        )
    if precision not in ("float16", "float32"):
        raise ModelError(
            f"precision must be float16 or float32, got {precision!r} "
            "(int8 is made from float32 by 'hrnet_pose quantize')"
        )
    network = load_pose_network(checkpoint, configuration)
    metadata = End2EndGraphMetadata(
        model=metadata_of(
            checkpoint,
            network,
            name,
            input_size,
            target_sigma,
            flip_shift,
            colour_order,
            skeleton,
            crop,
        ).with_calibrations_of(calibrated),
        precision=precision,
        decoding=decoding,
        flip_test=flip_test,
        image_size=image_size,
    )
    with replacing(output) as written:
        model = _traced(End2EndGraph(network, metadata).eval(), metadata, written.parent)
        save_model(model, metadata.to_properties(), written)
        check_end2end_graph(written, network, metadata, crops, run or run_stages)
    return metadata


class _WithStages(nn.Module):
    """The graph with its inner steps as outputs, so that they have names."""

    def __init__(self, graph: End2EndGraph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, image: Tensor, crop_to_image: Tensor, channels: Tensor) -> GraphStages:
        return self.graph.stages(image, crop_to_image, channels)


def _traced(graph: End2EndGraph, metadata: End2EndGraphMetadata, folder: Path) -> Any:
    width, height = metadata.image_size or (64, 48)
    image_axes = {} if metadata.image_size else {"image": {0: "H", 1: "W"}}
    model = traced_model(
        _WithStages(graph),
        (
            torch.zeros(height, width, 3, dtype=torch.uint8),
            torch.eye(2, 3).repeat(2, 1, 1),
            torch.arange(3, dtype=torch.int32),
        ),
        inputs=INPUTS,
        outputs=OUTPUTS + INSIDE,
        dynamic_axes=image_axes | {name: {0: "N"} for name in ("crop_to_image", *OUTPUTS)},
        folder=folder,
    )
    del model.graph.output[len(OUTPUTS) :]
    joints = metadata.model.skeleton.joints
    for output, sides in zip(
        model.graph.output, ((joints, 2), (joints,), (joints, 3)), strict=True
    ):
        # The tracer leaves some sides unnamed; engines read them before they run.
        for dimension, side in zip(output.type.tensor_type.shape.dim[1:], sides, strict=True):
            dimension.dim_value = side
    return model


def check_end2end_graph(
    path: Path,
    network: nn.Module,
    metadata: End2EndGraphMetadata,
    crops: np.ndarray,
    run: RunStages,
) -> None:
    """Run a file by ``run`` and compare each step; ExportError where one differs.

    ``network`` is the pose network in float32; ``crops`` uint8 ``[N, H', W', 3]`` of persons.
    """
    image, boxes = image_of_crops(crops, metadata.image_size)
    size = metadata.model.input_size
    transforms = crop_to_image(boxes, size, metadata.model.crop)
    stages = run(path, image, transforms.astype(np.float32))

    expected = warp_crops(image, transforms, size).transpose(0, 3, 1, 2)
    near = np.abs(stages.crops - expected) <= 1
    if stages.crops.shape != expected.shape or not near.mean() >= SHARE:
        raise ExportError(f"{path.name} was not kept: {near.mean():.1%} of its crops are right")

    exact = End2EndGraph(network, dataclasses.replace(metadata, precision="float32")).eval()
    with torch.inference_mode():
        heatmaps = exact.heatmaps(torch.from_numpy(stages.crops)).numpy()
    difference = float(np.abs(stages.heatmaps - heatmaps).max())
    tolerance = HEATMAP_TOLERANCE if metadata.precision == "float32" else FLOAT16_TOLERANCE
    allowed = tolerance * float(np.abs(heatmaps).max())
    if not difference <= allowed:  # also where it is NaN
        raise ExportError(
            f"{path.name} was not kept: its heatmaps differ from PyTorch's by {difference:.2g}, "
            f"allowed is {allowed:.2g}"
        )

    poses = poses_from_heatmaps(
        stages.heatmaps,
        transforms,
        size,
        metadata.decoding,
        metadata.model.target_sigma,
        metadata.model.skeleton,
        metadata.model.crop,
    )
    pitch = cell_pitch(size, metadata.model.heatmap_size, metadata.model.crop)
    cells = pitch[0] * transforms[:, 0, 0, None]
    off = np.abs(stages.keypoints - poses.keypoints).max(axis=-1) / cells
    spread = poses.covariances.reshape(*poses.scores.shape, 4)[..., [0, 1, 3]]
    largest = np.abs(spread).max(axis=-1, keepdims=True)
    wide = (np.abs(stages.covariances - spread) / largest).max(axis=-1)
    right = (np.maximum(off, wide) <= DECODING_TOLERANCE) | ~poses.valid
    right &= stages.scores == poses.scores
    if not right.mean() >= SHARE:
        raise ExportError(
            f"{path.name} was not kept: {right.mean():.1%} of its decodings are right"
        )


def run_stages(path: Path, image: np.ndarray, crop_to_image: np.ndarray) -> GraphStages:
    """All steps of an end-to-end graph's file, as ONNX Runtime computes them on the CPU."""
    import onnx

    model = onnx.load(str(path))
    for name in INSIDE:
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    outputs = onnx_session(model.SerializeToString()).run(
        OUTPUTS + INSIDE, graph_inputs(image, crop_to_image)
    )
    return GraphStages(*outputs)


def image_of_crops(
    crops: np.ndarray, image_size: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The crops side by side as one image uint8 ``[H, W, 3]``, and boxes ``[N, 4]`` of the persons.

    Where (width, height) is given the image is scaled into it, black beside. The boxes are a
    little beside their persons, so that samples fall between pixels.
    """
    n, height, width, _ = crops.shape
    image = np.ascontiguousarray(crops.transpose(1, 0, 2, 3).reshape(height, n * width, 3))
    box = np.array([width, height]) / PADDING
    corners = (np.arange(n)[:, None] + 0.5) * (width, 0) + (0, height / 2) - box / 2 + (2.3, -3.7)
    boxes = np.concatenate([corners, np.tile(0.97 * box, (n, 1))], axis=1)
    if image_size is not None:
        scale = min(image_size[0] / image.shape[1], image_size[1] / image.shape[0])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        small = small[: image_size[1], : image_size[0]]
        image = np.zeros((image_size[1], image_size[0], 3), np.uint8)
        image[: small.shape[0], : small.shape[1]] = small
        boxes *= scale
    return image, boxes
