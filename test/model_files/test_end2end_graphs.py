# SPDX-License-Identifier: Apache-2.0
"""Which end-to-end graph of a model is found, and what is said when none fits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnx
import pytest

from hrnet_pose_ros.model_files.end2end_graphs import find_end2end_graph
from hrnet_pose_ros.model_files.find import model_path
from hrnet_pose_ros.model_files.metadata import End2EndGraphMetadata, ModelError, ModelMetadata
from hrnet_pose_ros.model_files.model_file import ONNX, ModelFile

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
    assert ModelFile.read(path).end2end() == expected


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
    assert find_end2end_graph(model, precision, decoding, flip_test).path == folder / file


def test_int8_is_taken_only_when_asked_for(tmp_path: Path) -> None:
    write_end2end(tmp_path / "m_end2end_int8.onnx", "int8")
    with pytest.raises(ModelError, match=r"there are '.*m_end2end_int8\.onnx' \(int8, quarter"):
        find_end2end_graph(_beside(tmp_path), "auto", "quarter", False)


def _beside(folder: Path) -> Path:
    return write_file(folder / "m.onnx", MODEL.to_properties())


def test_the_first_folder_wins(workspaces: tuple[Path, Path]) -> None:
    for folder in workspaces:
        write_end2end(folder / "m_end2end.onnx")
    assert (
        find_end2end_graph("m", "auto", "quarter", False).path == workspaces[0] / "m_end2end.onnx"
    )


def test_path_of_the_graph_itself(tmp_path: Path) -> None:
    path = write_end2end(tmp_path / "anything.onnx", image_size=(1280, 720))
    assert find_end2end_graph(path, "auto", "quarter", False).path == path
    with pytest.raises(
        ModelError,
        match=r"is float16, quarter, no flip test, images of 720x1280.*expected float16, dark",
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
            "{0}/m_end2end_float32_flip.onnx -o {0}/m_end2end_int8_flip.onnx --data DATA",
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
    assert "none was found for this model" in str(caught.value)


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
    assert "m_end2end_b.onnx': it was not exported by this package" in str(caught.value)


def test_unknown_model_of_an_end2end_graph(workspaces: tuple[Path, Path]) -> None:
    with pytest.raises(ModelError, match=r"no end-to-end graph of 'nobody'.*none was found"):
        find_end2end_graph("nobody", "auto", "quarter", False)
    with pytest.raises(ModelError, match=r"no model at '/none/m\.onnx'"):
        find_end2end_graph("/none/m.onnx", "auto", "quarter", False)


def test_end2end_graphs_are_no_models_by_name(workspaces: tuple[Path, Path]) -> None:
    write_end2end(workspaces[0] / "both_end2end_float16.onnx")
    with pytest.raises(ModelError) as caught:
        model_path("nobody", ONNX)
    assert "both_end2end" not in str(caught.value)
