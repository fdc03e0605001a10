# SPDX-License-Identifier: Apache-2.0
"""The configuration of a training: the validated content of a file in config/training/."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hrnet_pose_ros.installed import installed_folders
from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.skeleton import SkeletonDefinition, SkeletonError, find_skeleton
from hrnet_pose_ros.training.augmentation import AugmentationConfig
from hrnet_pose_ros.yaml_config import ConfigError, from_mapping, read_yaml

Precision = Literal["bf16-mixed", "16-mixed", "32"]


def require(met: bool, message: str) -> None:
    """Raise ConfigError with ``message`` unless ``met``."""
    if not met:
        raise ConfigError(message)


def _require_joint(name: str, skeleton: SkeletonDefinition, where: str) -> None:
    names = skeleton.joint_names
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
    require(name in names, f"{where}: unknown joint {name!r}; the nearest name is '{near}'")


@dataclass(frozen=True)
class StageConfig:
    """A stage of a training with one input size and one learning rate schedule.

    Attributes
    ----------
    name
        Name of the stage and of its folder.
    input_size
        "HEIGHTxWIDTH" of the crops in pixels, multiples of 32.
    epochs
        Number of epochs.
    batch
        Crops per step over all processes.
    learning_rate
        Peak learning rate of Adam.
    sigma
        Standard deviation of the Gaussian targets, in heatmap cells.
    subpixel_centre
        Whether the centre of a target keeps its sub-cell position (DARK) or is rounded to a cell
        (HRNet).
    warm_up_steps
        Steps over which the learning rate increases linearly from 0.
    drop_epochs
        Epochs at which the learning rate drops to a tenth. Empty: cosine decay.
    hold
        With cosine decay: fraction of the stage, 0 to 1, before the decay starts.
    weight_decay
        Decoupled weight decay (AdamW); 0 is plain Adam.
    average_decay
        Decay of the moving average of the weights, which is validated and saved; 0 uses the
        weights themselves.
    peak_weight
        p: the squared error of a cell is weighted by ``1 + p * target``; 0 is the reference.
    hardest_joints
        Online hard keypoint mining (OHKM): number of joints per person with the largest losses
        that enter the loss; null uses all joints.
    joint_weights
        Loss weight by joint name, 0 or more; the default is 1.
    augmentation_from
        Relative strength of the augmentation at the start of the stage, 0 to 1; it increases over
        the epochs to the full strength. 1: full strength from the first epoch on.
    validate_epochs
        Epochs between two validations; there is always a validation at the end.
    """

    name: str
    input_size: str
    epochs: int
    batch: int
    learning_rate: float
    sigma: float
    subpixel_centre: bool = False
    warm_up_steps: int = 0
    drop_epochs: tuple[int, ...] = ()
    hold: float = 0.0
    weight_decay: float = 0.0
    average_decay: float = 0.0
    peak_weight: float = 0.0
    hardest_joints: int | None = None
    joint_weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    augmentation_from: float = 1.0
    validate_epochs: int = 1

    def __post_init__(self) -> None:
        where = f"stage {self.name!r}: "
        require(
            re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name) is not None,
            f"a stage's name must be letters, digits, '.', '_' or '-', got {self.name!r}",
        )
        match = re.fullmatch(r"(\d+)x(\d+)", self.input_size)
        require(
            match is not None and all(int(s) > 0 and int(s) % 32 == 0 for s in match.groups()),
            f"{where}input_size must be HEIGHTxWIDTH in multiples of 32, like 256x192; "
            f"got {self.input_size!r}",
        )
        for name in ("epochs", "batch", "validate_epochs"):
            value = getattr(self, name)
            require(value >= 1, f"{where}{name} must be 1 or more, got {value}")
        for name in ("learning_rate", "sigma"):
            value = getattr(self, name)
            require(0 < value < float("inf"), f"{where}{name} must be above 0, got {value}")
        for name in ("warm_up_steps", "weight_decay", "peak_weight"):
            value = getattr(self, name)
            require(value >= 0, f"{where}{name} must be 0 or more, got {value}")
        for name in ("hold", "average_decay"):
            value = getattr(self, name)
            require(0 <= value < 1, f"{where}{name} must be at least 0 and below 1, got {value}")
        require(
            0 <= self.augmentation_from <= 1,
            f"{where}augmentation_from must be between 0 and 1, got {self.augmentation_from}",
        )
        for joint, weight in self.joint_weights.items():
            require(
                0 <= weight < float("inf"),
                f"{where}joint_weights: {joint} must be 0 or more, got {weight}",
            )
        require(
            all(0 < epoch < self.epochs for epoch in self.drop_epochs),
            f"{where}drop_epochs must be within the {self.epochs} epochs, got "
            f"{list(self.drop_epochs)}",
        )
        require(
            not (self.drop_epochs and self.hold),
            f"{where}drop_epochs and hold exclude each other: remove one of them",
        )

    def check_joints(self, skeleton: SkeletonDefinition) -> None:
        """Raise ConfigError unless the joints of this stage are those of the skeleton."""
        where = f"stage {self.name!r}: "
        for joint in self.joint_weights:
            _require_joint(joint, skeleton, f"{where}joint_weights")
        require(
            self.hardest_joints is None or 1 <= self.hardest_joints <= skeleton.joints,
            f"{where}hardest_joints must be between 1 and {skeleton.joints}, or null, got "
            f"{self.hardest_joints}",
        )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the crops in pixels."""
        height, width = self.input_size.split("x")
        return int(width), int(height)


