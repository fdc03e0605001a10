# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose export``: what it writes and says, and one line for a user's error."""

from __future__ import annotations

from pathlib import Path

import pytest
from udp_model import udp_checkpoint

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.model_files.model_file import ModelFile

MODELS = Path(__file__).resolve().parents[2] / "models"


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "models" / "small_128.onnx"
    verb = ["export", "hrnetv2_w24_small", "-o", str(path), "--input-size", "128x96"]
    assert main([*verb, "--configuration", "hrnetv2_w24_small"]) == 0
    assert "128x96 (HxW)" in capsys.readouterr().out
    metadata = OpenVinoEngine(ModelFile.read(path), precision="float32").metadata
    assert (metadata.name, metadata.input_size) == ("small_128", (96, 128))


def test_export_of_udp_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As if the bundled weights were another's: a path that the zoo does not know."""
    checkpoint = udp_checkpoint(tmp_path)
    small = ("--input-size", "64x64", "--crop", "udp")
    for graph, name in (("heatmaps", "a.onnx"), ("end2end", "a_end2end.onnx")):
        path = tmp_path / name
        assert main(["export", str(checkpoint), "-o", str(path), "--graph", graph, *small]) == 0
        assert "rgb weights, udp crops, sigma 2, checked" in capsys.readouterr().out
        model = ModelFile.read(path).model
        assert model is not None
        assert (model.crop, model.flip_shift) == ("udp", False)
    shifted = ["export", str(checkpoint), "-o", str(tmp_path / "b.onnx"), *small, "--flip-shift"]
    assert main(shifted) == 2
    assert "weights of UDP need no shift in a flip test" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.pth", "-o", "x.onnx"], "nowhere.pth"),
        (["hrnetv2_w24_small", "-o", "x.xml"], "must end in .onnx"),
        (
            ["hrnetv2_w24_small", "-o", "x.onnx", "--configuration", "hrnet_w32"],
            "expected hrnet_w32",
        ),
        (["hrnetv2_w24_small", "-o", "x.onnx", "--input-size", "250x190"], "multiples of 32"),
        ([str(MODELS / "hrnetv2_w24_small.pth")], "say where"),  # only a name has its place
    ],
)
def test_user_error_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("hrnet_pose: ")
    assert words in written.err
    assert written.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
