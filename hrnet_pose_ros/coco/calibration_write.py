# SPDX-License-Identifier: Apache-2.0
"""Put a calibration into a model's ONNX files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hrnet_pose_ros.model_files.find import model_path
from hrnet_pose_ros.model_files.folders import END2END
from hrnet_pose_ros.model_files.metadata import (
    KEY_PREFIX,
    End2EndGraphMetadata,
    ModelError,
    ModelMetadata,
    graph_of,
)
from hrnet_pose_ros.model_files.model_file import CHECKPOINT, ONNX
from hrnet_pose_ros.model_files.onnx_properties import read_properties
from hrnet_pose_ros.pose.calibration import Calibration

CALIBRATIONS = KEY_PREFIX + "calibrations"


def model_files(model: str) -> list[Path]:
    """The model's heatmap graph, and its end-to-end graphs beside it (``NAME_end2end*.onnx``).

    End-to-end graphs of another checkpoint are left out: another model under the same name.

    Raises
    ------
    ModelError
        There is no such model, or one of the files was not exported by this package.
    """
    heatmap_graph = Path(model).with_suffix(ONNX) if model.endswith(CHECKPOINT) else model
    path = model_path(heatmap_graph, ONNX)
    checkpoint = _checkpoint(path)
    beside = sorted(path.parent.glob(f"{path.stem}{END2END}*{ONNX}"))
    return [path, *(graph for graph in beside if _checkpoint(graph) == checkpoint)]


def _checkpoint(path: Path) -> str:
    return _metadata(read_properties(path), path).checkpoint_sha256


def _metadata(properties: Mapping[str, str], path: Path) -> ModelMetadata:
    """The model's facts, of a heatmap graph or of an end-to-end graph."""
    try:
        if graph_of(properties) == "end2end":
            return End2EndGraphMetadata.from_properties(properties).model
        return ModelMetadata.from_properties(properties)
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from error


def write_calibration(path: Path, key: str, calibration: Calibration) -> None:
    """Put a calibration into an ONNX file's metadata, beside those for other keys.

    The file is replaced in one step, by one that differs in its metadata only.

    Raises
    ------
    ModelError
        The file was not exported by this package.
    ImportError
        The package ``onnx`` is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            f"writing a model needs onnx ({error}): pip install 'hrnet_pose_ros[torch]'"
        ) from error
    model = onnx.load(str(path))
    properties = {entry.key: entry.value for entry in model.metadata_props}
    known = _metadata(properties, path).calibrations
    properties[CALIBRATIONS] = json.dumps({**known, key: calibration.to_json()})
    onnx.helper.set_model_props(model, properties)
    # In the same folder, so that the rename cannot cross file systems; no name of a model.
    with tempfile.TemporaryDirectory(prefix=".calibrate-", dir=path.parent) as folder:
        written = Path(folder) / path.name
        onnx.save(model, str(written))
        os.chmod(written, path.stat().st_mode)
        os.replace(written, path)
