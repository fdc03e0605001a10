# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint file to a pose network: every published layout, always strictly.

Layouts: the reference's plain state dict, its training outputs (``state_dict`` with a
``module.`` prefix, ``best_state_dict``), MMPose 1.x (``backbone.*`` and ``head.final_layer.*``)
and MMPose 0.x (``keypoint_head.final_layer.*``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from hrnet_pose_ros.model_metadata import MEAN, STD
from hrnet_pose_ros.network.checkpoint_files import (
    CheckpointError,
    read_checkpoint_file,
    shortened,
    state_dict_of,
)
from hrnet_pose_ros.network.hrnet import CONFIGURATIONS, HRNet, HRNetConfiguration
from hrnet_pose_ros.skeleton import JOINTS

__all__ = ["CheckpointError", "load_pose_network", "read_state_dict"]

_MMPOSE_HEADS = ("head.final_layer.", "keypoint_head.final_layer.")


def load_pose_network(path: str | Path, configuration: str | None = None) -> HRNet:
    """Build the pose network that a checkpoint holds, with its weights, in evaluation mode.

    Parameters
    ----------
    path
        The checkpoint file, in any of this module's layouts.
    configuration
        Name of the configuration the file must hold; None finds it out.

    Raises
    ------
    CheckpointError
        Where the file is not a pose checkpoint of a known configuration; the message says what
        it is instead, or names the keys that are missing and unexpected.
    """
    path = Path(path)
    state = read_state_dict(path)
    found = _configuration_of(state, path)
    if configuration is not None and found.name != configuration:
        raise CheckpointError(f"'{path}' holds {found.name}, wanted is {configuration}")
    with torch.device("meta"):  # shapes only: the weights come from the file
        network = HRNet(found)
    _check_keys(network, state, path)
    network.to_empty(device="cpu").load_state_dict(state, strict=True)
    return network.eval()


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Weights of a checkpoint under the reference's names, whatever network they belong to.

    Raises
    ------
    CheckpointError
        Where the file holds no state dict, or preprocesses images in another way.
    """
    path = Path(path)
    state = state_dict_of(read_checkpoint_file(path), path)
    if not any(key.startswith("backbone.") for key in state):
        return state
    _drop_preprocessor(state, path)
    renamed = {}
    for key, value in state.items():
        key = key.removeprefix("backbone.")
        for head in _MMPOSE_HEADS:
            if key.startswith(head):
                key = "final_layer." + key.removeprefix(head)
        renamed[key] = value
    return renamed


def _drop_preprocessor(state: dict[str, Tensor], path: Path) -> None:
    """Take out MMPose 1.x's image statistics, the only harmless extra keys there are.

    Training outputs of early MMEngine hold them; MMPose's own publishing takes them off. They
    are in units of 0..255 and must be ours: BGR statistics would mean BGR weights.
    """
    for name, statistics in (("mean", MEAN), ("std", STD)):
        found = state.pop(f"data_preprocessor.{name}", None)
        if found is None:
            continue
        wanted = 255.0 * torch.tensor(statistics)
        if found.numel() != 3 or not torch.allclose(found.flatten().float(), wanted, atol=0.05):
            raise CheckpointError(
                f"'{path}' was trained with image {name} {found.flatten().tolist()}, "
                f"this package feeds RGB with {[round(v, 3) for v in wanted.tolist()]}"
            )


def _configuration_of(state: dict[str, Tensor], path: Path) -> HRNetConfiguration:
    """Find out which network a state dict belongs to, or say what it is instead."""

    def has(*prefixes: str) -> bool:
        return any(key.startswith(prefixes) for key in state)

    branch = state.get("stage2.0.branches.0.0.conv1.weight")
    if branch is None or branch.ndim != 4:
        if has("deconv_layers.", "head.deconv_layers.", "keypoint_head.deconv_layers."):
            what = "a SimpleBaseline (ResNet with deconvolutions), not an HRNet"
        else:
            what = f"another network, not an HRNet; its keys are {shortened(sorted(state))}"
        raise CheckpointError(f"'{path}' holds {what}")
    final = state.get("final_layer.weight")
    if final is None or final.ndim != 4:
        if has("classifier.", "incre_modules.", "downsamp_modules.", "head.", "fc."):
            what = "an ImageNet classifier: usable as pretraining, not as a pose model"
        else:
            what = "an HRNet without a heatmap head: usable as pretraining, not as a pose model"
        raise CheckpointError(f"'{path}' holds {what} (it has no 'final_layer.weight')")
    if final.shape[0] != JOINTS:
        raise CheckpointError(
            f"'{path}' is a pose model of {final.shape[0]} joints, expected are COCO's {JOINTS}"
        )
    width = branch.shape[0]
    for configuration in CONFIGURATIONS.values():
        if configuration.width == width:
            return configuration
    known = ", ".join(f"{c.name} ({c.width})" for c in CONFIGURATIONS.values())
    raise CheckpointError(f"'{path}' holds an HRNet of width {width}; known are {known}")


def _check_keys(network: HRNet, state: dict[str, Tensor], path: Path) -> None:
    """Compare names and shapes before loading, so that the message names the keys."""
    expected = network.state_dict()
    problems = []

    def report(what: str, keys: Iterable[str]) -> None:
        names = sorted(keys)
        if names:
            problems.append(f"{len(names)} {what} ({shortened(names)})")

    # Files older than PyTorch 0.4.1 lack these counters, which evaluation never reads.
    report(
        "missing keys",
        (k for k in expected if k not in state and not k.endswith("num_batches_tracked")),
    )
    report("unexpected keys", (k for k in state if k not in expected))
    report(
        "keys of another shape",
        (
            f"{k} {tuple(state[k].shape)} instead of {tuple(expected[k].shape)}"
            for k in expected
            if k in state and state[k].shape != expected[k].shape
        ),
    )
    if problems:
        raise CheckpointError(
            f"'{path}' does not fit {network.configuration.name}: " + "; ".join(problems)
        )
    report(
        "keys with NaN or infinite values", (k for k, v in state.items() if not v.isfinite().all())
    )
    if problems:
        raise CheckpointError(f"'{path}' is damaged: " + "; ".join(problems))
