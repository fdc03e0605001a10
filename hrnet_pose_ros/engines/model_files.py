# SPDX-License-Identifier: Apache-2.0
"""Find model files: by path, or by name in the models folders of this installation."""

from __future__ import annotations

import os
from pathlib import Path

from hrnet_pose_ros.model_metadata import ModelError

ONNX = ".onnx"
CHECKPOINT = ".pth"


def find_model(model: str | Path, suffix: str) -> Path:
    """Find a model's file.

    Parameters
    ----------
    model
        A path (it holds a separator or ends in ``.onnx`` or ``.pth``), or a bare name, which is
        looked for in `models_folders`.
    suffix
        Kind of file wanted: `ONNX` or `CHECKPOINT`.

    Raises
    ------
    ModelError
        No such file, or a file of another kind; the message says what was searched and what is
        there.
    """
    text = str(model)
    if not text:
        raise ModelError(f"no model is named; there are {_available(suffix)}")
    if os.sep in text or text.endswith((ONNX, CHECKPOINT)):
        path = Path(text).expanduser()
        if not path.is_file():
            raise ModelError(
                f"no model at '{path.absolute()}'; by name there are {_available(suffix)}"
            )
        if path.suffix != suffix:
            way_out = "; make one with 'hrnet_pose export'" if suffix == ONNX else ""
            raise ModelError(f"'{path}' is no {suffix} file, which this engine needs{way_out}")
        return path
    try:
        return find_bundled_file(text + suffix)
    except ModelError as error:
        raise ModelError(f"{error}; by name there are {_available(suffix)}") from None


def find_bundled_file(name: str) -> Path:
    """The first file of that name in the models folders; ModelError names the folders."""
    folders = models_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    searched = ", ".join(f"'{folder}'" for folder in folders) or "no models folder (none exists)"
    raise ModelError(f"no '{name}' in {searched}")


def models_folders() -> list[Path]:
    """The models folders that exist, the first one to search first.

    Those of the ROS workspaces (``AMENT_PREFIX_PATH``), of the pip installation, and of the
    source tree.
    """
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    folders = [
        Path(prefix) / "share" / "hrnet_pose_ros" / "models" for prefix in prefixes if prefix
    ]
    package = Path(__file__).absolute().parents[1]
    folders.append(package / "models")
    if (package.parent / "package.xml").is_file():
        folders.append(package.parent / "models")
    return [folder for folder in folders if folder.is_dir()]


def _available(suffix: str) -> str:
    names = {path.stem for folder in models_folders() for path in folder.glob(f"*{suffix}")}
    return ", ".join(sorted(names)) or "none"
