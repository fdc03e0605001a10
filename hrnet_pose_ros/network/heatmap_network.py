# SPDX-License-Identifier: Apache-2.0
"""The network as engines run it: from raw crops to heatmaps, nothing left to the caller."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrnet_pose_ros.model_files.metadata import COLOUR_ORDERS, MEAN, STD


class HeatmapNetwork(nn.Module):
    """Colour order, normalisation and network in one module: every engine computes the same.

    ``forward`` takes ``crops`` uint8 ``[N, H, W, 3]`` RGB and returns ``heatmaps`` float32
    ``[N, J, H/4, W/4]``. ``colour_order`` is that of the weights (`COLOUR_ORDERS`); for "bgr"
    the channels are turned in here, before the normalisation, as such weights were trained.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, colour_order: str = "rgb") -> None:
        super().__init__()
        if colour_order not in COLOUR_ORDERS:
            raise ValueError(
                f"colour_order must be one of {', '.join(COLOUR_ORDERS)}; got {colour_order!r}"
            )
        self.network = network
        self.turned = colour_order == "bgr"
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, crops: Tensor) -> Tensor:
        # Cast before anything else: TensorRT's parser rejects a Transpose of uint8.
        x = crops.to(torch.float32).permute(0, 3, 1, 2)
        if self.turned:
            x = x[:, [2, 1, 0]]  # exported as Gather, which every engine has
        x = (x / 255.0 - self.mean) / self.std
        heatmaps: Tensor = self.network(x)
        return heatmaps
