# SPDX-License-Identifier: Apache-2.0
"""Export of a pose network to ONNX: one self-contained file that says what it is.

Needs the packages ``torch`` and ``onnx``, and ``openvino`` to check the result.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.model_files.checksums import sha256_of
from hrnet_pose_ros.model_files.metadata import STRIDE, ModelMetadata, usual_target_sigma
from hrnet_pose_ros.network.checkpoints import checkpoint_skeleton, load_pose_network
from hrnet_pose_ros.network.heatmap_network import HeatmapNetwork
from hrnet_pose_ros.network.onnx_files import (
    ExportError,
    save_model,
    traced_model,
)
from hrnet_pose_ros.network.pose_networks import (
    PoseNetwork,
    check_stride,
    joints_of,
    usual_colour_order,
)
from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.skeleton import SkeletonDefinition
from hrnet_pose_ros.version import VERSION

# Largest difference between an engine's float32 heatmaps and PyTorch's on the same crop, as a part
# of the largest value (equality of engines, docs/architecture.md): float32 has 24 bits for values
# of any size, and not every network's peaks are near 1.
HEATMAP_TOLERANCE = 1e-4


def export_onnx(
    checkpoint: str | Path,
    output: str | Path,
    *,
    crops: np.ndarray,
    input_size: tuple[int, int] = (192, 256),
    configuration: str | None = None,
    target_sigma: float | None = None,
    flip_shift: bool | None = None,
    colour_order: str | None = None,
    skeleton: SkeletonDefinition | None = None,
    crop: CropRule = "reference",
    calibrated: ModelMetadata | None = None,
    run: Callable[[Path, np.ndarray], np.ndarray] | None = None,
) -> ModelMetadata:
    """Write a checkpoint's heatmap network as ONNX, after checking it against PyTorch.

    The file's input is ``crops`` uint8 ``[N, H, W, 3]`` RGB with any N, its output ``heatmaps``
    float32 ``[N, J, H/4, W/4]``; normalisation is inside. Its ``metadata_props`` hold
    `ModelMetadata`.

    Parameters
    ----------
    checkpoint
        A pose checkpoint in any layout that `load_pose_network` reads.
    output
        The file to write; its name without suffix becomes the model's name. An existing file is
        replaced only by a checked one.
    crops
        Real crops for the check, uint8 ``[N, H', W', 3]`` RGB; resized to the input size.
    input_size
        (width, height) of the crops in pixels, multiples of 32.
    configuration
        Name of the configuration that the checkpoint must hold; None finds it out.
    target_sigma
        Sigma of the training targets in heatmap cells; None takes the reference's for this size.
    flip_shift
        Whether a flip test shifts the mirrored map, a property of the weights. None: yes by the
        reference's crop rule; not allowed otherwise, as UDP needs no shift.
    colour_order
        Order of the channels that the weights were trained on; for "bgr" the graph turns them.
        None: "rgb" for an HRNet, not allowed for a SimpleBaseline.
    skeleton
        The definition of the J joints; None takes what the checkpoint contains, or COCO's for 17
        joints (`checkpoint_skeleton`).
    crop
        The crop rule that the weights were trained with; a checkpoint does not say it.
    calibrated
        An earlier file's facts: its calibrations are taken over where it is of the same weights
        (`ModelMetadata.with_calibrations_of`).
    run
        Gives the written file's heatmaps of crops, for the check; None takes `openvino_heatmaps`.

    Raises
    ------
    CheckpointError
        The checkpoint is not what it should be, or does not have the skeleton's joints.
    ModelError
        The input size, the sigma, the colour order, the crop rule or the flip rule is not
        possible, or the network's heatmaps are not a quarter of the crop.
    ExportError
        The file's heatmaps differ from PyTorch's by more than 1e-4 of the largest value.
    """
    checkpoint, output = Path(checkpoint), Path(output)
    network = load_pose_network(checkpoint, configuration)
    metadata = metadata_of(
        checkpoint,
        network,
        output.stem,
        input_size,
        target_sigma,
        flip_shift,
        colour_order,
        skeleton,
        crop,
    ).with_calibrations_of(calibrated)
    heatmap_network = HeatmapNetwork(network, metadata.colour_order).eval()
    crops = resized(crops, input_size)
    with torch.inference_mode():
        expected = heatmap_network(torch.from_numpy(crops)).numpy()

    with replacing(output) as written:
        _write_onnx(heatmap_network, metadata, written)
        check_heatmaps((run or openvino_heatmaps)(written, crops), expected, written.name)
    return metadata


def metadata_of(
    checkpoint: Path,
    network: PoseNetwork,
    name: str,
    input_size: tuple[int, int],
    target_sigma: float | None,
    flip_shift: bool | None,
    colour_order: str | None,
    skeleton: SkeletonDefinition | None,
    crop: CropRule,
) -> ModelMetadata:
    """What an exported file says of its model; None stands for what is usual (`export_onnx`)."""
    check_stride(network)
    return ModelMetadata(
        name=name,
        configuration=network.configuration.name,
        input_width=input_size[0],
        input_height=input_size[1],
        target_sigma=usual_target_sigma(input_size) if target_sigma is None else target_sigma,
        flip_shift=crop == "reference" if flip_shift is None else flip_shift,
        checkpoint_sha256=sha256_of(checkpoint),
        package_version=VERSION,
        colour_order=colour_order or usual_colour_order(network),
        skeleton=checkpoint_skeleton(checkpoint, joints_of(network), skeleton),
        crop=crop,
    )


def check_heatmaps(actual: np.ndarray, expected: np.ndarray, name: str) -> None:
    """Raise ExportError unless the heatmaps agree everywhere, within `HEATMAP_TOLERANCE` of the
    largest value."""
    if actual.shape != expected.shape:
        raise ExportError(f"{name} gives heatmaps {actual.shape}, PyTorch gives {expected.shape}")
    difference = float(np.abs(actual - expected).max())
    allowed = HEATMAP_TOLERANCE * float(np.abs(expected).max())
    if not difference <= allowed:  # also where it is NaN
        raise ExportError(
            f"{name} was not kept: its heatmaps differ from PyTorch's by {difference:.2g}, "
            f"allowed is {allowed:.2g} ({HEATMAP_TOLERANCE:g} of the largest value)"
        )


def _write_onnx(network: HeatmapNetwork, metadata: ModelMetadata, path: Path) -> None:
    """Trace the network and write it with its metadata, every weight inside the file."""
    width, height = metadata.input_size
    model = traced_model(
        network,
        (torch.zeros(2, height, width, 3, dtype=torch.uint8),),
        inputs=["crops"],
        outputs=["heatmaps"],
        dynamic_axes={"crops": {0: "N"}, "heatmaps": {0: "N"}},
        folder=path.parent,
    )
    # The tracer leaves the output's sides unnamed; engines read them before they run.
    sides = model.graph.output[0].type.tensor_type.shape.dim
    sides[2].dim_value, sides[3].dim_value = height // STRIDE, width // STRIDE
    save_model(model, metadata.to_properties(), path)


def openvino_heatmaps(path: Path, crops: np.ndarray) -> np.ndarray:
    """Heatmaps of the written file in float32, by another implementation than PyTorch's."""
    import openvino
    from openvino.properties import hint

    compiled = openvino.Core().compile_model(
        path, "CPU", {hint.inference_precision: openvino.Type.f32}
    )
    heatmaps: np.ndarray = compiled([crops])["heatmaps"]
    return heatmaps


def resized(crops: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
    import cv2

    return np.stack([cv2.resize(crop, input_size) for crop in crops])
