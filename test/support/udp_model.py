# SPDX-License-Identifier: Apache-2.0
"""A UDP model with real peaks, without a download."""

from __future__ import annotations

from pathlib import Path

CHECKPOINT = Path(__file__).resolve().parents[2] / "models" / "hrnet_w16_small.pth"


def udp_model(folder: Path) -> tuple[Path, Path]:
    """Checkpoint and ONNX file of the bundled weights, exported as if trained with UDP.

    The two rules place crop and cells less than a crop pixel apart, so that these weights find
    persons by either. Saved again, the checkpoint is not the one that the zoo knows.
    """
    import torch

    from hrnet_pose_ros.engines.precision_check import load_check_crops
    from hrnet_pose_ros.network.export import export_onnx

    checkpoint, exported = folder / "udp.pth", folder / "udp.onnx"
    weights = torch.load(CHECKPOINT, weights_only=True)
    torch.save({"state_dict": weights}, checkpoint)
    export_onnx(checkpoint, exported, crops=load_check_crops()[:2], crop="udp")
    return checkpoint, exported
