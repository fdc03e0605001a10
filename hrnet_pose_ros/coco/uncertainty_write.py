# SPDX-License-Identifier: Apache-2.0
"""Writes uncertainty calibrations into the ONNX files of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.model_files.find import model_path
from hrnet_pose_ros.model_files.folders import END2END
from hrnet_pose_ros.model_files.metadata import KEY_PREFIX, ModelError, ModelMetadata
from hrnet_pose_ros.model_files.model_file import (
    ONNX,
    OpenModelFile,
    is_checkpoint_path,
    model_name,
)
from hrnet_pose_ros.model_files.quantized import INT8
from hrnet_pose_ros.pose.uncertainty import UncertaintyCalibration

CALIBRATIONS = KEY_PREFIX + "calibrations"


def model_files(model: str) -> list[Path]:
    """The model's heatmap graph, and the files derived from it in the same folder: its
    end-to-end graphs (``NAME_end2end*.onnx``) and its INT8 graph (``NAME_int8.onnx``).

    Files from another checkpoint are left out, because they are another model of the same name.

    Raises
    ------
    ModelError
        The model does not exist, or one of the files was not exported by this package.
    """
    heatmap_graph: str | Path = model
    if is_checkpoint_path(model):
        heatmap_graph = Path(model).with_name(model_name(Path(model)) + ONNX)
    path = model_path(heatmap_graph, ONNX)
    checkpoint = _model(path).checkpoint_sha256
    beside = sorted(path.parent.glob(f"{path.stem}{END2END}*{ONNX}"))
    beside += path.parent.glob(f"{path.stem}{INT8}{ONNX}")
    return [path, *(graph for graph in beside if _model(graph).checkpoint_sha256 == checkpoint)]


def _model(path: Path) -> ModelMetadata:
    """The metadata of the model, from a heatmap graph or an end-to-end graph."""
    with OpenModelFile(path) as opened:
        if opened.header.model is None:
            raise ModelError(
                f"'{path}': it was not exported by this package (make one with 'hrnet_pose export')"
            )
        return opened.header.model


def damaged_calibrations(path: Path) -> list[str]:
    """The keys of calibrations in a file that cannot be read; no engine would start with them."""
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
    """Add calibrations to the metadata of an ONNX file; those under other keys are kept.

    The file is replaced atomically; only its metadata changes.

    Parameters
    ----------
    path
        The file of a heatmap graph or an end-to-end graph.
    calibrations
        Calibrations by `calibration_key`.
    without
        Keys to remove.

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
