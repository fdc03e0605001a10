# SPDX-License-Identifier: Apache-2.0
"""What a model file says about itself, read by opening it once."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile, OpenModelFile

MODELS = Path(__file__).resolve().parents[2] / "models"
HEATMAPS = MODELS / "hrnetv2_w24_small.onnx"
END2END = MODELS / "hrnetv2_w24_small_end2end_float16.onnx"
CHECKPOINT = MODELS / "hrnetv2_w24_small.pth"


@pytest.mark.parametrize(
    ("path", "kind"),
    [(HEATMAPS, "heatmaps"), (END2END, "end2end"), (CHECKPOINT, "checkpoint")],
)
def test_kind_and_checksum(path: Path, kind: str) -> None:
    file = ModelFile.read(path)
    assert (file.path, file.kind) == (path, kind)
    assert file.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (file.model is None) == (kind == "checkpoint")


def test_both_graphs_know_their_model() -> None:
    heatmaps, end2end = ModelFile.read(HEATMAPS), ModelFile.read(END2END)
    assert heatmaps.heatmaps() == heatmaps.model
    assert end2end.end2end().model == end2end.model
    assert heatmaps.model is not None and end2end.model is not None
    assert heatmaps.model.checkpoint_sha256 == end2end.model.checkpoint_sha256
    assert end2end.end2end().precision == "float16"


@pytest.mark.parametrize(
    ("path", "wanted", "words"),
    [
        (
            HEATMAPS,
            "end2end",
            "contains a heatmaps graph, expected an end-to-end graph.*--graph end",
        ),
        (END2END, "heatmaps", "contains an end-to-end graph, expected a heatmaps graph"),
        (CHECKPOINT, "heatmaps", r"small\.pth' is a checkpoint, expected an \.onnx file"),
    ],
)
def test_another_kind_is_refused_by_name(path: Path, wanted: str, words: str) -> None:
    file = ModelFile.read(path)
    with pytest.raises(ModelError, match=words):
        getattr(file, wanted)()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no model at .*no such file"),
        (b"", "is damaged"),
        (b"no ONNX", "is damaged"),
        (HEATMAPS.read_bytes()[:-100], "is damaged"),
    ],
)
def test_what_cannot_be_read_is_named(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=f"x.onnx'.*{words}|{words}"):
        ModelFile.read(path)
    with pytest.raises(ModelError, match="cannot be read"):
        ModelFile.read(tmp_path)


def test_an_onnx_file_of_another_tool(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "foreign.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])), str(path))
    file = ModelFile.read(path)
    assert (file.kind, file.metadata) == ("foreign", None)
    for wanted in (file.heatmaps, file.end2end):
        with pytest.raises(ModelError, match=r"not exported by this package.*hrnet_pose export"):
            wanted()


def test_the_content_is_that_of_the_header(tmp_path: Path) -> None:
    """A file that is replaced meanwhile changes nothing: the open one is read to its end."""
    path = tmp_path / "m.onnx"
    path.write_bytes(HEATMAPS.read_bytes())
    with OpenModelFile(path) as opened:
        (tmp_path / "new").write_bytes(END2END.read_bytes())
        (tmp_path / "new").replace(path)
        file = opened.complete()
    assert (file.kind, file.checksum) == ("heatmaps", ModelFile.read(HEATMAPS).checksum)


# Counts who opens the model's files in Python, from the call to the first frame. OpenVINO's own
# load is C++ and is not among them.
COUNT = """
import json, sys
import numpy as np
from hrnet_pose_ros.engines.make_engine import make_engine
opened = []
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith((".onnx", ".pth")):
        opened.append(str(arguments[0]).rpartition("/")[2])
sys.addaudithook(hook)
engine = make_engine(**json.loads(sys.argv[1]))
frame = np.zeros((256, 192, 3), np.uint8)
engine.estimate(frame, np.array([[0.0, 0.0, 192.0, 256.0]]))
print(json.dumps([engine.info.engine, *opened]))
"""


@pytest.mark.parametrize(
    ("arguments", "engine", "opened"),
    [
        ({"model": "hrnetv2_w24_small"}, "openvino", ["hrnetv2_w24_small.onnx"]),
        (
            {"model": "hrnetv2_w24_small", "precision": "float32"},
            "openvino",
            ["hrnetv2_w24_small.onnx"],
        ),
        ({"model": str(HEATMAPS), "precision": "float32"}, "openvino", ["hrnetv2_w24_small.onnx"]),
    ],
)
def test_the_metadata_is_read_once_before_the_first_frame(
    arguments: dict, engine: str, opened: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, json.dumps(arguments | {"max_batch": 1})],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [engine, *opened]
