# SPDX-License-Identifier: Apache-2.0
"""The reference engine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from udp_model import udp_model

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile

CHECKPOINT = Path(__file__).resolve().parents[2] / "models" / "hrnetv2_w24_small.pth"


def test_info() -> None:
    info = TorchEngine(ModelFile.read(CHECKPOINT)).info
    assert (info.model, info.engine, info.precision) == ("hrnetv2_w24_small", "torch", "float32")
    assert (info.input_width, info.input_height) == (192, 256)
    assert info.checksum == hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()


def test_another_input_size() -> None:
    engine = TorchEngine(ModelFile.read(CHECKPOINT), input_size=(288, 384))
    assert engine.metadata.target_sigma == 2  # that of the weights, whatever the size
    assert engine.heatmaps(np.zeros((1, 384, 288, 3), np.uint8)).shape == (1, 17, 96, 72)
    with pytest.raises(ModelError, match="multiples of 32"):
        TorchEngine(ModelFile.read(CHECKPOINT), input_size=(100, 256))


def test_what_the_exported_file_says_of_a_checkpoint_that_nobody_knows(tmp_path: Path) -> None:
    checkpoint, exported = udp_model(tmp_path)
    metadata = TorchEngine(ModelFile.read(checkpoint)).metadata
    assert (metadata.crop, metadata.flip_shift) == ("udp", False)
    info = TorchEngine(ModelFile.read(checkpoint), crop="reference").info
    assert info.crop == "reference"
    exported.unlink()
    assert TorchEngine(ModelFile.read(checkpoint)).info.crop == "reference"


def test_an_exported_file_of_other_weights_says_nothing(tmp_path: Path) -> None:
    checkpoint, _ = udp_model(tmp_path)
    other = torch.load(checkpoint, weights_only=True)["state_dict"]
    torch.save(other, checkpoint)
    assert TorchEngine(ModelFile.read(checkpoint)).info.crop == "reference"


def test_wrong_file_is_named() -> None:
    with pytest.raises(ValueError, match=r"hrnetv2_w24_small\.onnx.*not a checkpoint"):
        TorchEngine(ModelFile.read(CHECKPOINT.with_suffix(".onnx")))


def test_closed_engine_says_so() -> None:
    engine = TorchEngine(ModelFile.read(CHECKPOINT))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.heatmaps(np.zeros((1, 256, 192, 3), np.uint8))
