# SPDX-License-Identifier: Apache-2.0
"""The network as engines run it: from raw crops to heatmaps, nothing left to the caller."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrnet_pose_ros.model_metadata import MEAN, STD


class HeatmapNetwork(nn.Module):
    """Normalisation and network in one module, so that every engine computes the same.

    ``forward`` takes ``crops`` uint8 ``[N, H, W, 3]`` RGB and returns ``heatmaps`` float32
    ``[N, 17, H/4, W/4]``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, crops: Tensor) -> Tensor:
        # Cast before anything else: TensorRT's parser rejects a Transpose of uint8.
        x = crops.to(torch.float32).permute(0, 3, 1, 2)
        x = (x / 255.0 - self.mean) / self.std
        heatmaps: Tensor = self.network(x)
        return heatmaps
