# SPDX-License-Identifier: Apache-2.0
"""Models for OpenVINO in 8 bits: ``NAME_int8.onnx``, made by `hrnet_pose quantize`."""

from __future__ import annotations

from pathlib import Path

from hrnet_pose_ros.model_files.find import (
    ONNX,
    find_bundled_file,
    find_model,
    user_models_folder,
)
from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.model_files.onnx_properties import read_properties

INT8 = "_int8"


def is_quantized(path: Path) -> bool:
    """Whether the file says that it computes in 8 bits; False for one that cannot be read."""
    try:
        return _metadata(path).quantized
    except ModelError:
        return False  # the engine that reads it says what is wrong


def find_quantized(model: str | Path) -> Path:
    """Find the model's file in 8 bits.

    Parameters
    ----------
    model
        As for `find_model`: ``NAME_int8.onnx`` lies beside the file of a path, or in any models
        folder for a name; or the path or the name of that file itself.

    Raises
    ------
    ModelError
        There is none, or it was made from another checkpoint than the model's file; the message
        says how to make it.
    """
    original = find_model(model, ONNX)
    if is_quantized(original):
        return original
    beside = original.with_name(original.stem + INT8 + ONNX)
    by_name = Path(model) != original
    target = user_models_folder() / beside.name if by_name else beside
    way_out = f"make it with: hrnet_pose quantize {original} -o {target}"
    if beside.is_file():
        found = beside
    elif by_name:
        try:
            found = find_bundled_file(beside.name)
        except ModelError as error:
            raise ModelError(f"{error}; {way_out}") from None
    else:
        raise ModelError(f"no model in 8 bits at '{beside}'; {way_out}")
    if _metadata(found).checkpoint_sha256 != _metadata(original).checkpoint_sha256:
        raise ModelError(f"'{found}' was made from another checkpoint than '{original}'; {way_out}")
    return found


def _metadata(path: Path) -> ModelMetadata:
    return ModelMetadata.from_properties(read_properties(path))
