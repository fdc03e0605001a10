# SPDX-License-Identifier: Apache-2.0
"""The OpenVINO engine: what it reads, and what it refuses."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.openvino_network import cpu_has_bfloat16
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile

MODEL = Path(__file__).resolve().parents[2] / "models" / "hrnetv2_w24_small.onnx"


def test_info() -> None:
    engine = OpenVinoEngine(ModelFile.read(MODEL), precision="float32", decoding="dark")
    info = engine.info
    assert (info.model, info.engine, info.precision) == ("hrnetv2_w24_small", "openvino", "float32")
    assert (info.input_width, info.input_height, info.decoding) == (192, 256, "dark")
    assert info.checksum == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert info.device
    assert not info.flip_test


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing(threads: int) -> None:
    crops = load_check_crops()[:2]
    np.testing.assert_allclose(
        OpenVinoEngine(ModelFile.read(MODEL), precision="float32", threads=threads).heatmaps(crops),
        OpenVinoEngine(ModelFile.read(MODEL), precision="float32").heatmaps(crops),
        rtol=0,
        atol=1e-5,  # sums in another order
    )


def test_processes_with_a_part_of_the_cores_do_not_share_one() -> None:
    """Pinned threads begin at the first core, in every process."""
    engine = OpenVinoEngine(ModelFile.read(MODEL), precision="float32", threads=1)
    assert not engine.requests[0].get_compiled_model().get_property("ENABLE_CPU_PINNING")


def test_heatmaps_stay_after_the_next_call() -> None:
    engine = OpenVinoEngine(ModelFile.read(MODEL), precision="float32")
    crops = load_check_crops()
    first = engine.heatmaps(crops[:1])
    kept = first.copy()
    engine.heatmaps(crops[1:2])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU has no bfloat16")
def test_bfloat16_heatmaps_keep_neighbours_apart() -> None:
    """The last convolution is float32: values are finer than bfloat16's 8 bits."""
    engine = OpenVinoEngine(ModelFile.read(MODEL), precision="bfloat16")
    heatmaps = engine.heatmaps(load_check_crops()[:1])
    rounded = (heatmaps.view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert (heatmaps != rounded).mean() > 0.9


@pytest.mark.skipif(cpu_has_bfloat16(), reason="this CPU has bfloat16")
def test_bfloat16_is_refused_where_the_cpu_lacks_it() -> None:
    with pytest.raises(EngineError, match="no bfloat16; use precision float32"):
        OpenVinoEngine(ModelFile.read(MODEL), precision="bfloat16")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx.*no such file"):
        OpenVinoEngine(ModelFile.read(tmp_path / "none.onnx"), precision="float32")


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_damaged_file_is_named(kept: float, tmp_path: Path) -> None:
    content = MODEL.read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ModelError, match=r"cut\.onnx.*damaged"):
        OpenVinoEngine(ModelFile.read(path), precision="float32")


def identity(
    name_in: str, type_in: int, sides: list, name_out: str = "out", properties: dict | None = None
) -> onnx.ModelProto:
    """A graph that gives its input as float32."""
    cast = onnx.helper.make_node("Cast", [name_in], [name_out], to=onnx.TensorProto.FLOAT)
    graph = onnx.helper.make_graph(
        [cast],
        "graph",
        [onnx.helper.make_tensor_value_info(name_in, type_in, sides)],
        [onnx.helper.make_tensor_value_info(name_out, onnx.TensorProto.FLOAT, sides)],
    )
    opset = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.helper.set_model_props(model, properties or {})
    return model


@pytest.mark.parametrize(
    ("name", "kind", "sides", "found"),
    [
        (
            "input",
            onnx.TensorProto.FLOAT,
            [1, 3, 256, 192],
            "input float32 [1, 3, 256, 192] -> out float32 [1, 3, 256, 192]",
        ),
        (
            "images",
            onnx.TensorProto.INT64,
            ["batch", 3],
            "images int64 [N, 3] -> out float32 [N, 3]",
        ),
    ],
)
def test_foreign_model_is_named(
    name: str, kind: int, sides: list, found: str, tmp_path: Path
) -> None:
    """A good ONNX file that another tool wrote: what it is, and what is wanted."""
    path = tmp_path / "foreign.onnx"
    onnx.save(identity(name, kind, sides), path)
    with pytest.raises(ModelError) as caught:
        OpenVinoEngine(ModelFile.read(path), precision="float32")
    message = str(caught.value)
    assert f"'{path}': it was not exported by this package" in message
    assert f"it has {found}, expected crops uint8 [N, H, W, 3] -> " in message
    assert "heatmaps float32 [N, J, H/4, W/4]; make one from its checkpoint" in message


def test_a_graph_that_contradicts_its_metadata_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mixed.onnx"
    model = onnx.load(MODEL)
    properties = {p.key: p.value for p in model.metadata_props}
    onnx.helper.set_model_props(model, properties | {"hrnet_pose.input_size": "[288, 384]"})
    onnx.save(model, path)
    with pytest.raises(ModelError) as caught:
        OpenVinoEngine(ModelFile.read(path), precision="float32")
    message = str(caught.value)
    assert "has crops uint8 [N, 256, 192, 3] -> heatmaps float32 [N, 17, 64, 48]" in message
    assert "expected crops uint8 [N, 384, 288, 3] -> heatmaps float32 [N, 17, 96, 72]" in message

    onnx.save(identity("x", onnx.TensorProto.UINT8, ["N", 3], properties=properties), path)
    with pytest.raises(ModelError, match=r"has x uint8 \[N, 3\] -> out float32 \[N, 3\], expected"):
        OpenVinoEngine(ModelFile.read(path), precision="float32")


def test_close_frees_the_network() -> None:
    engine = OpenVinoEngine(ModelFile.read(MODEL), precision="float32")
    engine.close()
    assert engine.requests == []
    with pytest.raises(EngineError, match="closed"):
        engine.heatmaps(load_check_crops())
