# SPDX-License-Identifier: Apache-2.0
"""Put uncertainty calibrations into a model's ONNX files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.model_files.find import model_path
from hrnet_pose_ros.model_files.folders import END2END
from hrnet_pose_ros.model_files.metadata import KEY_PREFIX, ModelError, ModelMetadata
from hrnet_pose_ros.model_files.model_file import CHECKPOINT, ONNX, OpenModelFile
from hrnet_pose_ros.model_files.quantized import INT8
from hrnet_pose_ros.pose.uncertainty import UncertaintyCalibration

CALIBRATIONS = KEY_PREFIX + "calibrations"


def model_files(model: str) -> list[Path]:
    """The model's heatmap graph, and what was made of it beside it: its end-to-end graphs
    (``NAME_end2end*.onnx``) and its file in 8 bits (``NAME_int8.onnx``).

    Files of another checkpoint are left out: they are another model under the same name.

    Raises
    ------
    ModelError
        There is no such model, or one of the files was not exported by this package.
    """
    heatmap_graph = Path(model).with_suffix(ONNX) if model.endswith(CHECKPOINT) else model
    path = model_path(heatmap_graph, ONNX)
    checkpoint = _model(path).checkpoint_sha256
    beside = sorted(path.parent.glob(f"{path.stem}{END2END}*{ONNX}"))
    beside += path.parent.glob(f"{path.stem}{INT8}{ONNX}")
    return [path, *(graph for graph in beside if _model(graph).checkpoint_sha256 == checkpoint)]


def _model(path: Path) -> ModelMetadata:
    """The model's facts, of a heatmap graph or of an end-to-end graph."""
    with OpenModelFile(path) as opened:
        if opened.header.model is None:
            raise ModelError(
                f"'{path}': it was not exported by this package (make one with 'hrnet_pose export')"
            )
        return opened.header.model


def damaged_calibrations(path: Path) -> list[str]:
    """The names of a file's calibrations that cannot be read, for which no engine would start."""
    damaged = []
    for key, values in _model(path).calibrations.items():
        try:
            UncertaintyCalibration.from_json(values)
        except ValueError:
            damaged.append(key)
    return damaged


def write_calibrations(
    path: Path, calibrations: Mapping[str, UncertaintyCalibration], without: Sequence[str] = ()
) -> None:
    """Put calibrations into an ONNX file's metadata, beside those under other keys.

    The file is replaced in one step, by one that differs in its metadata only.

    Parameters
    ----------
    path
        The file, of a heatmap graph or of an end-to-end graph.
    calibrations
        By `calibration_key`.
    without
        Keys to take out.

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
    known = _model(path).calibrations
    kept = {key: values for key, values in known.items() if key not in without}
    written = kept | {key: value.to_json() for key, value in calibrations.items()}
    properties[CALIBRATIONS] = json.dumps(written)
    onnx.helper.set_model_props(model, properties)
    with replacing(path) as copy:
        onnx.save(model, str(copy))
