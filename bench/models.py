# SPDX-License-Identifier: Apache-2.0
"""The models of the CPU benchmark: W32 and the bundled compact model, also in INT8."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.find import model_path
from hrnet_pose_ros.model_files.model_file import CHECKPOINT, ONNX, ModelFile
from hrnet_pose_ros.model_files.zoo import entry_of

COMPACT = "hrnetv2_w24_small"
W32 = "hrnet_w32"


@dataclass(frozen=True)
class BenchModel:
    """A model at 256x192 (height x width).

    Attributes
    ----------
    name
        As shown in the tables.
    onnx, checkpoint
        Files with the same weights, for OpenVINO and ONNX Runtime, and for PyTorch.
    seeded
        The weights are random numbers from a seed. That does not affect the timing (no layer of W32
        produces denormal numbers, which would), but the key points are meaningless.
    int8
        The quantised file, or None for the reason ``why_no_int8``.
    """

    name: str
    onnx: Path
    checkpoint: Path
    seeded: bool
    int8: Path | None
    why_no_int8: str = ""


def compact_model(folder: Path) -> BenchModel:
    """The bundled model; derived files are written to ``folder``."""
    onnx = model_path(COMPACT, ONNX)
    return _with_int8(COMPACT, onnx, model_path(COMPACT, CHECKPOINT), folder, seeded=False)


def w32_model(folder: Path, checkpoint: Path | None) -> BenchModel:
    """W32 from a checkpoint or with seeded weights; ImportError if PyTorch is not installed."""
    import torch

    from hrnet_pose_ros.network.export import export_onnx
    from hrnet_pose_ros.network.pose_networks import pose_network

    seeded = checkpoint is None
    if checkpoint is None:
        torch.manual_seed(0)
        checkpoint = folder / f"{W32}_seeded.pth"
        torch.save(pose_network(W32).state_dict(), checkpoint)
    onnx = folder / f"{W32}{ONNX}"
    print(f"exporting {onnx.name}", file=sys.stderr)
    known = entry_of(ModelFile.read(checkpoint))
    facts = {"configuration": W32} if known is None else known.facts
    export_onnx(checkpoint, onnx, crops=load_check_crops()[:1], **facts)
    return _with_int8(W32, onnx, checkpoint, folder, seeded)


def _with_int8(name: str, onnx: Path, checkpoint: Path, folder: Path, seeded: bool) -> BenchModel:
    int8: Path | None = folder / f"{name}_int8{ONNX}"
    why = ""
    try:
        from hrnet_pose_ros.network.quantize_heatmaps import quantize_heatmap_graph

        print(f"quantising {name}", file=sys.stderr)
        crops = load_check_crops()  # measured for speed only, so no minimum mean OKS is required
        quantize_heatmap_graph(
            ModelFile.read(onnx), folder / f"{name}_int8{ONNX}", crops, crops[:1], None
        )
    except (ImportError, RuntimeError) as error:  # an ExportError is a RuntimeError
        int8, why = None, str(error)
    return BenchModel(name, onnx, checkpoint, seeded, int8, why)
