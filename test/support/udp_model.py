# SPDX-License-Identifier: Apache-2.0
"""A UDP model with real peaks, without a download."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

CHECKPOINT = Path(__file__).resolve().parents[2] / "models" / "hrnetv2_w24_small.pth"


def udp_model(folder: Path) -> tuple[Path, Path]:
    """Checkpoint and ONNX file of the bundled weights, exported as if trained with UDP.

    The two rules place crop and cells less than a crop pixel apart, so that these weights find
    persons by either. Saved again, the checkpoint is not the one that the zoo knows.
    """
    exported = folder / "udp.onnx"
    exported.write_bytes(_exported())
    return udp_checkpoint(folder), exported


def udp_checkpoint(folder: Path) -> Path:
    """The checkpoint alone."""
    import torch

    checkpoint = folder / "udp.pth"
    torch.save({"state_dict": torch.load(CHECKPOINT, weights_only=True)}, checkpoint)
    return checkpoint


@functools.cache
def _exported() -> bytes:
    """The ONNX file, made once for all tests of a run."""
    from hrnet_pose_ros.engines.precision_check import load_check_crops
    from hrnet_pose_ros.network.export import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "udp.onnx"
        crops = load_check_crops()[:2]
        export_onnx(udp_checkpoint(Path(folder)), path, crops=crops, crop="udp")
        return path.read_bytes()
