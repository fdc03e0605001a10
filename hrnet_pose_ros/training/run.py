# SPDX-License-Identifier: Apache-2.0
"""Runs a training: prepares data and network from a configuration, then trains all stages."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from hrnet_pose_ros.coco.annotations import PersonAnnotations, read_annotations
from hrnet_pose_ros.files import write_file
from hrnet_pose_ros.network.checkpoints import load_pose_network
from hrnet_pose_ros.network.pose_networks import (
    PoseNetwork,
    check_head,
    joints_of,
    pose_network,
)
from hrnet_pose_ros.training.allocator import configure_malloc
from hrnet_pose_ros.training.augmentation import AugmentationConfig
from hrnet_pose_ros.training.config import StageConfig, TrainingConfig
from hrnet_pose_ros.training.crop_cache import open_cache
from hrnet_pose_ros.training.dataset import CropDataset, TrainingSet
from hrnet_pose_ros.training.learning_curves import LearningCurves
from hrnet_pose_ros.training.loop import BEST, LAST, StageData, StageTraining
from hrnet_pose_ros.training.pretraining import load_pretraining
from hrnet_pose_ros.training.sampling import CropSchedule
from hrnet_pose_ros.training.validation import ValidationCrops
from hrnet_pose_ros.yaml_config import ConfigError

_log = logging.getLogger(__name__)

SETTINGS = "settings.json"
# Settings that may change when a training resumes: they concern only paths, speed and checkpoints.
# The epochs and hold of a stage may change too, which extends it.
CHANGEABLE = ("workers", "checkpoint_steps", "pretraining", "start")
CHANGEABLE_IN_STAGES = ("epochs", "hold", "validate_epochs")
# Values of settings that trainings of earlier versions did not have.
DEFAULTS = {"crop": "reference", "narrow_head": False}
_WAY_OUT = "to resume without them, remove this file; to begin anew, choose another folder (-o)"


def train(config: TrainingConfig, folder: Path) -> Path:
    """Train according to ``config`` in ``folder``, or resume the training in it.

    Returns the file with the best averaged weights of the last stage.

    Raises
    ------
    ConfigError, AnnotationError, CheckpointError, ModelError, ValueError
        Settings, network or data are invalid; nothing was trained.
    RuntimeError
        The loss is no longer finite, or there are no best weights.
    """
    _check_network(config)
    configure_malloc()
    fabric = _fabric(config)
    fabric.launch()
    if fabric.is_global_zero:
        _check_folder(config, folder)
    skeleton = config.definition
    annotations = {
        name: read_annotations(data.annotations, skeleton) for name, data in config.train.items()
    }
    validation = read_annotations(config.validation.annotations, skeleton)
    sources = _sources(config, annotations, folder, fabric)
    sizes = [len(source.cache) for source in sources]
    weights = [data.weight for data in config.train.values()]
    order = CropSchedule(sizes, weights, config.epoch_crops or sum(sizes), config.seed)

    fabric.seed_everything(config.seed, verbose=False)
    network = _fresh_network(config)
    curves = LearningCurves(folder)
    for stage in config.stages:
        data = StageData(
            CropDataset(
                sources, stage.size, augmentation_of(config, stage), config.seed, config.crop
            ),
            order,
            ValidationCrops(
                validation,
                Path(config.validation.images),
                stage.size,
                fabric.global_rank,
                fabric.world_size,
                config.crop,
            ),
            config.workers,
        )
        training = StageTraining(
            fabric, network, stage, data, folder / stage.name, curves, config.checkpoint_steps
        )
        network = _network_with(config, training.run())
    best = folder / config.stages[-1].name / BEST
    if fabric.is_global_zero and not best.is_file():
        raise RuntimeError(
            f"the training has ended, but there is no '{best}': it was removed, and no validation "
            f"was better since; the weights are in '{best.with_name(LAST)}'"
        )
    return best


def augmentation_of(config: TrainingConfig, stage: StageConfig) -> list[AugmentationConfig]:
    """The augmentation of each epoch of a stage, with increasing strength."""
    strengths = np.linspace(stage.augmentation_from, 1, stage.epochs)
    return [config.augmentation.weakened(float(strength)) for strength in strengths]


def _fabric(config: TrainingConfig) -> Fabric:
    """Use all GPUs of this machine under torchrun, otherwise one GPU, otherwise the CPU."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    nodes = int(os.environ.get("WORLD_SIZE", "1")) // local
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True  # worthwhile because all crops have the same size
    precision: Any = config.precision if config.precision != "32" else "32-true"
    return Fabric(accelerator="auto", devices=local, num_nodes=nodes, precision=precision)


