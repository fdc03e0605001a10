# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose train``: a network from a configuration and COCO data."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_pose_ros.cli.arguments import Verbs

if TYPE_CHECKING:
    from hrnet_pose_ros.training.config import DataConfig, TrainingConfig

ANNOTATIONS, IMAGES = "person_keypoints.json", "images"


def add_train(verbs: Verbs) -> None:
    """``hrnet_pose train CONFIG --data NAME=DATA --validation DATA -o FOLDER``"""
    parser = verbs.add_parser(
        "train",
        help="train a network on COCO key point data",
        description="Train as a configuration says (docs/training.md), or go on with what the "
        "output folder holds: a training may be killed at any moment. DATA is FILE.json:IMAGES, "
        f"or a folder with {ANNOTATIONS} and {IMAGES}/. Several GPUs and machines by torchrun, "
        "see docs/training.md. Needs pip install 'hrnet_pose_ros[train]'.",
    )
    parser.add_argument("config", metavar="CONFIG", help="a recipe's name, or a path FILE.yaml")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=DATA",
        help="where a data set of the configuration lies; once for each",
    )
    parser.add_argument("--validation", metavar="DATA", help="where the validation data lie")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "--pretraining", metavar="FILE", help="begin with an ImageNet classifier's weights"
    )
    begin.add_argument("--start", metavar="FILE", help="begin with a pose checkpoint's weights")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that make crops")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    try:
        from hrnet_pose_ros.training.config import find_config, read_config
        from hrnet_pose_ros.training.run import train
    except ImportError as error:
        raise ImportError(
            f"training needs more packages ({error}): pip install 'hrnet_pose_ros[train]'"
        ) from error
    config = read_config(find_config(options.config))
    config = with_paths(config, options.data, options.validation)
    given = {name: getattr(options, name) for name in ("pretraining", "start", "workers")}
    given = {name: value for name, value in given.items() if value is not None}
    best = train(dataclasses.replace(config, **given), options.output)
    if os.environ.get("RANK", "0") == "0":  # under torchrun, one process speaks
        rule = "" if config.crop == "reference" else f" --crop {config.crop}"
        print(f"best weights: {best} (hrnet_pose export {best} -o NAME.onnx{rule})")


def with_paths(
    config: TrainingConfig, data: Sequence[str], validation: str | None
) -> TrainingConfig:
    """Put in where the data lie.

    Raises
    ------
    ConfigError
        A name that the configuration does not have, or a data set without a place.
    """
    from hrnet_pose_ros.yaml_config import ConfigError

    train = dict(config.train)
    for one in data:
        name, equals, place = one.partition("=")
        if not equals or name not in train:
            raise ConfigError(
                f"--data must be NAME=DATA with a name of the configuration "
                f"({', '.join(train)}), got {one!r}"
            )
        train[name] = _placed(train[name], place)
    held_out = config.validation if validation is None else _placed(config.validation, validation)
    for name, one_set in {**train, "validation": held_out}.items():
        if not (one_set.annotations and one_set.images):
            option = "--validation DATA" if name == "validation" else f"--data {name}=DATA"
            raise ConfigError(f"where are the data of '{name}'? Say so with {option}")
    return dataclasses.replace(config, train=train, validation=held_out)


def _placed(data: DataConfig, place: str) -> DataConfig:
    annotations, images = data_place(place)
    return dataclasses.replace(data, annotations=annotations, images=images)


def data_place(text: str) -> tuple[str, str]:
    """Where the annotations and the images of DATA are, as `add_train` describes it."""
    annotations, colon, images = text.rpartition(":")
    if colon:
        return annotations, images
    return str(Path(text) / ANNOTATIONS), str(Path(text) / IMAGES)
