# SPDX-License-Identifier: Apache-2.0
"""Quantising for OpenVINO: what is kept, how the engines find it, and that it runs in 8 bits."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import nncf  # noqa: F401  conftest.py: without it, this file is left out
import numpy as np
import onnx
import pytest
from many_persons import FEW_JUDGED, judged_by_few, many_crops, write_data

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.cli.quantize import _gain_on_processor
from hrnet_pose_ros.coco.annotations import read_annotations
from hrnet_pose_ros.coco.person_crops import person_crops
from hrnet_pose_ros.engines import speed
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import load_check_crops, mean_oks
from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.model_files.quantized import check_judged, find_quantized
from hrnet_pose_ros.network.key_point_change import split_persons
from hrnet_pose_ros.network.onnx_files import ExportError, save_model
from hrnet_pose_ros.network.quantize_heatmaps import quantize_heatmap_graph

MODELS = Path(__file__).resolve().parents[2] / "models"
FLOAT32 = MODELS / "hrnetv2_w24_small.onnx"
LEAST_MEASURED = 0.95  # on the bundled crops and what is made of them


class Quantized(NamedTuple):
    """A file in 8 bits that the verb wrote, beside the model it was made from."""

    path: Path
    metadata: ModelMetadata
    data: Path
    said: str


@pytest.fixture(autouse=True, scope="module")
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        judged_by_few(patch)
        yield


@pytest.fixture(scope="module")
def quantized(few: None, tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(FLOAT32, folder)
    path = folder / "hrnetv2_w24_small_int8.onnx"
    data = write_data(folder / "data", images=7)
    printed = io.StringIO()
    verb = ["quantize", str(FLOAT32), "-o", str(path), "--data", str(data)]
    with contextlib.redirect_stdout(printed):
        assert main([*verb, "--least-oks", str(LEAST_MEASURED), "--even-if-slower"]) == 0
    return Quantized(path, ModelFile.read(path).heatmaps(), data, printed.getvalue())


@pytest.fixture(scope="module")
def engine(quantized: Quantized) -> OpenVinoEngine:
    return make_engine(quantized.path, max_batch=1)


def test_what_it_was_judged_on(quantized: Quantized, engine: OpenVinoEngine) -> None:
    """24 persons of 4 images judge, and the engine computes what was judged."""
    judgement = quantized.metadata.int8_judgement
    assert judgement is not None
    assert (judgement.calibrated, judgement.persons) == (18, FEW_JUDGED)
    assert "hrnetv2_w24_small in int8 for OpenVINO, calibrated on 18 persons" in quantized.said
    assert "on 24 others (" in quantized.said
    assert f"mean OKS {judgement.mean_oks:.4f}" in quantized.said
    annotations = read_annotations(quantized.data / "person_keypoints.json")
    crops, pictures = person_crops(annotations, quantized.data / "images", (192, 256), most=999)
    judged = crops[split_persons(pictures)][::2]
    reference = OpenVinoEngine(ModelFile.read(FLOAT32), precision="float32")
    assert mean_oks(engine, reference, judged) == pytest.approx(judgement.mean_oks, abs=0.02)


def test_convolutions_run_in_8_bits(engine: OpenVinoEngine) -> None:
    """What OpenVINO really compiled; the last convolution writes the heatmaps in float32."""
    (request,) = engine.requests
    types: Counter[str] = Counter()
    for operation in request.get_compiled_model().get_runtime_model().get_ordered_ops():
        facts = operation.get_rt_info()
        if facts["layerType"].astype(str) == "Convolution":
            types[facts["runtimePrecision"].astype(str)] += 1
    convolutions = sum(node.op_type == "Conv" for node in onnx.load(FLOAT32).graph.node)
    assert types["u8"] + types["i8"] == convolutions - 1, types
    assert types["f32"] == 1, types


def test_engine_says_what_it_is(quantized: Quantized, engine: OpenVinoEngine) -> None:
    assert (engine.info.model, engine.info.precision) == ("hrnetv2_w24_small", "int8")
    assert engine.metadata == quantized.metadata
    assert engine.metadata.quantized
    assert len(engine.estimate(np.zeros((99, 99, 3), np.uint8), np.array([[9, 9, 30, 60.0]]))) == 1


def test_found_beside_the_model(quantized: Quantized) -> None:
    path = quantized.path
    assert ModelFile.read(path).in_8_bits
    assert not ModelFile.read(FLOAT32).in_8_bits
    assert find_quantized(path.parent / FLOAT32.name).path == path
    assert find_quantized(path).path == path


def test_found_by_name(
    quantized: Quantized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hrnet_pose" / "models"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(
        ModelError, match=f"hrnet_pose quantize .* -o {folder}/hrnetv2_w24_small_int"
    ):
        make_engine("hrnetv2_w24_small", engine="openvino", precision="int8")
    shutil.copy(quantized.path, folder)
    engine = make_engine("hrnetv2_w24_small", engine="openvino", precision="int8", max_batch=1)
    assert engine.info.precision == "int8"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_quantised_file_runs_in_8_bits_only(quantized: Quantized, precision: str) -> None:
    with pytest.raises(ModelError, match=f"computes in 8 bits and cannot run with .* {precision}"):
        make_engine(quantized.path, engine="openvino", precision=precision)


def test_of_another_checkpoint(quantized: Quantized, tmp_path: Path) -> None:
    path = quantized.path
    shutil.copy(path, tmp_path)
    other = onnx.load(FLOAT32)
    for entry in other.metadata_props:
        if entry.key.endswith("checkpoint_sha256"):
            entry.value = '"0"'
    onnx.save(other, tmp_path / FLOAT32.name)
    with pytest.raises(ModelError, match=r"made from another checkpoint .* hrnet_pose quantize"):
        find_quantized(tmp_path / FLOAT32.name)


@pytest.mark.parametrize(
    ("ms", "even_if_slower", "kept"),
    [((2.0, 3.0), False, True), ((3.0, 3.0), False, False), ((3.0, 3.0), True, True)],
)
def test_8_bits_that_gain_nothing_are_not_kept(
    ms: tuple[float, float],
    even_if_slower: bool,
    kept: bool,
    quantized: Quantized,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both files run; their times are given."""

    def given(first: Callable[[], np.ndarray], second: Callable[[], np.ndarray]) -> tuple:
        assert first().shape == second().shape == (8, 17, 64, 48)
        return ms

    monkeypatch.setattr(speed, "alternating_ms", given)
    files = (ModelFile.read(FLOAT32), ModelFile.read(quantized.path))
    if kept:
        assert f"8 persons take {ms[0]:.1f} ms in int8" in _gain_on_processor(
            *files, even_if_slower
        )
        return
    with pytest.raises(ExportError, match="was not kept: it gains nothing on this processor"):
        _gain_on_processor(*files, even_if_slower)


