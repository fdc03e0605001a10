# SPDX-License-Identifier: Apache-2.0
"""Real trainings, small ones, on the labelled persons of the bundled clip.

Of the smallest HRNet, except where they begin with the weights of the bundled model.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from street_data import StreetData
from tiny_network import register_tiny_network

from hrnet_pose_ros.coco.json_records import AnnotationError
from hrnet_pose_ros.image_files import read_image_file, write_image_file
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.network.checkpoints import load_pose_network
from hrnet_pose_ros.network.heatmap_network import HeatmapNetwork
from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.crops import warp_crops
from hrnet_pose_ros.pose.decoding import poses_from_heatmaps
from hrnet_pose_ros.training.augmentation import AugmentationConfig
from hrnet_pose_ros.training.config import (
    DataConfig,
    StageConfig,
    TrainingConfig,
)
from hrnet_pose_ros.training.run import train
from hrnet_pose_ros.training.validation import ValidationCrops, validate
from hrnet_pose_ros.yaml_config import ConfigError

ROOT = Path(__file__).resolve().parents[2]
TINY = register_tiny_network()
BUNDLED = {"network": "hrnetv2_w24_small", "start": str(ROOT / "models" / "hrnetv2_w24_small.pth")}
STAGE = StageConfig(
    name="only",
    input_size="64x64",
    epochs=6,
    batch=4,
    learning_rate=2e-3,
    sigma=2,
    warm_up_steps=5,
    average_decay=0.9,
    validate_epochs=3,
)


def config_of(street: StreetData, stage: StageConfig = STAGE, **changes: Any) -> TrainingConfig:
    data = DataConfig(str(street.folder / "person_keypoints.json"), str(street.images))
    config = TrainingConfig(
        network=TINY,
        stages=(stage,),
        train={"street": data},
        validation=data,
        workers=0,
        precision="32",
    )
    return replace(config, **changes)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_training_on_eight_crops_learns_them(street: StreetData, tmp_path: Path) -> None:
    stage = replace(
        STAGE,
        input_size="128x96",
        epochs=160,
        batch=8,
        learning_rate=1e-2,
        sigma=1.5,
        peak_weight=8,
        subpixel_centre=True,
        validate_epochs=160,
    )
    nothing = AugmentationConfig(0, 0, 0, 0, 0)
    best = train(config_of(street, stage, augmentation=nothing), tmp_path)

    losses = [float(row["loss"]) for row in rows(tmp_path) if row["loss"]]
    assert losses[0] / losses[-1] > 20
    network = HeatmapNetwork(load_pose_network(best)).eval()
    annotations = street.annotations
    distances = []
    for person in range(len(annotations)):
        image = read_image_file(
            street.images / annotations.image_files[annotations.image_index[person]]
        )
        assert image is not None
        transform = crop_to_image(annotations.boxes[person][None], stage.size)
        with torch.inference_mode():
            heatmaps = network(torch.from_numpy(warp_crops(image, transform, stage.size))).numpy()
        poses = poses_from_heatmaps(heatmaps, transform, stage.size, "dark")
        errors = np.linalg.norm(poses.keypoints[0] - annotations.keypoints[person], axis=1)
        distances.append(errors[annotations.labelled[person]])
    assert np.concatenate(distances).max() < 2  # image pixels; a heatmap cell is 4 or more
    assert float(rows(tmp_path)[-1]["AP"]) > 0.95


def write_config(street: StreetData, path: Path) -> Path:
    """Two stages of 15 and 30 steps and everything random, on the CPU's own precision."""
    data = {"annotations": str(street.annotations.path), "images": str(street.images)}
    stage = {
        "input_size": "64x64",
        "batch": 2,
        "learning_rate": 0.002,
        "sigma": 2,
        "average_decay": 0.9,
        "validate_epochs": 1,
    }
    content = {
        "network": TINY,
        "train": {"one": {**data, "weight": 2}, "two": {**data, "weight": 1}},
        "validation": data,
        "epoch_crops": 30,
        "stages": [
            {**stage, "name": "first", "epochs": 1},
            {**stage, "name": "second", "epochs": 2},
        ],
        "augmentation": {"colour": 0.1, "cut_out": 0.2},
        "precision": "bf16-mixed",
        "checkpoint_steps": 7,
        "workers": 1,
    }
    path.write_text(json.dumps(content))  # JSON is YAML
    return path


