# SPDX-License-Identifier: Apache-2.0
"""The models folders: those of this installation, then the user's own."""

from __future__ import annotations

import os
from pathlib import Path

from hrnet_pose_ros.installed import installed_folders
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import CHECKPOINT, ONNX, is_checkpoint_path, is_onnx_path

END2END = "_end2end"  # an end-to-end graph of NAME is called NAME_end2end*.onnx


def models_folders() -> list[Path]:
    """The models folders that exist, the first one to search first: installed, then the user's."""
    own = user_models_folder()
    return installed_folders("models", "models") + ([own] if own.is_dir() else [])


def user_models_folder() -> Path:
    """Where `hrnet_pose fetch` and `hrnet_pose export` put models by name; it may not exist yet.

    ``$XDG_DATA_HOME/hrnet_pose/models``, by default under ``~/.local/share``.
    """
    data = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    return Path(data) / "hrnet_pose" / "models"


def find_bundled_file(name: str) -> Path:
    """The first file of that name in the models folders; ModelError names the folders."""
    folders = models_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    searched = ", ".join(f"'{folder}'" for folder in folders) or "no models folder (none exists)"
    raise ModelError(f"no '{name}' in {searched}")


def files_of(name: str) -> list[Path]:
    """The files of a model in the models folders: checkpoint, ONNX, end-to-end graphs."""
    found = [
        path
        for folder in models_folders()
        for pattern in (name + CHECKPOINT, name + ONNX, f"{name}{END2END}*{ONNX}")
        for path in sorted(folder.glob(pattern))
    ]
    return list(dict.fromkeys(found))


def available(suffix: str) -> str:
    """The names of the models that the folders hold as files of a kind, for messages."""
    names = {
        path.stem
        for folder in models_folders()
        for path in folder.glob(f"*{suffix}")
        # The name of end-to-end graphs is the model's. Links of an older build may lead nowhere.
        if END2END not in path.stem and path.is_file()
    }
    return ", ".join(sorted(names)) or "none"


def is_path(model: str | Path) -> bool:
    """Whether a user's word for a model is a path, not a name.

    A path holds a separator or ends in ``.onnx`` or as checkpoints do (`CHECKPOINT_SUFFIXES`).
    """
    return os.sep in str(model) or is_onnx_path(model) or is_checkpoint_path(model)
