# SPDX-License-Identifier: Apache-2.0
"""Exponential moving average of the network weights, which is validated and shipped."""

from __future__ import annotations

import copy

import torch
from torch import nn


class AveragedWeights:
    """Exponential moving average of parameters and running statistics.

    The decay grows to ``decay`` as ``(1 + n) / (10 + n)`` over the first updates n, so the average
    forgets the initial weights. With ``decay`` 0 it equals the network.

    Attributes
    ----------
    network
        A copy of the network with the averaged weights, in evaluation mode.
    updates
        Number of updates.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Update the average with the current weights of ``network``."""
        self.updates += 1
        past = min(self.decay, (1 + self.updates) / (10 + self.updates))
        average = self.network.state_dict()
        values = network.state_dict()
        floats = [name for name, value in values.items() if value.is_floating_point()]
        torch._foreach_lerp_([average[n] for n in floats], [values[n] for n in floats], 1 - past)
        for name in values.keys() - set(floats):  # counters of the normalisation
            average[name].copy_(values[name])
