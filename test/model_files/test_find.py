# SPDX-License-Identifier: Apache-2.0
"""Where models are found, and what is said when they are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hrnet_pose_ros import installed
from hrnet_pose_ros.coco.uncertainty_write import model_files
from hrnet_pose_ros.engines.choose_engine import choose_engine
from hrnet_pose_ros.model_files.find import (
    find_checkpoint,
    find_model,
    metadata_beside,
    model_path,
)
from hrnet_pose_ros.model_files.folders import models_folders, user_models_folder
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import CHECKPOINT, ONNX

MODELS = Path(__file__).resolve().parents[2] / "models"


def test_the_source_tree_has_the_bundled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    source = MODELS.parent / "hrnet_pose_ros" / "installed.py"
    monkeypatch.setattr(installed, "__file__", str(source))  # the tests run on the installed one
    for suffix, kind in ((ONNX, "heatmaps"), (CHECKPOINT, "checkpoint")):
        found = find_model("hrnetv2_w24_small", suffix)
        assert found.path.samefile(MODELS / f"hrnetv2_w24_small{suffix}")
        assert found.kind == kind


def test_order(workspaces: tuple[Path, Path]) -> None:
    overlay, underlay = workspaces
    site = Path(installed.__file__).parent / "models"
    assert models_folders() == [overlay, underlay, site]
    assert model_path("both", ONNX) == overlay / "both.onnx"
    assert model_path("underlay", ONNX) == underlay / "underlay.onnx"
    assert model_path("pip", ONNX) == site / "pip.onnx"


def test_the_users_folder_comes_last(
    workspaces: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "data" / "hrnet_pose" / "models"
    assert folder not in models_folders()  # as long as it does not exist
    folder.mkdir(parents=True)
    for name in ("both.onnx", "fetched.onnx"):
        (folder / name).write_bytes(b"")
    assert models_folders()[-1] == user_models_folder() == folder
    assert model_path("fetched", ONNX) == folder / "fetched.onnx"
    assert model_path("both", ONNX) == workspaces[0] / "both.onnx"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_models_folder() == tmp_path / ".local" / "share" / "hrnet_pose" / "models"


def test_unknown_name_lists_places_and_models(workspaces: tuple[Path, Path]) -> None:
    with pytest.raises(ModelError) as caught:
        model_path("hrnet_w32", ONNX)
    message = str(caught.value)
    assert all(str(folder) in message for folder in workspaces)
    assert "there are both, overlay, pip, underlay" in message


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.onnx").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert model_path(tmp_path / "my.onnx", ONNX) == tmp_path / "my.onnx"
    assert model_path("my.onnx", ONNX).samefile(tmp_path / "my.onnx")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_path("~/my.onnx", ONNX) == tmp_path / "my.onnx"


@pytest.mark.parametrize(
    ("model", "suffix", "words"),
    [
        ("/none/model.onnx", ONNX, r"no model at '/none/model\.onnx'.*hrnetv2_w24_small"),
        ("model.onnx", ONNX, "no model at '/"),  # the full path says where it was looked for
        (MODELS / "hrnetv2_w24_small.pth", ONNX, r"not the \.onnx file.*hrnet_pose export"),
        (MODELS / "hrnetv2_w24_small.onnx", CHECKPOINT, r"not the \.pth file"),
        (MODELS, ONNX, "no model at"),  # a folder
        ("", ONNX, "no model is named.*hrnetv2_w24_small"),
    ],
)
def test_wrong_model_is_named(model: str | Path, suffix: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        model_path(model, suffix)


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.ckpt", "a.pth.tar", "a.PTH", "A.Pt"])
def test_checkpoints_have_many_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(MODELS / "hrnetv2_w24_small.pth", tmp_path / name)
    shutil.copy(MODELS / "hrnetv2_w24_small.onnx", tmp_path / f"{name[0]}.onnx")
    monkeypatch.chdir(tmp_path)  # a word without a separator is a path as well
    assert find_model(name, CHECKPOINT).kind == "checkpoint"
    assert find_checkpoint(name)[0].path.samefile(tmp_path / name)
    assert choose_engine(name).engine == "torch"
    beside = metadata_beside(tmp_path / name)
    assert beside is not None and beside.name == "hrnetv2_w24_small"
    assert model_files(name) == [tmp_path / f"{name[0]}.onnx"] or model_files(name) == [
        Path(f"{name[0]}.onnx")
    ]


def test_an_onnx_file_in_capitals(tmp_path: Path) -> None:
    shutil.copy(MODELS / "hrnetv2_w24_small.onnx", tmp_path / "MODEL.ONNX")
    assert find_model(tmp_path / "MODEL.ONNX", ONNX).kind == "heatmaps"


def test_no_models_folder_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.setattr(installed, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(ModelError, match=r"no 'x\.onnx' in no models folder.*there are none"):
        model_path("x", ONNX)


def test_links_that_lead_nowhere_are_no_models(workspaces: tuple[Path, Path]) -> None:
    """As a build with --symlink-install leaves them when a model goes."""
    (workspaces[0] / "gone.onnx").symlink_to(workspaces[0] / "removed.onnx")
    with pytest.raises(ModelError, match=r"there are both, overlay, pip, underlay$"):
        find_model("gone", ONNX)
