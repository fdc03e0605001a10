# SPDX-License-Identifier: Apache-2.0
"""The models that are measured on the CPU: W32 and the bundled compact one, also in 8 bits."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.find import model_path
from hrnet_pose_ros.model_files.model_file import CHECKPOINT, ONNX, ModelFile
from hrnet_pose_ros.model_files.zoo import entry_of

COMPACT = "hrnet_w16_small"
W32 = "hrnet_w32"


@dataclass(frozen=True)
class BenchModel:
    """A model at 256x192 (height x width).

    Attributes
    ----------
    name
        As the tables show it.
    onnx, checkpoint
        The same weights, for OpenVINO and ONNX Runtime, and for PyTorch.
    seeded
        The weights are random numbers from a seed: they change no time (no layer of W32 gives
        denormal numbers, which would), but no key point of theirs means anything.
    int8
        The quantised file, None where there is none, for the reason ``why_no_int8``.
    """

    name: str
    onnx: Path
    checkpoint: Path
    seeded: bool
    int8: Path | None
    why_no_int8: str = ""


def compact_model(folder: Path) -> BenchModel:
    """The bundled model; what is made of it goes to ``folder``."""
    onnx = model_path(COMPACT, ONNX)
    return _with_int8(COMPACT, onnx, model_path(COMPACT, CHECKPOINT), folder, seeded=False)


def w32_model(folder: Path, checkpoint: Path | None) -> BenchModel:
    """W32 from a checkpoint, or with seeded weights; ImportError where PyTorch is missing."""
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
        crops = load_check_crops()  # for its speed only, so no mean OKS is asked for
        quantize_heatmap_graph(
            ModelFile.read(onnx), folder / f"{name}_int8{ONNX}", crops, crops[:1], None
        )
    except (ImportError, RuntimeError) as error:  # an ExportError is a RuntimeError
        int8, why = None, str(error)
    return BenchModel(name, onnx, checkpoint, seeded, int8, why)
