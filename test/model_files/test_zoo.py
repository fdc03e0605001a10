# SPDX-License-Identifier: Apache-2.0
"""The zoo: its file is complete and checked, and models are found with what is known of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.model_files.checksums import sha256_of
from hrnet_pose_ros.model_files.find import find_checkpoint, find_model
from hrnet_pose_ros.model_files.folders import files_of
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import CHECKPOINT, ONNX, ModelFile
from hrnet_pose_ros.model_files.zoo import entry_of, read_zoo

MODELS = Path(__file__).resolve().parents[2] / "models"
SMALL = MODELS / "hrnetv2_w24_small.pth"


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = tmp_path / "hrnet_pose" / "models"
    folder.mkdir(parents=True)
    return folder


def test_the_zoo() -> None:
    zoo = read_zoo()
    assert len(zoo) == 35
    assert [entry.name for entry in zoo.values()] == list(zoo)
    assert len({entry.file for entry in zoo.values()}) == len(zoo)
    for entry in zoo.values():
        # Everything published at 384x288 was trained with a sigma of 3 cells.
        sizes = {(192, 256): 2, (256, 256): 2, (288, 384): 3}
        assert entry.target_sigma == sizes[entry.input_size]
        # AP on COCO val2017 is of COCO's joints; other figures are in words.
        assert (entry.figures == "") == (entry.skeleton == "coco17")
        assert entry.ap is None or entry.skeleton == "coco17"
        assert entry.size_text in entry.name or entry.name == "hrnetv2_w24_small"
        # The reference's SimpleBaselines alone want BGR, the DARK and UDP models alone DARK's
        # decoding; UDP models alone want another crop and no shift.
        assert (entry.colour_order == "bgr") == entry.name.startswith("pose_resnet")
        udp = "udp" in entry.file
        assert (entry.decoding == "dark") == ("dark" in entry.file or udp)
        assert (entry.crop == "udp", entry.flip_shift) == (udp, not udp)
        if entry.source.address:  # MMPose's file names hold the checksum
            assert entry.sha256 is not None
            assert f"-{entry.sha256}_" in entry.file


def test_the_bundled_entry_is_the_bundled_file() -> None:
    read_zoo()["hrnetv2_w24_small"].check(sha256_of(SMALL), SMALL)


def test_a_checkpoint_is_known_by_its_content(user_folder: Path) -> None:
    file, entry = find_checkpoint("hrnetv2_w24_small")
    assert file.path.samefile(SMALL)
    assert file.checksum == sha256_of(SMALL)
    assert entry is not None
    renamed = shutil.copy(SMALL, user_folder / "renamed.pth")
    assert find_checkpoint(renamed)[1] == entry
    assert find_checkpoint("renamed")[1] == entry
    (user_folder / "renamed.pth").write_bytes(b"other")
    other, entry = find_checkpoint("renamed")
    assert (other.path, entry) == (user_folder / "renamed.pth", None)


def test_a_checkpoint_without_a_checksum_is_known_by_its_name(user_folder: Path) -> None:
    path = user_folder / "pose_resnet_50_256x192.pth"
    path.write_bytes(b"anything")
    entry = find_checkpoint("pose_resnet_50_256x192")[1]
    assert entry is not None
    assert (entry.network, entry.colour_order) == ("simple_baseline_r50", "bgr")
    assert entry_of(ModelFile.read(path)) == entry
    assert entry_of(ModelFile.read(path.rename(user_folder / "res50.pth"))) is None


def test_another_file_under_a_published_name_is_refused(user_folder: Path) -> None:
    path = user_folder / "mmpose_res50_256x192.pth"
    path.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"not the published.*04af38ce; 'hrnet_pose fetch mmpose"):
        find_checkpoint("mmpose_res50_256x192")
    assert find_checkpoint(path)[1] is None  # a path takes it as it is


@pytest.mark.parametrize(
    ("name", "suffix", "words"),
    [
        (
            "mmpose_res50_256x192",
            ONNX,
            "'hrnet_pose fetch mmpose_res50_256x192', then 'hrnet_pose export",
        ),
        ("mmpose_res50_256x192", CHECKPOINT, "'hrnet_pose fetch mmpose_res50_256x192'$"),
        ("pose_hrnet_w32_256x192", CHECKPOINT, "--from FILE .from https://github.com/"),
        ("nobody", ONNX, "by name there are hrnetv2_w24_small$"),
    ],
)
def test_what_is_missing_is_told(name: str, suffix: str, words: str, user_folder: Path) -> None:
    with pytest.raises(ModelError, match=words):
        find_model(name, suffix)


def test_a_fetched_model_wants_an_export(user_folder: Path) -> None:
    (user_folder / "mmpose_res50_256x192.pth").write_bytes(b"")
    with pytest.raises(ModelError, match="; make it with 'hrnet_pose export mmpose_res50_256x192'"):
        find_model("mmpose_res50_256x192", ONNX)


def test_verb_models(user_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (user_folder / "mmpose_hrnet_w32_256x192.pth").write_bytes(b"")
    assert main(["models"]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert lines["mmpose_hrnet_w32_256x192"][1:13] == [
        *(
            "coco17",
            "256x192",
            "28.5",
            "7.12",
            "7.65",
            "0.749",
            "rgb",
            "2",
            "reference",
            "yes",
            "quarter",
        ),
        "81c58e40",
    ]
    assert lines["mmpose_hrnet_w48_udp_384x288"][1:13] == [
        *("coco17", "384x288", "63.6", "32.88", "35.31", "0.773", "rgb", "3", "udp", "no", "dark"),
        "70d7ab01",
    ]
    assert lines["mmpose_hrnet_w32_256x192"][-1] == ".pth"
    assert {".pth", ".onnx"} <= set(lines["hrnetv2_w24_small"])
    assert lines["pose_resnet_152_384x288"][-1] == "-"

    assert main(["models", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)
    assert list(models) == list(read_zoo())
    fetched = models["mmpose_hrnet_w32_256x192"]
    assert fetched["present"] == [str(user_folder / "mmpose_hrnet_w32_256x192.pth")]
    assert fetched["address"].startswith("https://")
    assert fetched["address"].endswith(fetched["file"])
    assert (fetched["input_width"], fetched["input_height"]) == (192, 256)
    assert models["pose_resnet_50_256x192"]["address"] is None
    assert models["pose_resnet_50_256x192"]["source"]["licence"] == "MIT"


def test_files_of_a_model_are_not_those_of_a_similar_name(user_folder: Path) -> None:
    names = ["mine.pth", "mine.onnx", "mine_end2end.onnx", "mine_end2end_float32.onnx"]
    for name in [*names, "mine_larger.pth", "mine_larger.onnx"]:
        (user_folder / name).write_bytes(b"")
    assert [path.name for path in files_of("mine")] == names


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "colour",
            "rgb",
            r"models\.hrnetv2_w24_small: unknown key 'colour'; the nearest key is 'colour_order'",
        ),
        ("network", None, r"models\.hrnetv2_w24_small: 'network' must be given"),
        (
            "parameters",
            1.5,
            r"small\.parameters must be an integer, got 1\.5",
        ),
        ("flip_shift", 1, "flip_shift must be true or false, got 1"),
        ("input_size", "256 by 192", "input_size must be HEIGHTxWIDTH, got '256 by 192'"),
        ("colour_order", "grb", "colour_order must be one of rgb, bgr; got 'grb'"),
        ("target_sigma", 2.5, "target_sigma must be one of 2.0, 3.0; got 2.5"),
        ("crop", "dark", "crop must be one of reference, udp; got 'dark'"),
        ("decoding", "udp", "decoding must be one of quarter, dark; got 'udp'"),
        (
            "source",
            "nobody",
            "source must be one of bundled, mmpose, mmpose_top_down, reference; got 'nobody'",
        ),
        ("sha256", "81C58E40", "sha256 must be 8 hexadecimal digits, got '81C58E40'"),
        ("ap", 74.4, "ap must be between 0 and 1, got 74.4"),
    ],
)
def test_a_wrong_entry_is_named(key: str, value: Any, words: str, tmp_path: Path) -> None:
    yaml = YAML()
    content = yaml.load((MODELS / "zoo.yaml").read_text())
    entry = content["models"]["hrnetv2_w24_small"]
    if value is None:
        del entry[key]
    else:
        entry[key] = value
    path = tmp_path / "zoo.yaml"
    with path.open("w") as file:
        yaml.dump(content, file)
    with pytest.raises(ModelError, match=words) as caught:
        read_zoo(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models: {", "is not YAML"),
        ("[1, 2]", r"the zoo must be a mapping of names, got \[1, 2\]"),
        ("models: {}\nmore: {}", "has the keys sources and models, got models, more"),
        ("sources: {}\nmodels: {a: 1}", r"models\.a must be a mapping of names, got 1"),
        ("sources: {s: {title: t}}\nmodels: {}", r"sources\.s: 'page', 'licence' must be given"),
    ],
)
def test_a_wrong_file_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "zoo.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=words):
        read_zoo(path)
