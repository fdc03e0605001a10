# SPDX-License-Identifier: Apache-2.0
"""Find a model's file: by path, or by name in the models folders of this installation."""

from __future__ import annotations

from pathlib import Path

from hrnet_pose_ros.model_files.folders import available, find_bundled_file, is_path
from hrnet_pose_ros.model_files.metadata import ModelError, ModelMetadata
from hrnet_pose_ros.model_files.model_file import (
    CHECKPOINT,
    ONNX,
    ModelFile,
    OpenModelFile,
    is_onnx_path,
    model_name,
)
from hrnet_pose_ros.model_files.zoo import ZooEntry, entry_of, read_zoo, way_to


def find_model(model: str | Path, suffix: str) -> ModelFile:
    """Find a model's file and read what it says about itself.

    Parameters
    ----------
    model
        A path (`folders.is_path`), or a bare name, which is looked for in
        `folders.models_folders`.
    suffix
        Kind of file wanted: `ONNX` or `CHECKPOINT`.

    Raises
    ------
    ModelError
        No such file, or a file of another kind, or a damaged one; the message says what was
        searched and what is there.
    """
    return ModelFile.read(model_path(model, suffix))


def model_path(model: str | Path, suffix: str) -> Path:
    """Where a model's file lies; arguments and errors as `find_model`, but nothing is read."""
    text = str(model)
    if not text:
        raise ModelError(f"no model is named; there are {available(suffix)}")
    if is_path(model):
        path = Path(text).expanduser()
        if not path.is_file():
            raise ModelError(
                f"no model at '{path.absolute()}'; by name there are {available(suffix)}"
            )
        if suffix == ONNX and not is_onnx_path(path):
            raise ModelError(
                f"'{path}' is not the {suffix} file that this engine needs; make one with "
                "'hrnet_pose export'"
            )
        if suffix == CHECKPOINT and is_onnx_path(path):
            raise ModelError(f"'{path}' is not the {suffix} file that this engine needs")
        return path  # the content of a checkpoint decides, whatever it is called
    try:
        return find_bundled_file(text + suffix)
    except ModelError as error:
        way_out = way_to(text, suffix) or f"by name there are {available(suffix)}"
        raise ModelError(f"{error}; {way_out}") from None


def find_checkpoint(model: str | Path) -> tuple[ModelFile, ZooEntry | None]:
    """Find a checkpoint by zoo name, by name in the models folders, or by path.

    Returns
    -------
    The file, and what the zoo knows about it (None: nothing).

    Raises
    ------
    ModelError
        There is no such file, or under a zoo entry's name lies another file.
    """
    file = find_model(model, CHECKPOINT)
    entry = read_zoo().get(str(model))
    if entry is None:
        return file, entry_of(file)
    try:
        entry.check(file.checksum, file.path)
    except ModelError as error:
        raise ModelError(
            f"{error}; 'hrnet_pose fetch {entry.name}' brings that one, a path takes yours"
        ) from None
    return file, entry


def metadata_beside(path: Path) -> ModelMetadata | None:
    """What ``NAME.onnx`` beside a file ``NAME.…`` says about its model; None where it is not
    there, is damaged, or is not a heatmap graph that this package exported.
    """
    try:
        with OpenModelFile(path.with_name(model_name(path) + ONNX)) as opened:
            return opened.header.heatmaps()
    except ModelError:
        return None
