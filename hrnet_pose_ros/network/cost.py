# SPDX-License-Identifier: Apache-2.0
"""What a network costs: parameters and multiply-adds, also by the paper's counting rule."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkCost:
    """Cost of one crop through a network.

    Attributes
    ----------
    parameters
        Learned numbers (running statistics of the normalisation not counted).
    multiply_adds
        Of convolutions, deconvolutions and linear layers.
    reference_multiply_adds
        By the reference's counting rule: the same, but a deconvolution is counted as a convolution
        at its output size (for stride 2: four times what it computes).
    """

    parameters: int
    multiply_adds: int
    reference_multiply_adds: int

    @property
    def paper_gflops(self) -> float:
        """The "GFLOPs" of the paper's Table 1: the reference's multiply-adds / 1024³."""
        return self.reference_multiply_adds / 1024**3

    @property
    def giga_multiply_adds(self) -> float:
        """Plain multiply-adds / 1e9."""
        return self.multiply_adds / 1e9


def network_cost(network: nn.Module, input_size: tuple[int, int]) -> NetworkCost:
    """Count the cost of one RGB crop of ``input_size`` (width, height) in pixels.

    The network itself is left as it is: a copy without data (meta device) is run once.
    """
    width, height = input_size
    counted = copy.deepcopy(network).to("meta").eval()
    for layer in list(counted.modules()):
        for name, child in list(layer.named_children()):
            # They count nothing, and take most of the time.
            if isinstance(child, (nn.BatchNorm2d, nn.ReLU)):
                setattr(layer, name, nn.Identity())
    plain = by_reference = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal plain, by_reference
        if isinstance(layer, nn.Linear):
            products = output.numel() * layer.in_features
        elif isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            kernel = layer.kernel_size[0] * layer.kernel_size[1]
            products = output.numel() * kernel * (layer.in_channels // layer.groups)
        else:
            return
        by_reference += products
        if isinstance(layer, nn.ConvTranspose2d):
            # With stride 2 each output value meets a quarter of the kernel.
            products //= layer.stride[0] * layer.stride[1]
        plain += products

    for layer in counted.modules():
        layer.register_forward_hook(count)
    with torch.inference_mode():
        counted(torch.empty(1, 3, height, width, device="meta"))
    return NetworkCost(sum(p.numel() for p in network.parameters()), plain, by_reference)
