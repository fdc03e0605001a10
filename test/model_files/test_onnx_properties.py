# SPDX-License-Identifier: Apache-2.0
"""Held against the onnx package, which wrote the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.model_files.onnx_properties import read_properties


def properties(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return read_properties(file, path)


def test_the_properties_are_those_that_onnx_reads(root: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = root / "models" / "hrnetv2_w24_small.onnx"
    model = onnx.load(str(path))
    found = properties(path)
    assert found == {entry.key: entry.value for entry in model.metadata_props}
    assert ModelMetadata.from_properties(found).name == "hrnetv2_w24_small"


def test_other_files_with_and_without_properties(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))
    path = tmp_path / "model.onnx"
    for given in ({}, {"a": "1", "ü": "x" * 300, "empty": ""}):
        onnx.helper.set_model_props(model, given)
        onnx.save(model, str(path))
        assert properties(path) == given


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08", b"\x08\x07", b"\xff" * 30])
def test_what_is_no_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged or not an ONNX model"):
        properties(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_model(share: float, root: Path, tmp_path: Path) -> None:
    content = (root / "models" / "hrnetv2_w24_small.onnx").read_bytes()
    path = tmp_path / "model.onnx"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="damaged"):
        properties(path)
