# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.cli.train import with_paths
from hrnet_pose_ros.model_files.metadata import usual_target_sigma
from hrnet_pose_ros.network.pose_networks import POSE_NETWORKS
from hrnet_pose_ros.training.augmentation import AugmentationConfig
from hrnet_pose_ros.training.config import (
    StageConfig,
    TrainingConfig,
    find_config,
    read_config,
)
from hrnet_pose_ros.training.run import augmentation_of
from hrnet_pose_ros.training.schedule import rate_factor
from hrnet_pose_ros.yaml_config import ConfigError, from_mapping

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "config" / "training").glob("*.yaml"))

STAGE: dict[str, Any] = {
    "name": "full",
    "input_size": "256x192",
    "epochs": 10,
    "batch": 8,
    "learning_rate": 1e-3,
    "sigma": 2,
}
CONTENT: dict[str, Any] = {
    "network": "hrnetv2_w24_small",
    "stages": [STAGE],
    "train": {"coco": {"weight": 2}},
    "validation": {},
}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_can_be_read(path: Path) -> None:
    config = read_config(path)
    assert config.network in POSE_NETWORKS
    assert path.stem.startswith(config.network)
    last = config.stages[-1]
    assert last.sigma == usual_target_sigma(last.size)


@pytest.mark.parametrize("network", ["hrnet_w32", "hrnet_w48"])
@pytest.mark.parametrize("size, sigma", [("256x192", 2.0), ("384x288", 3.0)])
def test_the_papers_recipe(network: str, size: str, sigma: float) -> None:
    config = read_config(ROOT / "config" / "training" / f"{network}_{size}.yaml")
    (stage,) = config.stages
    assert (config.network, stage.input_size, stage.sigma) == (network, size, sigma)
    assert (stage.epochs, stage.drop_epochs, stage.learning_rate) == (210, (170, 200), 1e-3)
    assert not (stage.subpixel_centre or stage.peak_weight or stage.average_decay)
    assert not (stage.weight_decay or stage.warm_up_steps or stage.hardest_joints)
    assert config.augmentation == AugmentationConfig(0.35, 45, 0.6, 0.5, 0.3, 0, 0, 0, 0)


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    content = copy.deepcopy(CONTENT)
    change(content)
    return content


