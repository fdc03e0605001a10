# SPDX-License-Identifier: Apache-2.0
"""Where models are found, and what is said when they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_pose_ros.engines import model_files
from hrnet_pose_ros.engines.model_files import CHECKPOINT, ONNX, find_model, models_folders
from hrnet_pose_ros.model_metadata import ModelError

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def workspaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two ROS prefixes, an installed package without a source tree."""
    folders = []
    for name in ("overlay", "underlay"):
        folder = tmp_path / name / "share" / "hrnet_pose_ros" / "models"
        folder.mkdir(parents=True)
        (folder / "both.onnx").write_bytes(b"")
        (folder / f"{name}.onnx").write_bytes(b"")
        folders.append(folder)
    prefixes = f"{tmp_path / 'overlay'}:{tmp_path / 'gone'}:{tmp_path / 'underlay'}"
    monkeypatch.setenv("AMENT_PREFIX_PATH", prefixes)
    site = tmp_path / "site" / "hrnet_pose_ros"
    (site / "models").mkdir(parents=True)
    (site / "models" / "pip.onnx").write_bytes(b"")
    (tmp_path / "site" / "models").mkdir()  # another package's: not ours
    monkeypatch.setattr(model_files, "__file__", str(site / "engines" / "model_files.py"))
    return folders[0], folders[1]


def test_the_source_tree_has_the_bundled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    source = MODELS.parent / "hrnet_pose_ros" / "engines" / "model_files.py"
    monkeypatch.setattr(model_files, "__file__", str(source))  # the tests run on the installed one
    assert find_model("hrnet_w16_small", ONNX).samefile(MODELS / "hrnet_w16_small.onnx")
    assert find_model("hrnet_w16_small", CHECKPOINT).samefile(MODELS / "hrnet_w16_small.pth")


def test_order(workspaces: tuple[Path, Path]) -> None:
    overlay, underlay = workspaces
    site = Path(model_files.__file__).parents[1] / "models"
    assert models_folders() == [overlay, underlay, site]
    assert find_model("both", ONNX) == overlay / "both.onnx"
    assert find_model("underlay", ONNX) == underlay / "underlay.onnx"
    assert find_model("pip", ONNX) == site / "pip.onnx"


def test_unknown_name_lists_places_and_models(workspaces: tuple[Path, Path]) -> None:
    with pytest.raises(ModelError) as caught:
        find_model("hrnet_w32", ONNX)
    message = str(caught.value)
    assert all(str(folder) in message for folder in workspaces)
    assert "there are both, overlay, pip, underlay" in message


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.onnx").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert find_model(tmp_path / "my.onnx", ONNX) == tmp_path / "my.onnx"
    assert find_model("my.onnx", ONNX).samefile(tmp_path / "my.onnx")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_model("~/my.onnx", ONNX) == tmp_path / "my.onnx"


@pytest.mark.parametrize(
    ("model", "suffix", "words"),
    [
        ("/none/model.onnx", ONNX, r"no model at '/none/model\.onnx'.*hrnet_w16_small"),
        ("model.onnx", ONNX, "no model at '/"),  # the full path says where it was looked for
        (MODELS / "hrnet_w16_small.pth", ONNX, r"no \.onnx file.*hrnet_pose export"),
        (MODELS / "hrnet_w16_small.onnx", CHECKPOINT, r"no \.pth file"),
        (MODELS, ONNX, "no model at"),  # a folder
        ("", ONNX, "no model is named.*hrnet_w16_small"),
    ],
)
def test_wrong_model_is_named(model: str | Path, suffix: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        find_model(model, suffix)


def test_no_models_folder_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.setattr(model_files, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(ModelError, match=r"no 'x\.onnx' in no models folder.*there are none"):
        find_model("x", ONNX)
