# SPDX-License-Identifier: Apache-2.0
"""Models in 8 bits, made by `hrnet_pose quantize`: finding them, and which of them may run."""

from __future__ import annotations

import logging
from pathlib import Path

from hrnet_pose_ros.model_files.find import model_path
from hrnet_pose_ros.model_files.folders import find_bundled_file, is_path, user_models_folder
from hrnet_pose_ros.model_files.metadata import LEAST_JUDGED, ModelError
from hrnet_pose_ros.model_files.model_file import ONNX, ModelFile, OpenModelFile

INT8 = "_int8"
# Mean OKS against float32 below which `hrnet_pose quantize` writes no file unless it is told to.
LEAST_OKS = 0.98

_log = logging.getLogger(__name__)


def find_quantized(model: str | Path) -> ModelFile:
    """Find the model's file in 8 bits for OpenVINO, ``NAME_int8.onnx``.

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
    way_out = f"make it with: hrnet_pose quantize {original} -o {target} --data DATA"
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


def check_judged(file: ModelFile) -> None:
    """Log what is known of a file in 8 bits, a heatmap or an end-to-end graph.

    Raises ModelError where it was judged on fewer than `LEAST_JUDGED` persons, or where it does not
    say: what 8 bits do to its key points is then not known.
    """
    judgement = None if file.model is None else file.model.int8_judgement
    if judgement is None or judgement.persons < LEAST_JUDGED:
        known = "on nobody" if judgement is None else f"on {judgement.persons} persons only"
        raise ModelError(
            f"'{file.path}' computes in 8 bits and was judged {known}; needed are {LEAST_JUDGED}, "
            "or it is not known how far its key points lie from those of float32: make it again "
            f"from the model in float32, hrnet_pose quantize MODEL.onnx -o {file.path} --data DATA"
        )
    _log.log(
        logging.INFO if judgement.mean_oks >= LEAST_OKS else logging.WARNING,
        "'%s' in int8: mean OKS against float32 %.4f on %d persons",
        file.path,
        judgement.mean_oks,
        judgement.persons,
    )
