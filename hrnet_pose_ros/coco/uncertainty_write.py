# SPDX-License-Identifier: Apache-2.0
"""Writes uncertainty calibrations into the ONNX files of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hrnet_pose_ros.files import replacing
from hrnet_pose_ros.model_files.find import CHECKPOINT, ONNX, find_model
from hrnet_pose_ros.model_files.metadata import (
    KEY_PREFIX,
    End2EndGraphMetadata,
    ModelError,
    ModelMetadata,
    graph_of,
)
from hrnet_pose_ros.model_files.onnx_properties import read_properties
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
    heatmap_graph = Path(model).with_suffix(ONNX) if model.endswith(CHECKPOINT) else model
    path = find_model(heatmap_graph, ONNX)
    checkpoint = _checkpoint(path)
    beside = sorted(path.parent.glob(f"{path.stem}_end2end*{ONNX}"))
    beside += path.parent.glob(f"{path.stem}{INT8}{ONNX}")
    return [path, *(graph for graph in beside if _checkpoint(graph) == checkpoint)]


def _checkpoint(path: Path) -> str:
    return _metadata(read_properties(path), path).checkpoint_sha256


def _metadata(properties: Mapping[str, str], path: Path) -> ModelMetadata:
    """The metadata of the model, from a heatmap graph or an end-to-end graph."""
    try:
        if graph_of(properties) == "end2end":
            return End2EndGraphMetadata.from_properties(properties).model
        return ModelMetadata.from_properties(properties)
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from error


def damaged_calibrations(path: Path) -> list[str]:
    """The keys of calibrations in a file that cannot be read; no engine would start with them."""
    damaged = []
    for key, values in _metadata(read_properties(path), path).calibrations.items():
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
    known = _metadata(properties, path).calibrations
    kept = {key: values for key, values in known.items() if key not in without}
    written = kept | {key: value.to_json() for key, value in calibrations.items()}
    properties[CALIBRATIONS] = json.dumps(written)
    onnx.helper.set_model_props(model, properties)
    with replacing(path) as copy:
        onnx.save(model, str(copy))