def _check_network(config: TrainingConfig) -> None:
    with torch.device("meta"):
        network = pose_network(config.network, config.definition.joints)
    if not config.narrow_head:
        check_head(network)


def _fresh_network(config: TrainingConfig) -> PoseNetwork:
    joints = config.definition.joints
    if config.start is None:
        network = pose_network(config.network, joints)
    else:
        network = load_pose_network(config.start, config.network).train()
        if joints_of(network) == joints:
            return network
        _log.warning(
            "'%s' has %d joints, the skeleton '%s' has %d: the last layer starts anew",
            config.start,
            joints_of(network),
            config.definition.name,
            joints,
        )
        network.final_layer = pose_network(config.network, joints).final_layer
    # Initial heatmaps are close to zero, like most of a target (reference).
    nn.init.normal_(network.final_layer.weight, std=0.001)
    if network.final_layer.bias is not None:
        nn.init.zeros_(network.final_layer.bias)
    if config.pretraining is not None:
        load_pretraining(network, config.pretraining)
    return network


def _network_with(config: TrainingConfig, weights: dict[str, Tensor]) -> PoseNetwork:
    network = pose_network(config.network, config.definition.joints)
    network.load_state_dict(weights)
    return network


def _sources(
    config: TrainingConfig,
    annotations: dict[str, PersonAnnotations],
    folder: Path,
    fabric: Fabric,
) -> list[TrainingSet]:
    """The data sets with their caches, which the first process of each machine creates."""
    largest = max((stage.size for stage in config.stages), key=lambda size: size[0] * size[1])
    with fabric.rank_zero_first(local=True):
        return [
            TrainingSet(
                read,
                open_cache(read, Path(config.train[name].images), largest, folder / name),
                [
                    config.definition.joint_names.index(joint)
                    for joint in config.train[name].ignored_joints
                ],
            )
            for name, read in annotations.items()
        ]


def _check_folder(config: TrainingConfig, folder: Path) -> None:
    """Save the settings, or compare them with those of the training in the folder."""
    settings = json.loads(json.dumps(dataclasses.asdict(config)))
    path = folder / SETTINGS
    if path.is_file():
        changed = _differences(settings, DEFAULTS | _saved_settings(path))
        if changed:
            raise ConfigError(
                f"'{folder}' contains a training with different settings ({', '.join(changed)}): "
                "choose "
                "another folder (-o), or resume it with its original settings"
            )
    write_file(path, json.dumps(settings, indent=1) + "\n")


def _saved_settings(path: Path) -> dict[str, Any]:
    try:
        saved = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"'{path}' is damaged: {error}; {_WAY_OUT}") from None
    stages = saved.get("stages") if isinstance(saved, dict) else None
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise ConfigError(f"'{path}' does not contain the settings of a training; {_WAY_OUT}")
    return saved


def _differences(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    def fixed(settings: dict[str, Any]) -> dict[str, Any]:
        rest = {k: v for k, v in settings.items() if k not in (*CHANGEABLE, "stages")}
        for number, stage in enumerate(settings["stages"]):
            for key, value in stage.items():
                if key not in CHANGEABLE_IN_STAGES:
                    rest[f"stages[{number}].{key}"] = value
        return rest

    new, old = fixed(now), fixed(before)
    return [key for key in {**old, **new} if old.get(key) != new.get(key)]
