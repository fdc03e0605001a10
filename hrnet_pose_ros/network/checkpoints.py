# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint file to a pose network: every published layout, always strictly.

Layouts: the reference's plain state dict, its training outputs (``state_dict`` with a
``module.`` prefix, ``best_state_dict``), MMPose 1.x (``backbone.*`` and ``head.final_layer.*``,
for SimpleBaseline also ``head.deconv_layers.*``) and MMPose 0.x (``keypoint_head.*``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from hrnet_pose_ros.model_files.metadata import MEAN, STD
from hrnet_pose_ros.network.checkpoint_files import (
    CheckpointError,
    read_checkpoint_file,
    shortened,
    state_dict_of,
)
from hrnet_pose_ros.network.hrnet import CONFIGURATIONS, Exchange, HRNetConfiguration
from hrnet_pose_ros.network.pose_networks import PoseConfiguration, PoseNetwork, network_of
from hrnet_pose_ros.network.simple_baseline import SIMPLE_BASELINES, SimpleBaselineConfiguration
from hrnet_pose_ros.skeleton import (
    COCO17,
    SkeletonDefinition,
    SkeletonError,
    skeletons_with,
)

__all__ = ["CheckpointError", "checkpoint_skeleton", "load_pose_network", "read_state_dict"]

# Where a training puts the skeleton's definition into a checkpoint, beside its ``state_dict``.
SKELETON_KEY = "skeleton_definition"

_MMPOSE_HEAD = re.compile(r"^(?:keypoint_)?head\.(?=(?:final_layer|deconv_layers)\.)")


def load_pose_network(path: str | Path, configuration: str | None = None) -> PoseNetwork:
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
        raise CheckpointError(f"'{path}' contains {found.name}, expected {configuration}")
    with torch.device("meta"):  # shapes only: the weights come from the file
        network = network_of(found, state["final_layer.weight"].shape[0])
    _check_keys(network, state, path)
    network.to_empty(device="cpu").load_state_dict(state, strict=True)
    return network.eval()


def checkpoint_skeleton(
    path: str | Path, joints: int, given: SkeletonDefinition | None = None
) -> SkeletonDefinition:
    """The skeleton of a pose checkpoint with so many joints.

    It is the one that is given, or else the one that the file contains, as `hrnet_pose train`
    writes it. A file of 17 joints without any has COCO's: published checkpoints contain none.

    Raises
    ------
    CheckpointError
        The skeleton has another number of joints than the checkpoint, or nobody says which one it
        is; the message names the way out.
    """
    path = Path(path)
    ways = " or ".join([*(f"--skeleton {name}" for name in skeletons_with(joints)), "--skeleton"])
    way_out = f"say which skeleton it has: {ways} FILE.yaml"
    skeleton = given
    if skeleton is None:
        values = read_checkpoint_file(path).get(SKELETON_KEY)
        if values is not None:
            try:
                skeleton = SkeletonDefinition.from_json(values)
            except SkeletonError as error:
                raise CheckpointError(f"'{path}': {error}; {way_out}") from None
        elif joints == 3 * COCO17.joints:
            raise _offset_regression(path, COCO17)
        elif joints != COCO17.joints:
            raise CheckpointError(
                f"'{path}' is a pose model of {joints} joints, expected COCO's {COCO17.joints}; "
                f"{way_out}"
            )
        else:
            return COCO17
    if joints == 3 * skeleton.joints:
        raise _offset_regression(path, skeleton)
    if skeleton.joints != joints:
        raise CheckpointError(
            f"'{path}' is a pose model of {joints} joints, but the skeleton '{skeleton.name}' has "
            f"{skeleton.joints}; {way_out}"
        )
    return skeleton


def _offset_regression(path: Path, skeleton: SkeletonDefinition) -> CheckpointError:
    return CheckpointError(
        f"'{path}' is a UDP model with offset regression (CombinedTarget: {3 * skeleton.joints} "
        f"maps, for each of {skeleton.joints} joints one of the class and two of offsets), which "
        "this package does not decode: use UDP weights with Gaussian heatmaps, such as "
        "mmpose_hrnet_w32_udp_256x192"
    )


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Weights of a checkpoint under the reference's names, whatever network they belong to.

    Raises
    ------
    CheckpointError
        Where the file contains no state dict, or preprocesses images in another way.
    """
    path = Path(path)
    state = state_dict_of(read_checkpoint_file(path), path)
    if not any(key.startswith("backbone.") for key in state):
        return state
    _drop_preprocessor(state, path)
    renamed = {}
    for key, value in state.items():
        renamed[_MMPOSE_HEAD.sub("", key.removeprefix("backbone."))] = value
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


def _configuration_of(state: dict[str, Tensor], path: Path) -> PoseConfiguration:
    """Find out which network a state dict belongs to, or say what it is instead."""
    branch = state.get("stage2.0.branches.0.0.conv1.weight")
    if branch is not None and branch.ndim == 4:
        width_in = _head_width(state, path, "HRNet")
        return _hrnet_of(state, branch.shape[0], width_in, path)
    if "layer4.0.conv1.weight" in state:
        _head_width(state, path, "ResNet")
        return _simple_baseline_of(state, path)
    raise CheckpointError(
        f"'{path}' holds another network, neither an HRNet nor a SimpleBaseline; its keys are "
        f"{shortened(sorted(state))}"
    )


def _head_width(state: dict[str, Tensor], path: Path, family: str) -> int:
    """Channels that the heatmap head takes."""
    final = state.get("final_layer.weight")
    if final is None or final.ndim != 4:
        foreign = ("classifier.", "incre_modules.", "downsamp_modules.", "head.", "fc.")
        what = "an HRNet without a heatmap head" if family == "HRNet" else "a ResNet alone"
        # HRNetV2's head is of a pose network too.
        own = ("head.convs.", "head.bn.")
        if any(key.startswith(foreign) and not key.startswith(own) for key in state):
            what = "an ImageNet classifier"
        raise CheckpointError(
            f"'{path}' holds {what}: usable as pretraining, not as a pose model "
            "(it has no 'final_layer.weight')"
        )
    return final.shape[1]


def _hrnet_of(
    state: dict[str, Tensor], width: int, head_width: int, path: Path
) -> HRNetConfiguration:
    """The HRNet of that width; among several the one that the names and shapes describe."""
    same = [c for c in CONFIGURATIONS.values() if c.width == width]
    if not same:
        known = ", ".join(f"{c.name} ({c.width})" for c in CONFIGURATIONS.values())
        raise CheckpointError(
            f"'{path}' contains an HRNet of width {width}; the known ones are {known}"
        )
    exchange: Exchange = "final"
    if "stage2.0.fuse_layers.0.1.0.weight" in state:
        exchange = "across_stages"
    if "stage3.0.fuse_layers.0.1.0.weight" in state:
        exchange = "within_stages"
    planes = state.get("layer1.0.conv1.weight")
    widths = same[0].widths
    mix = state.get("head.bn.weight")
    mixed = 0 if mix is None else mix.shape[0]
    described = HRNetConfiguration(
        "",
        width,
        layer1_blocks=_count(state, "layer1."),
        layer1_planes=0 if planes is None else planes.shape[0],
        modules=(_count(state, "stage2."), _count(state, "stage3."), _count(state, "stage4.")),
        blocks=_count(state, "stage2.0.branches.0."),
        exchange=exchange,
        heatmap_branch=widths.index(head_width) if head_width in widths and not mixed else 0,
        head_width=mixed,
    )
    fitting = [c for c in same if c == replace(described, name=c.name)]
    return (fitting or same)[0]


def _count(state: dict[str, Tensor], prefix: str) -> int:
    """How many numbered parts there are under a prefix."""
    return len({k.removeprefix(prefix).split(".")[0] for k in state if k.startswith(prefix)})


def _simple_baseline_of(state: dict[str, Tensor], path: Path) -> SimpleBaselineConfiguration:
    """The SimpleBaseline with as many blocks in layer3, where the ResNets differ most."""
    blocks = _count(state, "layer3.")
    for configuration in SIMPLE_BASELINES.values():
        if configuration.blocks[2] == blocks:
            return configuration
    known = ", ".join(f"{c.name} ({c.blocks[2]})" for c in SIMPLE_BASELINES.values())
    raise CheckpointError(
        f"'{path}' contains a ResNet with {blocks} blocks in layer3; the known ones are {known}"
    )


def _check_keys(network: PoseNetwork, state: dict[str, Tensor], path: Path) -> None:
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