def start_training(config: Path, folder: Path) -> subprocess.Popen[bytes]:
    code = (
        "import sys, tiny_network; from hrnet_pose_ros.cli.main import main; "
        "tiny_network.register_tiny_network(); sys.exit(main())"
    )
    path = os.pathsep.join([str(ROOT / "test" / "support"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", str(config), "-o", str(folder)],
        # One thread: sums in one order.
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def kill_after_row(process: subprocess.Popen[bytes], table: Path, row: str) -> None:
    """SIGKILL once a row that begins so is in the curves: between two checkpoints."""
    end = time.monotonic() + 500
    while time.monotonic() < end and process.poll() is None:
        if table.is_file() and f"\n{row}," in table.read_text():
            break
        time.sleep(0.005)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_killed_training_goes_on_to_the_same_curve(street: StreetData, tmp_path: Path) -> None:
    config = write_config(street, tmp_path / "config.yaml")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = start_training(config, whole)
    output, _ = uninterrupted.communicate(timeout=500)
    assert uninterrupted.returncode == 0, output.decode()

    # Step 20 of the second stage's 30, within its second epoch.
    kill_after_row(start_training(config, killed), killed / "curves.csv", "second,20")
    assert torch.load(killed / "second" / "last.ckpt", weights_only=True)["step"] < 30
    resumed = start_training(config, killed)
    output, _ = resumed.communicate(timeout=500)
    assert resumed.returncode == 0, output.decode()

    def curve(folder: Path) -> list[dict[str, str]]:
        return [{k: v for k, v in row.items() if k != "crops_per_s"} for row in rows(folder)]

    assert curve(killed) == curve(whole)
    assert [row["step"] for row in curve(whole) if row["AP"]] == ["15", "15", "30"]
    weights = [
        torch.load(f / "second" / "last.ckpt", weights_only=True)["average"]
        for f in (whole, killed)
    ]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=0, atol=0)
    assert (killed / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_training_can_be_made_longer(street: StreetData, tmp_path: Path) -> None:
    config = config_of(street)
    train(config, tmp_path)
    assert [row["step"] for row in rows(tmp_path) if row["AP"]] == ["6", "12"]
    train(config, tmp_path)  # nothing left to do
    assert [row["step"] for row in rows(tmp_path) if row["AP"]] == ["6", "12"]
    train(replace(config, stages=(replace(STAGE, epochs=9),)), tmp_path)
    assert [row["step"] for row in rows(tmp_path) if row["AP"]] == ["6", "12", "18"]


def test_a_folder_of_another_training_is_refused(street: StreetData, tmp_path: Path) -> None:
    stage = replace(STAGE, epochs=1, validate_epochs=1)
    best = train(config_of(street, stage), tmp_path)
    best.unlink()
    with pytest.raises(RuntimeError, match=r"there is no '.*best\.pth'"):  # nothing is invented
        train(config_of(street, stage), tmp_path)
    other = config_of(street, replace(stage, sigma=3), seed=2)
    with pytest.raises(ConfigError, match=r"different settings \(seed, stages\[0\]\.sigma\)"):
        train(other, tmp_path)


def test_a_training_with_udp(street: StreetData, tmp_path: Path) -> None:
    """From the bundled weights, which find these persons: crops, targets and validation agree."""
    stage = replace(
        STAGE,
        epochs=1,
        validate_epochs=1,
        subpixel_centre=True,
        input_size="256x192",
        learning_rate=1e-6,
    )
    gentle = AugmentationConfig(scale=0, rotation_deg=0, flip=0, half_body=0)
    with pytest.raises(ConfigError, match=r"udp keep .* subpixel_centre: true in stage only"):
        config_of(street, replace(stage, subpixel_centre=False), crop="udp")
    found = {}
    for crop in ("reference", "udp"):
        config = config_of(street, stage, crop=crop, augmentation=gentle, **BUNDLED)
        train(config, tmp_path / crop)
        loss, accuracy = (
            [float(row[name]) for row in rows(tmp_path / crop) if row[name]]
            for name in ("loss", "AP")
        )
        found[crop] = loss[-1], accuracy[-1]
        # What a folder of an earlier version lacks is the reference's rule.
        settings = json.loads((tmp_path / crop / "settings.json").read_text())
        del settings["crop"]
        (tmp_path / crop / "settings.json").write_text(json.dumps(settings))
        if crop == "reference":
            train(config, tmp_path / crop)
        else:
            with pytest.raises(ConfigError, match=r"different settings \(crop\)"):
                train(config, tmp_path / crop)
    # The rules place crops less than a pixel apart: weights for one fit the other nearly as well,
    # but crops of one with targets of the other would not.
    assert found["udp"] == pytest.approx(found["reference"], rel=0.2)
    assert found["udp"][1] > 0.2


def test_a_network_of_fewer_channels_than_joints_is_refused(
    street: StreetData, tmp_path: Path
) -> None:
    many = {"skeleton": "wholebody133"}
    with pytest.raises(ModelError, match=r"133 heatmaps of 32 channels.*narrow_head: true"):
        train(config_of(street, **many), tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(AnnotationError, match=r"133|keypoints"):  # on to the data, which are COCO's
        train(config_of(street, narrow_head=True, **many), tmp_path)


def test_a_start_from_another_network_is_refused(street: StreetData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"contains hrnetv2_w24_small, expected hrnet_w32"):
        train(config_of(street, **BUNDLED | {"network": "hrnet_w32"}), tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("only/last.ckpt", b"PK\x03\x04 nonsense", r"last\.ckpt' cannot be resumed from"),
        ("only/last.ckpt", b"", r"last\.ckpt' cannot be resumed from"),
        ("settings.json", b"{", r"settings\.json' is damaged"),
        ("settings.json", b"[]", r"settings\.json' does not contain the settings"),
        ("settings.json", b'{"stages": [7]}', r"settings\.json' does not contain the settings"),
        ("curves.csv", b"stage,step\n\xff,1\n", r"curves\.csv' is damaged"),
        ("curves.csv", b"stage,step\nonly,x\n", r"curves\.csv' is damaged"),
    ],
)
def test_a_damaged_file_of_a_training_is_named(
    name: str, content: bytes, words: str, street: StreetData, tmp_path: Path
) -> None:
    (tmp_path / "only").mkdir()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        train(config_of(street), tmp_path)


def test_a_start_with_a_damaged_file_is_refused(street: StreetData, tmp_path: Path) -> None:
    start = tmp_path / "start.pth"
    start.write_bytes(Path(BUNDLED["start"]).read_bytes()[:-5000])
    with pytest.raises(ValueError, match=r"start\.pth' is truncated"):
        train(config_of(street, start=str(start)), tmp_path / "out")


@pytest.mark.parametrize("kind", ["train", "validation"])
def test_images_of_another_size_than_annotated_are_refused(
    kind: str, street: StreetData, tmp_path: Path
) -> None:
    """Downscaled after they were labelled: nothing could be learnt from them."""
    images = tmp_path / "images"
    images.mkdir()
    for path in street.images.iterdir():
        frame = read_image_file(path)
        size = (round(0.9 * frame.shape[1]), round(0.9 * frame.shape[0]))
        write_image_file(images / path.name, cv2.resize(frame, size))
    data = DataConfig(str(street.folder / "person_keypoints.json"), str(images))
    changes: dict[str, Any] = {"validation": data} if kind == "validation" else {}
    config = config_of(street, **(changes or {"train": {"street": data}}))
    with pytest.raises(ValueError, match="is 691x518, the annotations are for 768x576"):
        train(config, tmp_path / "out")


def test_validation_data_without_a_labelled_person_are_refused(
    street: StreetData, tmp_path: Path
) -> None:
    content = json.loads((street.folder / "person_keypoints.json").read_text())
    for person in content["annotations"]:
        person.update(keypoints=[0] * 51, num_keypoints=0)
    (tmp_path / "nobody.json").write_text(json.dumps(content))
    nobody = DataConfig(str(tmp_path / "nobody.json"), str(street.images))
    with pytest.raises(ValueError, match=r"nobody\.json' .*has no person to validate on"):
        train(config_of(street, validation=nobody), tmp_path / "out")


def test_a_loss_that_is_not_finite_ends_the_training(street: StreetData, tmp_path: Path) -> None:
    stage = replace(STAGE, learning_rate=1e30, warm_up_steps=0, average_decay=0)
    with pytest.raises(RuntimeError, match=r"loss is nan at step \d+; lower learning_rate"):
        train(config_of(street, stage), tmp_path)


def test_two_processes_share_a_training(street: StreetData, tmp_path: Path) -> None:
    """By torchrun, on the CPU: one curve, and the validation counts every person once."""
    config = write_config(street, tmp_path / "config.yaml")
    content = json.loads(config.read_text())
    stage = {**content["stages"][0], "batch": 4, "learning_rate": 1e-5, "input_size": "256x192"}
    # The bundled weights, for an AP that is not 0; in float32, which every processor computes with
    # itself: bfloat16 takes five times as long on one that has to emulate it.
    small = {"stages": [stage], "epoch_crops": 4, "precision": "32"}
    config.write_text(json.dumps(content | BUNDLED | small))
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        + [str(ROOT / "scripts" / "hrnet_pose"), "train", str(config), "-o", str(tmp_path / "two")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best weights") == 1
    curve = rows(tmp_path / "two")
    assert [(row["step"], bool(row["AP"])) for row in curve] == [("1", False), ("1", True)]

    # The same weights, validated by one process.
    data = ValidationCrops(street.annotations, street.images, (192, 256))
    fabric = Fabric(accelerator="cpu", precision="32-true")
    network = HeatmapNetwork(load_pose_network(tmp_path / "two" / "first" / "best.pth")).eval()
    found = validate(network, data, fabric, 4)
    assert found["AP50"] > 0.2
    assert float(curve[-1]["AP50"]) == pytest.approx(found["AP50"], abs=1e-4)
