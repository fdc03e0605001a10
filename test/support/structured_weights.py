# SPDX-License-Identifier: Apache-2.0
"""Weights for HRNet-W32 that tests can compare engines with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.network.checkpoints import load_pose_network
from hrnet_pose_ros.network.heatmap_network import HeatmapNetwork
from hrnet_pose_ros.network.pose_networks import pose_network

CHECKPOINT = Path(__file__).resolve().parents[2] / "models" / "hrnetv2_w24_small.pth"
CROPS = 3  # they fit the last layer


def w32_with_structure(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights for W32 that give heatmaps with real peaks, without a download.

    Random weights give flat maps, whose argmax any rounding moves. Here the compact model sits
    in the leading channels, modules and blocks of W32. All other weights are random; where they
    would overwhelm it (normalisations of added blocks and exchange units) they are made small,
    so that every layer takes part. The last layer is fitted to the compact model's heatmaps: it
    reads the highest resolution alone, the compact model's head reads all of them.
    """
    torch.manual_seed(seed)
    compact = load_pose_network(CHECKPOINT)
    small = compact.state_dict()
    network = pose_network("hrnet_w32")
    state = network.state_dict()
    for key, value in state.items():
        # Of stage 4 the last module alone has one output.
        source = key.replace("stage4.0.", "none.").replace("stage4.2.", "stage4.0.")
        if source not in small or key.startswith("final_layer."):
            if value.ndim == 1 and key.endswith("weight"):
                value *= 0.05
            continue
        corner = tuple(slice(0, size) for size in small[source].shape)
        if value.ndim == 4:  # the compact model's channels see little of the added ones
            value[: small[source].shape[0]] *= 0.02
        value[corner] = small[source]
    crops = torch.from_numpy(np.ascontiguousarray(load_check_crops()[:CROPS]))
    seen: list[torch.Tensor] = []
    hook = network.final_layer.register_forward_hook(lambda *now: seen.append(now[1][0]))
    with torch.inference_mode():
        HeatmapNetwork(network).eval()(crops)
        wanted = HeatmapNetwork(compact).eval()(crops)
    hook.remove()
    features = seen[0].movedim(1, -1).reshape(-1, seen[0].shape[1])
    features = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    fitted = torch.linalg.lstsq(features, wanted.movedim(1, -1).reshape(len(features), -1)).solution
    state["final_layer.weight"] = fitted[:-1].T[..., None, None].contiguous()
    state["final_layer.bias"] = fitted[-1].contiguous()
    return state
