# SPDX-License-Identifier: Apache-2.0
"""Where models are found, and what is said when they are not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hrnet_pose_ros import installed
from hrnet_pose_ros.model_files.find import (
    CHECKPOINT,
    ONNX,
    find_end2end_graph,
    find_model,
    models_folders,
    read_end2end_metadata,
    user_models_folder,
)
from hrnet_pose_ros.model_files.metadata import End2EndGraphMetadata, ModelError, ModelMetadata

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
    monkeypatch.setattr(installed, "__file__", str(site / "installed.py"))
    return folders[0], folders[1]


def test_the_source_tree_has_the_bundled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    source = MODELS.parent / "hrnet_pose_ros" / "installed.py"
    monkeypatch.setattr(installed, "__file__", str(source))  # the tests run on the installed one
    assert find_model("hrnet_w16_small", ONNX).samefile(MODELS / "hrnet_w16_small.onnx")
    assert find_model("hrnet_w16_small", CHECKPOINT).samefile(MODELS / "hrnet_w16_small.pth")


def test_order(workspaces: tuple[Path, Path]) -> None:
    overlay, underlay = workspaces
    site = Path(installed.__file__).parent / "models"
    assert models_folders() == [overlay, underlay, site]
    assert find_model("both", ONNX) == overlay / "both.onnx"
    assert find_model("underlay", ONNX) == underlay / "underlay.onnx"
    assert find_model("pip", ONNX) == site / "pip.onnx"


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
    assert find_model("fetched", ONNX) == folder / "fetched.onnx"
    assert find_model("both", ONNX) == workspaces[0] / "both.onnx"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_models_folder() == tmp_path / ".local" / "share" / "hrnet_pose" / "models"


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
    monkeypatch.setattr(installed, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(ModelError, match=r"no 'x\.onnx' in no models folder.*there are none"):
        find_model("x", ONNX)


# --- end-to-end graphs ----------------------------------------------------------------------------

onnx = pytest.importorskip("onnx", reason="end-to-end graphs are read by the package onnx")

MODEL = ModelMetadata("m", "hrnet_w32", 192, 256, 2.0, True, "ab" * 32, "0.1.0")


def write_file(path: Path, properties: dict[str, str]) -> Path:
    """An ONNX file that computes nothing and says this of itself."""
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, str(path))
    return path


def write_end2end(
    path: Path,
    precision: str = "float16",
    decoding: str = "quarter",
    flip_test: bool = False,
    image_size: tuple[int, int] | None = None,
    model: ModelMetadata = MODEL,
) -> Path:
    metadata = End2EndGraphMetadata(model, precision, decoding, flip_test, image_size)
    return write_file(path, metadata.to_properties())


def test_end2end_metadata_round_trip(tmp_path: Path) -> None:
    path = write_end2end(tmp_path / "m_end2end.onnx", "int8", "dark", True, (1280, 720))
    expected = End2EndGraphMetadata(MODEL, "int8", "dark", True, (1280, 720))
    assert read_end2end_metadata(path) == expected


@pytest.mark.parametrize(
    ("precision", "decoding", "flip_test", "file"),
    [
        ("auto", "quarter", False, "m_end2end_a.onnx"),  # float16 before float32
        ("float32", "quarter", False, "m_end2end_b.onnx"),
        ("int8", "quarter", False, "m_end2end_c.onnx"),
        ("auto", "dark", True, "m_end2end_d.onnx"),
    ],
)
@pytest.mark.parametrize("by", ["name", "onnx", "pth"])
def test_end2end_graph_is_found_by_what_it_says(
    precision: str, decoding: str, flip_test: bool, file: str, by: str, workspaces
) -> None:
    folder = workspaces[1]
    write_end2end(folder / "m_end2end_a.onnx")
    write_end2end(folder / "m_end2end_b.onnx", "float32")
    write_end2end(folder / "m_end2end_c.onnx", "int8")
    write_end2end(folder / "m_end2end_d.onnx", "float32", "dark", True)
    write_end2end(
        folder / "m_end2end_0.onnx", image_size=(640, 480)
    )  # those for any size come first
    write_file(folder / "m.onnx", MODEL.to_properties())
    (folder / "m.pth").write_bytes(b"")
    model = "m" if by == "name" else folder / f"m.{by}"
    assert find_end2end_graph(model, precision, decoding, flip_test) == folder / file


def test_int8_is_taken_only_when_asked_for(tmp_path: Path) -> None:
    write_end2end(tmp_path / "m_end2end_int8.onnx", "int8")
    with pytest.raises(ModelError, match=r"there are '.*m_end2end_int8\.onnx' \(int8, quarter"):
        find_end2end_graph(_beside(tmp_path), "auto", "quarter", False)


def _beside(folder: Path) -> Path:
    return write_file(folder / "m.onnx", MODEL.to_properties())


def test_the_first_folder_wins(workspaces: tuple[Path, Path]) -> None:
    for folder in workspaces:
        write_end2end(folder / "m_end2end.onnx")
    assert find_end2end_graph("m", "auto", "quarter", False) == workspaces[0] / "m_end2end.onnx"


def test_path_of_the_graph_itself(tmp_path: Path) -> None:
    path = write_end2end(tmp_path / "anything.onnx", image_size=(1280, 720))
    assert find_end2end_graph(path, "auto", "quarter", False) == path
    with pytest.raises(
        ModelError,
        match=r"is float16, quarter, no flip test, images of 720x1280.*wanted is float16, dark",
    ):
        find_end2end_graph(path, "auto", "dark", False)


@pytest.mark.parametrize(
    ("precision", "decoding", "flip_test", "command"),
    [
        (
            *("auto", "quarter", False),
            "hrnet_pose export --graph end2end {0}/m.pth -o {0}/m_end2end_float16.onnx "
            "--precision float16",
        ),
        (
            *("float32", "dark", True),
            "hrnet_pose export --graph end2end {0}/m.pth -o {0}/m_end2end_float32_dark_flip.onnx "
            "--precision float32 --decoding dark --flip-test",
        ),
        (
            *("int8", "quarter", True),
            "--precision float32 --flip-test && hrnet_pose quantize "
            "{0}/m_end2end_float32_flip.onnx -o {0}/m_end2end_int8_flip.onnx",
        ),
    ],
)
def test_a_missing_graph_comes_with_its_command(
    precision: str, decoding: str, flip_test: bool, command: str, tmp_path: Path
) -> None:
    (tmp_path / "m.pth").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        find_end2end_graph(tmp_path / "m.pth", precision, decoding, flip_test)
    assert command.format(tmp_path) in str(caught.value)
    assert "there is none for this model" in str(caught.value)


def test_a_graph_of_other_weights_is_passed_over(tmp_path: Path) -> None:
    other = dataclasses.replace(MODEL, checkpoint_sha256="cd" * 32)
    write_end2end(tmp_path / "m_end2end.onnx", model=other)
    with pytest.raises(ModelError, match=r"another checkpoint than 'm\.onnx': export it again"):
        find_end2end_graph(_beside(tmp_path), "auto", "quarter", False)


def test_a_graph_of_another_name_is_passed_over(tmp_path: Path) -> None:
    write_end2end(tmp_path / "m_end2end.onnx", model=dataclasses.replace(MODEL, name="m_end2end_b"))
    with pytest.raises(ModelError, match="of the model 'm_end2end_b'"):
        find_end2end_graph(_beside(tmp_path), "auto", "quarter", False)


def test_damaged_and_foreign_files_are_listed(tmp_path: Path) -> None:
    (tmp_path / "m_end2end_a.onnx").write_bytes(b"no ONNX")
    write_file(tmp_path / "m_end2end_b.onnx", {})
    with pytest.raises(ModelError) as caught:
        find_end2end_graph(_beside(tmp_path), "auto", "quarter", False)
    assert "m_end2end_a.onnx' is damaged" in str(caught.value)
    assert "m_end2end_b.onnx': the file holds a heatmaps graph" in str(caught.value)


def test_unknown_model_of_an_end2end_graph(workspaces: tuple[Path, Path]) -> None:
    with pytest.raises(ModelError, match=r"no end-to-end graph of 'nobody'.*there is none"):
        find_end2end_graph("nobody", "auto", "quarter", False)
    with pytest.raises(ModelError, match=r"no model at '/none/m\.onnx'"):
        find_end2end_graph("/none/m.onnx", "auto", "quarter", False)


def test_end2end_graphs_are_no_models_by_name(workspaces: tuple[Path, Path]) -> None:
    write_end2end(workspaces[0] / "both_end2end_float16.onnx")
    with pytest.raises(ModelError) as caught:
        find_model("nobody", ONNX)
    assert "both_end2end" not in str(caught.value)