@dataclass(frozen=True)
class DataConfig:
    """A data set to train on.

    Attributes
    ----------
    annotations, images
        The COCO key point file and the folder of its images; both may be given on the command line.
    weight
        Relative number of crops per epoch from this data set. It has no effect with a single data
        set.
    ignored_joints
        Joints whose labels in this data set are not used, for example pseudo labels.
    """

    annotations: str = ""
    images: str = ""
    weight: float = 1.0
    ignored_joints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.weight > 0, f"weight must be above 0, got {self.weight}")


@dataclass(frozen=True)
class TrainingConfig:
    """The configuration of a training.

    Attributes
    ----------
    network
        Name of the network (`hrnet_pose_ros.network.pose_networks`).
    stages
        Stages in order; each starts from the averaged weights of the previous one.
    train
        The data sets by name.
    skeleton
        The joints: the name of a shipped definition or the path of a YAML file
        (`hrnet_pose_ros.skeleton`). The categories of all data sets must name all of them.
    validation
        The data set on which the best checkpoint is selected.
    pretraining
        Initial weights from an ImageNet classifier, without its classification layers.
    start
        Initial weights of the whole pose network; the last layer starts anew if they are of another
        number of joints.
    narrow_head
        Train even if the network's last layer has fewer channels than there are joints, as the
        published models of WholeBody do; otherwise this is refused, since such heatmaps are
        linearly dependent (`check_head` in `hrnet_pose_ros.network.pose_networks`).
    epoch_crops
        Crops per epoch; null: as many as there are persons.
    augmentation
        Augmentation of the crops.
    crop
        The crop rule: reference, or udp for unbiased data processing (UDP), which needs
        subpixel_centre in every stage. Export the weights with the same rule.
    precision
        bf16-mixed, 16-mixed (GPUs without bfloat16) or 32.
    seed
        Seed of initial weights, crop order and augmentation.
    checkpoint_steps
        Steps between two checkpoints, the most that an interruption can lose.
    workers
        Data loader processes per training process.
    """

    network: str
    stages: tuple[StageConfig, ...]
    train: Mapping[str, DataConfig]
    validation: DataConfig
    pretraining: str | None = None
    start: str | None = None
    skeleton: str = "coco17"
    narrow_head: bool = False
    epoch_crops: int | None = None
    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)
    crop: CropRule = "reference"
    precision: Precision = "bf16-mixed"
    seed: int = 1
    checkpoint_steps: int = 200
    workers: int = 4

    def __post_init__(self) -> None:
        require(bool(self.stages), "stages must contain at least one stage")
        require(bool(self.train), "train must contain at least one data set")
        try:
            definition = self.definition
        except SkeletonError as error:
            raise ConfigError(str(error)) from None
        for stage in self.stages:
            stage.check_joints(definition)
        for data in (*self.train.values(), self.validation):
            for joint in data.ignored_joints:
                _require_joint(joint, definition, "ignored_joints")
        names = [stage.name for stage in self.stages]
        require(len(set(names)) == len(names), f"two stages have the same name: {names}")
        require(
            self.pretraining is None or self.start is None,
            "pretraining and start exclude each other: remove one of them",
        )
        rounded = [stage.name for stage in self.stages if not stage.subpixel_centre]
        require(
            self.crop != "udp" or not rounded,
            "the targets of udp keep their sub-cell position: set subpixel_centre: true in stage "
            + ", ".join(rounded),
        )
        require(
            self.epoch_crops is None or self.epoch_crops >= 1,
            f"epoch_crops must be null, or 1 or more, got {self.epoch_crops}",
        )
        require(
            self.checkpoint_steps >= 1,
            f"checkpoint_steps must be 1 or more, got {self.checkpoint_steps}",
        )
        require(self.workers >= 0, f"workers must be 0 or more, got {self.workers}")
        require(self.seed >= 0, f"seed must be 0 or more, got {self.seed}")

    @property
    def definition(self) -> SkeletonDefinition:
        """The definition of the joints; SkeletonError if there is none."""
        return find_skeleton(self.skeleton)


def _skeleton_beside(path: Path, content: object) -> None:
    """Take a relative path of a skeleton as one from the configuration's folder, if it is there."""
    if isinstance(content, dict) and isinstance(content.get("skeleton"), str):
        beside = path.absolute().parent / content["skeleton"]
        if beside.is_file():
            content["skeleton"] = str(beside)


def find_config(config: str) -> Path:
    """Find the file of a training configuration.

    ``config`` is a path (with a separator or the suffix ``.yaml``) or the name of a recipe that
    comes with the package.

    Raises
    ------
    ConfigError
        There is no recipe of that name; the message lists the available ones.
    """
    if os.sep in config or config.endswith(".yaml"):
        return Path(config)
    folders = installed_folders("config/training", "recipes")
    found = {path.stem: path for folder in reversed(folders) for path in folder.glob("*.yaml")}
    if config not in found:
        raise ConfigError(
            f"there is no recipe '{config}'; available recipes are "
            f"{', '.join(sorted(found)) or 'none'}, or give a path that ends in .yaml"
        )
    return found[config]


def read_config(path: Path) -> TrainingConfig:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        The file cannot be read, or a key or value is invalid.
    """
    content = read_yaml(path, "training configuration")
    _skeleton_beside(path, content)
    try:
        return from_mapping(TrainingConfig, content)
    except ConfigError as error:
        raise ConfigError(f"'{path}': {error}") from None
