# SPDX-License-Identifier: Apache-2.0
"""A model and beside it a file that says that it is in 8 bits: quick to make, never run."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import onnx

from hrnet_pose_ros.model_files.folders import find_bundled_file
from hrnet_pose_ros.model_files.metadata import KEY_PREFIX, LEAST_JUDGED, Int8Judgement
from hrnet_pose_ros.model_files.quantized import INT8

NAME = "hrnetv2_w24_small"


def model_with_int8(folder: Path, persons: int = LEAST_JUDGED) -> Path:
    """The path of the bundled model in a folder; beside it lies ``NAME_int8.onnx``.

    ``persons``: on so many it was judged.
    """
    path = Path(shutil.copy(find_bundled_file(f"{NAME}.onnx"), folder))
    model = onnx.load(str(path))
    properties = {entry.key: entry.value for entry in model.metadata_props}
    judgement = Int8Judgement(calibrated=50, persons=persons, mean_oks=0.99)
    properties[f"{KEY_PREFIX}quantized"] = "true"
    properties[f"{KEY_PREFIX}int8_judgement"] = json.dumps(asdict(judgement))
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, str(folder / f"{NAME}{INT8}.onnx"))
    return path
