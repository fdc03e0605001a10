# SPDX-License-Identifier: Apache-2.0
"""Models for OpenVINO in 8 bits: ``NAME_int8.onnx``, made by `hrnet_pose quantize`."""

from __future__ import annotations

from pathlib import Path

from hrnet_pose_ros.model_files.find import model_path
from hrnet_pose_ros.model_files.folders import find_bundled_file, is_path, user_models_folder
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ONNX, ModelFile, OpenModelFile

INT8 = "_int8"


def find_quantized(model: str | Path) -> ModelFile:
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
    with OpenModelFile(model_path(model, ONNX)) as opened:
        original, metadata = opened.header.path, opened.header.heatmaps()
        if metadata.quantized:
            return opened.complete()
    beside = original.with_name(original.stem + INT8 + ONNX)
    target = beside if is_path(model) else user_models_folder() / beside.name
    way_out = f"make it with: hrnet_pose quantize {original} -o {target}"
    if beside.is_file():
        found = beside
    elif is_path(model):
        raise ModelError(f"no model in 8 bits at '{beside}'; {way_out}")
    else:
        try:
            found = find_bundled_file(beside.name)
        except ModelError as error:
            raise ModelError(f"{error}; {way_out}") from None
    quantized = ModelFile.read(found)
    if quantized.heatmaps().checkpoint_sha256 != metadata.checkpoint_sha256:
        raise ModelError(f"'{found}' was made from another checkpoint than '{original}'; {way_out}")
    return quantized
