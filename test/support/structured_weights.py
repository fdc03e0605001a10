# SPDX-License-Identifier: Apache-2.0
"""Weights for HRNet-W32 that tests can compare engines with."""

from __future__ import annotations

from pathlib import Path

import torch

from hrnet_pose_ros.network.pose_networks import pose_network

CHECKPOINT = Path(__file__).resolve().parents[2] / "models" / "hrnetv2_w24_small.pth"


def w32_with_structure(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights for W32 that give heatmaps with real peaks, without a download.

    Random weights give flat maps, whose argmax any rounding moves. Here the compact model sits
    in the leading channels, modules and blocks of W32. All other weights are random; where they
    would overwhelm it (normalisations of added blocks and exchange units) they are made small,
    so that every layer takes part.
    """
    torch.manual_seed(seed)
    small = torch.load(CHECKPOINT, weights_only=True)
    state = pose_network("hrnet_w32").state_dict()
    for key, value in state.items():
        # Of stage 4 the last module alone has one output, as the compact model's only one.
        source = key.replace("stage4.0.", "none.").replace("stage4.2.", "stage4.0.")
        if source not in small:
            if value.ndim == 1 and key.endswith("weight"):
                value *= 0.05
            continue
        corner = tuple(slice(0, size) for size in small[source].shape)
        if value.ndim == 4:  # the compact model's channels see little of the added ones
            value[: small[source].shape[0]] *= 0.02
        value[corner] = small[source]
    return state