def test_not_kept_where_the_key_points_move(tmp_path: Path) -> None:
    output = tmp_path / "x.onnx"
    noise = np.random.default_rng(0).integers(0, 256, (4, 256, 192, 3), np.uint8)
    with pytest.raises(ExportError, match=r"a mean OKS of 0\.98 is needed"):
        quantize_heatmap_graph(ModelFile.read(FLOAT32), output, noise, many_crops(FEW_JUDGED))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_few_persons_judged_does_not_run(quantized: Quantized, tmp_path: Path) -> None:
    """As `quantize` once wrote them, and as they are made to measure their speed."""
    few = tmp_path / "few_int8.onnx"
    crops = load_check_crops()
    quantize_heatmap_graph(ModelFile.read(FLOAT32), few, crops[:2], crops[2:4], None)
    for precision in ("int8", "auto"):
        with pytest.raises(ModelError, match=r"on 2 persons only; at least 24 are needed.*--data"):
            make_engine(few, engine="openvino", precision=precision)
    model = onnx.load(few)
    for entry in list(model.metadata_props):
        if entry.key.endswith("int8_judgement"):
            model.metadata_props.remove(entry)
    onnx.save(model, few)
    with pytest.raises(ModelError, match="judged on nobody"):
        make_engine(few, engine="openvino", precision="int8")


def test_the_log_tells_what_8_bits_cost(
    quantized: Quantized, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path, metadata = quantized.path, quantized.metadata
    judgement = metadata.int8_judgement
    assert judgement is not None
    for mean, level in ((0.99, logging.INFO), (0.97, logging.WARNING)):
        told = dataclasses.replace(judgement, mean_oks=mean)
        file = tmp_path / "told_int8.onnx"
        save_model(
            onnx.load(path),
            dataclasses.replace(metadata, int8_judgement=told).to_properties(),
            file,
        )
        caplog.clear()
        with caplog.at_level(logging.INFO):
            check_judged(ModelFile.read(file))
        (record,) = caplog.records
        assert record.levelno == level
        assert f"mean OKS against float32 {mean:.4f} on 24 persons" in record.getMessage()


def test_8_bits_are_not_quantised_again(
    quantized: Quantized, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"{quantized.data / 'person_keypoints.json'}:{quantized.data / 'images'}"
    again = ["quantize", str(quantized.path), "-o", str(tmp_path / "y.onnx"), "--data", place]
    assert main(again) == 2
    assert "computes in 8 bits already" in capsys.readouterr().err


def test_too_few_persons_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / "data", images=2)
    verb = ["quantize", str(FLOAT32), "-o", str(tmp_path / "x.onnx"), "--data", str(data)]
    assert main(verb) == 2
    said = capsys.readouterr().err
    assert f"at least {FEW_JUDGED} persons to judge" in said
    assert f"there are 12 persons in 2 pictures of '{data}'" in said
    assert not (tmp_path / "x.onnx").exists()