@pytest.mark.parametrize(
    "content, message",
    [
        (
            changed(lambda c: c.update(netwrk=1)),
            "unknown key 'netwrk'; the nearest key is 'network'",
        ),
        (
            changed(lambda c: c["stages"][0].update(learning_rat=1)),
            "stages[0]: unknown key 'learning_rat'; the nearest key is 'learning_rate'",
        ),
        (changed(lambda c: c.pop("network")), "'network' must be given"),
        (changed(lambda c: c["stages"][0].pop("sigma")), "stages[0]: 'sigma' must be given"),
        (changed(lambda c: c.update(stages=[])), "stages must contain at least one stage"),
        (changed(lambda c: c.update(stages=3)), "stages must be a list, got 3"),
        (changed(lambda c: c.update(train={})), "train must contain at least one data set"),
        (
            changed(lambda c: c["stages"][0].update(batch="8")),
            "stages[0].batch must be an integer, got '8'",
        ),
        (changed(lambda c: c["stages"][0].update(batch=0)), "batch must be 1 or more, got 0"),
        (
            changed(lambda c: c["stages"][0].update(input_size="256x200")),
            "input_size must be HEIGHTxWIDTH in multiples of 32, like 256x192; got '256x200'",
        ),
        (
            changed(lambda c: c["stages"][0].update(drop_epochs=[5, 10])),
            "drop_epochs must be within the 10 epochs, got [5, 10]",
        ),
        (
            changed(lambda c: c["stages"][0].update(hardest_joints=18)),
            "hardest_joints must be between 1 and 17, or null, got 18",
        ),
        (
            changed(lambda c: c["train"]["coco"].update(weight=0)),
            "train.coco: weight must be above 0, got 0.0",
        ),
        (
            changed(lambda c: c.update(precision="fp8")),
            "precision must be one of bf16-mixed, 16-mixed, 32; got 'fp8'",
        ),
        (
            changed(lambda c: c["train"]["coco"].update(ignored_joints=["left_foot"])),
            "ignored_joints: unknown joint 'left_foot'; the nearest name is 'left_",
        ),
        (
            changed(lambda c: c["stages"][0].update(joint_weights={"left_ankle": -1})),
            "joint_weights: left_ankle must be 0 or more, got -1",
        ),
        (
            changed(lambda c: c["stages"][0].update(augmentation_from=1.5)),
            "augmentation_from must be between 0 and 1, got 1.5",
        ),
        (changed(lambda c: c["stages"].append(STAGE)), "two stages have the same name"),
        (changed(lambda c: c.update(start="a", pretraining="b")), "remove one of them"),
        (changed(lambda c: c.update(seed=True)), "seed must be an integer, got True"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_mapping(TrainingConfig, content)
    assert message in str(error.value)


def test_numbers_and_defaults_are_read() -> None:
    config = from_mapping(TrainingConfig, {**CONTENT, "precision": 32})
    assert config.precision == "32"
    assert config.stages[0].sigma == 2.0
    assert config.stages[0].size == (192, 256)
    assert config.train["coco"].weight == 2.0


def test_a_file_that_is_no_configuration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("network: [")
    with pytest.raises(ConfigError, match=r"bad\.yaml' is not YAML"):
        read_config(path)
    with pytest.raises(ConfigError, match=r"gone\.yaml' cannot be read"):
        read_config(tmp_path / "gone.yaml")
    path.write_text("augmentation: {flip: 2}")
    with pytest.raises(ConfigError, match=r"bad\.yaml': "):
        read_config(path)


def test_data_come_from_the_command_line() -> None:
    config = from_mapping(TrainingConfig, CONTENT)
    placed = with_paths(config, ["coco=/a/labels.json:/a/pictures"], "/b")
    assert placed.train["coco"].annotations == "/a/labels.json"
    assert placed.train["coco"].images == "/a/pictures"
    assert placed.train["coco"].weight == 2.0
    assert placed.validation.annotations == "/b/person_keypoints.json"
    assert placed.validation.images == "/b/images"


@pytest.mark.parametrize(
    "data, validation, message",
    [
        (["coc=/a"], "/b", "with a name of the configuration (coco), got 'coc=/a'"),
        (["/a"], "/b", "got '/a'"),
        ([], "/b", "where are the data of 'coco'? Say so with --data coco=DATA"),
        (["coco=/a"], None, "Say so with --validation DATA"),
    ],
)
def test_what_is_wrong_with_the_places_of_data_is_said(
    data: list[str], validation: str | None, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        with_paths(from_mapping(TrainingConfig, CONTENT), data, validation)
    assert message in str(error.value)


def test_the_command_says_what_is_wrong_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(RECIPES[0]), "--data", "nope=/x", "-o", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("hrnet_pose: --data must be NAME=DATA")
    assert errors.count("\n") == 1


def factors(steps: int, **changes: Any) -> list[float]:
    stage = from_mapping(StageConfig, {**STAGE, **changes})
    return [rate_factor(step, steps, steps // stage.epochs, stage) for step in range(steps)]


def test_the_rate_drops_at_its_epochs() -> None:
    course = factors(100, drop_epochs=[7, 9])
    assert course == pytest.approx([1.0] * 70 + [0.1] * 20 + [0.01] * 10)


def test_the_rate_rises_stays_and_falls() -> None:
    course = factors(100, warm_up_steps=10, hold=0.5)
    assert course[:11] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0])
    assert course[10:51] == pytest.approx([1.0] * 41)
    assert course[75] == pytest.approx(0.5)
    assert all(later < earlier for earlier, later in itertools.pairwise(course[50:]))
    assert course[-1] < 0.002


def test_recipes_are_found_by_name(tmp_path: Path) -> None:
    for recipe in RECIPES:
        assert find_config(recipe.stem).samefile(recipe)
    path = tmp_path / "mine.yaml"
    assert find_config(str(path)) == path  # read_config says what is wrong with it
    with pytest.raises(
        ConfigError, match=r"no recipe 'w32'; available .*hrnetv2_w24_small_cpu, or .*\.yaml"
    ):
        find_config("w32")


def test_augmentation_grows_over_the_epochs_of_a_stage() -> None:
    content = {**CONTENT, "stages": [{**STAGE, "epochs": 5, "augmentation_from": 0.2}]}
    content["augmentation"] = {"scale": 0.25, "flip": 0.5, "cut_out": 0.5}
    config = from_mapping(TrainingConfig, content)
    course = augmentation_of(config, config.stages[0])
    assert [a.scale for a in course] == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.25])
    assert [a.cut_out for a in course] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert {a.flip for a in course} == {0.5}  # a mirrored person is no harder
    assert course[-1] == config.augmentation
    constant = from_mapping(TrainingConfig, CONTENT)
    assert set(augmentation_of(constant, constant.stages[0])) == {constant.augmentation}
