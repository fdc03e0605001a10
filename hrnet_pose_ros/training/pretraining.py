# SPDX-License-Identifier: Apache-2.0
"""Initialise a pose network with the weights of an ImageNet classifier."""

from __future__ import annotations

import re
from pathlib import Path

from torch import nn

from hrnet_pose_ros.network.checkpoint_files import CheckpointError, shortened
from hrnet_pose_ros.network.checkpoints import read_state_dict

# The classification head, and the resolutions that only the last module of a classifier outputs.
_CLASSIFIER = re.compile(
    r"^(incre_modules|downsamp_modules|final_layer|classifier|head|fc)\.|^stage4\.\d+\.fuse_layers\."
)
_HEAD = ("final_layer.", "deconv_layers.", "head.")  # the head of a pose network


def load_pretraining(network: nn.Module, path: str | Path) -> int:
    """Load the weights of a classifier into ``network``; the heatmap head keeps its initial
    weights.

    Returns the number of tensors that were loaded.

    Raises
    ------
    CheckpointError
        The file is not a checkpoint, lacks a tensor of the backbone, or contains a tensor of
        another shape or one that belongs to neither network nor classifier; the message names them.
    """
    state = read_state_dict(path)
    wanted = {k: v for k, v in network.state_dict().items() if not k.startswith(_HEAD)}
    missing = [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")]
    foreign = [k for k in state if k not in wanted and not _CLASSIFIER.match(k)]
    shapes = [
        f"{k} {tuple(state[k].shape)} instead of {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in state and state[k].shape != v.shape
    ]
    problems = [
        f"{len(names)} {what} ({shortened(names)})"
        for what, names in (
            ("missing keys", missing),
            ("unexpected keys", foreign),
            ("keys with another shape", shapes),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"'{path}' cannot initialise this network: {'; '.join(problems)}; "
            "it must be a classifier of the same width"
        )
    taken = {k: state[k] for k in wanted if k in state}
    network.load_state_dict(taken, strict=False)
    return len(taken)
