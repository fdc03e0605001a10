# SPDX-License-Identifier: Apache-2.0
"""Models in 8 bits, made by `hrnet_pose quantize`: finding them, and which of them may run."""

from __future__ import annotations

import logging
from pathlib import Path

from hrnet_pose_ros.model_files.find import (
    ONNX,
    find_bundled_file,
    find_model,
    user_models_folder,
)
from hrnet_pose_ros.model_files.metadata import (
    LEAST_JUDGED,
    End2EndGraphMetadata,
    ModelError,
    ModelMetadata,
    graph_of,
)
from hrnet_pose_ros.model_files.onnx_properties import read_properties

INT8 = "_int8"
# Mean OKS against float32 below which `hrnet_pose quantize` writes no file unless it is told to.
LEAST_OKS = 0.98

_log = logging.getLogger(__name__)


def is_quantized(path: Path) -> bool:
    """Whether the file says that it computes in 8 bits; False for one that cannot be read."""
    try:
        return _metadata(path).quantized
    except ModelError:
        return False  # the engine that reads it says what is wrong


def find_quantized(model: str | Path) -> Path:
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
    original = find_model(model, ONNX)
    if is_quantized(original):
        return original
    beside = original.with_name(original.stem + INT8 + ONNX)
    by_name = Path(model) != original
    target = user_models_folder() / beside.name if by_name else beside
    way_out = f"make it with: hrnet_pose quantize {original} -o {target} --data DATA"
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


def check_judged(path: Path) -> None:
    """Log what is known of a file in 8 bits, a heatmap or an end-to-end graph.

    Raises ModelError where it was judged on fewer than `LEAST_JUDGED` persons, or where it does not
    say: what 8 bits do to its key points is then not known.
    """
    judgement = _metadata(path).int8_judgement
    if judgement is None or judgement.persons < LEAST_JUDGED:
        known = "on nobody" if judgement is None else f"on {judgement.persons} persons only"
        raise ModelError(
            f"'{path}' computes in 8 bits and was judged {known}; needed are {LEAST_JUDGED}, or it "
            "is not known how far its key points lie from those of float32: make it again from the "
            f"model in float32, hrnet_pose quantize MODEL.onnx -o {path} --data DATA"
        )
    _log.log(
        logging.INFO if judgement.mean_oks >= LEAST_OKS else logging.WARNING,
        "'%s' in int8: mean OKS against float32 %.4f on %d persons",
        path,
        judgement.mean_oks,
        judgement.persons,
    )


def _metadata(path: Path) -> ModelMetadata:
    properties = read_properties(path)
    if graph_of(properties) == "end2end":
        return End2EndGraphMetadata.from_properties(properties).model
    return ModelMetadata.from_properties(properties)
