# SPDX-License-Identifier: Apache-2.0
"""Export of a pose network to ONNX: one self-contained file that says what it is.

Needs the packages ``torch`` and ``onnx``, and ``openvino`` to check the result.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from hrnet_pose_ros.model_metadata import STRIDE, ModelMetadata, usual_target_sigma
from hrnet_pose_ros.network.checkpoints import load_pose_network
from hrnet_pose_ros.network.heatmap_network import HeatmapNetwork
from hrnet_pose_ros.version import VERSION

OPSET = 18

# Largest difference between an engine's float32 heatmaps and PyTorch's on the same crop
# (equality of engines, docs/architecture.md).
HEATMAP_TOLERANCE = 1e-4


class ExportError(RuntimeError):
    """The exported file does not compute what the network computes; it was not kept."""


def export_onnx(
    checkpoint: str | Path,
    output: str | Path,
    *,
    crops: np.ndarray,
    input_size: tuple[int, int] = (192, 256),
    configuration: str | None = None,
    target_sigma: float | None = None,
    flip_shift: bool = True,
) -> ModelMetadata:
    """Write a checkpoint's heatmap network as ONNX, after checking it against PyTorch.

    The file's input is ``crops`` uint8 ``[N, H, W, 3]`` RGB with any N, its output ``heatmaps``
    float32 ``[N, 17, H/4, W/4]``; normalisation is inside. Its ``metadata_props`` hold
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
        Whether a flip test shifts the mirrored map, a property of the weights.

    Raises
    ------
    CheckpointError
        The checkpoint is not what it should be.
    ModelError
        The input size or the sigma is not possible.
    ExportError
        The file's heatmaps differ from PyTorch's by more than 1e-4.
    """
    checkpoint, output = Path(checkpoint), Path(output)
    network = load_pose_network(checkpoint, configuration)
    metadata = ModelMetadata(
        name=output.stem,
        configuration=network.configuration.name,
        input_width=input_size[0],
        input_height=input_size[1],
        target_sigma=usual_target_sigma(input_size) if target_sigma is None else target_sigma,
        flip_shift=flip_shift,
        checkpoint_sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        package_version=VERSION,
    )
    heatmap_network = HeatmapNetwork(network).eval()
    crops = _resized(crops, input_size)
    with torch.inference_mode():
        expected = heatmap_network(torch.from_numpy(crops)).numpy()

    output.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the rename cannot cross file systems; no name of a model.
    with tempfile.TemporaryDirectory(prefix=".export-", dir=output.parent) as folder:
        written = Path(folder) / output.name
        _write_onnx(heatmap_network, metadata, written)
        check_heatmaps(_openvino_heatmaps(written, crops), expected, written.name)
        os.replace(written, output)
    return metadata


def check_heatmaps(actual: np.ndarray, expected: np.ndarray, name: str) -> None:
    """Raise ExportError unless the heatmaps agree within `HEATMAP_TOLERANCE` everywhere."""
    if actual.shape != expected.shape:
        raise ExportError(f"{name} gives heatmaps {actual.shape}, PyTorch gives {expected.shape}")
    difference = float(np.abs(actual - expected).max())
    if not difference <= HEATMAP_TOLERANCE:  # also where it is NaN
        raise ExportError(
            f"{name} was not kept: its heatmaps differ from PyTorch's by {difference:.2g}, "
            f"allowed is {HEATMAP_TOLERANCE:g}"
        )


def _write_onnx(network: HeatmapNetwork, metadata: ModelMetadata, path: Path) -> None:
    """Trace the network and write it with its metadata, every weight inside the file."""
    import onnx

    width, height = metadata.input_size
    with warnings.catch_warnings():
        # The tracing exporter suits a network without control flow, and unlike its successor
        # needs no further package; its announced end is the reason for the warning.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.zeros(2, height, width, 3, dtype=torch.uint8),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["crops"],
            output_names=["heatmaps"],
            dynamic_axes={"crops": {0: "N"}, "heatmaps": {0: "N"}},
        )
    model = onnx.load(str(path))
    # The tracer leaves the output's sides unnamed; engines read them before they run.
    sides = model.graph.output[0].type.tensor_type.shape.dim
    sides[2].dim_value, sides[3].dim_value = height // STRIDE, width // STRIDE
    onnx.helper.set_model_props(model, metadata.to_properties())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _openvino_heatmaps(path: Path, crops: np.ndarray) -> np.ndarray:
    """Heatmaps of the written file in float32, by another implementation than PyTorch's."""
    import openvino
    from openvino.properties import hint

    compiled = openvino.Core().compile_model(
        path, "CPU", {hint.inference_precision: openvino.Type.f32}
    )
    heatmaps: np.ndarray = compiled([crops])["heatmaps"]
    return heatmaps


def _resized(crops: np.ndarray, input_size: tuple[int, int]) -> np.ndarray:
    import cv2

    return np.stack([cv2.resize(crop, input_size) for crop in crops])
