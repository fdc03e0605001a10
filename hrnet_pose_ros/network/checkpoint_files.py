# SPDX-License-Identifier: Apache-2.0
"""Read a checkpoint file as what it is: untrusted input from the internet or an old disk."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.serialization import safe_globals


class CheckpointError(ValueError):
    """A file cannot be used as a pose checkpoint; the message says what it is instead."""


class _NotLoaded:
    """Stands where a checkpoint holds a Python object that is not a tensor: nothing is built."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# MMPose files carry NumPy arrays beside the weights (``meta``: OKS sigmas, colours) and training
# outputs of MMPose 1.x and of the reference also histories and NumPy scalars. None of it is
# needed: these names are let through weights_only loading, but lead to the empty class above.
_IGNORED_GLOBALS: list[Callable | tuple[Callable, str]] = [
    (_NotLoaded, name)
    for name in (
        "builtins.getattr",
        "mmengine.logging.history_buffer.HistoryBuffer",
        "numpy.ndarray",
        "numpy.dtype",
        *(
            f"numpy.{core}.multiarray.{function}"
            for core in ("core", "_core")
            for function in ("_reconstruct", "scalar")
        ),
        *(
            f"numpy.dtypes.{dtype}DType"
            for dtype in ("Bool", "Int32", "Int64", "UInt8", "Float32", "Float64")
        ),
    )
]


def read_checkpoint_file(path: Path) -> Mapping[str, object]:
    """Load the dictionary that a checkpoint file holds, tensors on the CPU.

    Loaded with ``weights_only=True``: no code of the file is run.

    Raises
    ------
    CheckpointError
        For a missing, truncated or foreign file, a TorchScript archive, or a file that needs
        Python classes.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at '{path}': no such file")
    with path.open("rb") as file:
        head = file.read(16)
    if head[8:10] == b'{"':  # the length of a JSON header, then the header
        raise CheckpointError(
            f"'{path}' is a safetensors file: make a checkpoint of it with "
            "torch.save(safetensors.torch.load_file(FILE), 'NAME.pth')"
        )
    if head.startswith(b"PK"):  # a zip archive, PyTorch 1.6 and later
        try:
            with zipfile.ZipFile(path) as archive:
                members = {name.rpartition("/")[2] for name in archive.namelist()}
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise CheckpointError(f"'{path}' is truncated or damaged: fetch it again") from error
        if "constants.pkl" in members:
            raise CheckpointError(
                f"'{path}' is a TorchScript archive, not a checkpoint: save the module's state_dict"
            )
        if "data.pkl" not in members:
            raise CheckpointError(f"'{path}' is a zip archive, not a checkpoint")
    elif not head.startswith(b"\x80"):  # else a bare pickle, before PyTorch 1.6
        raise CheckpointError(f"'{path}' is not a checkpoint: it begins with {head!r}")
    try:
        with safe_globals(_IGNORED_GLOBALS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its bytes lead to
        wanted = re.search(r"(?:GLOBAL|class|function) ([\w.]+\.\w+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and wanted:
            raise CheckpointError(
                f"'{path}' needs the Python object {wanted[1]}, which is not loaded from an "
                "untrusted file: re-save only its 'state_dict'"
            ) from error
        raise CheckpointError(f"'{path}' is truncated or damaged: fetch it again") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"'{path}' holds a {type(content).__name__}, a checkpoint holds a dictionary"
        )
    return content


def state_dict_of(content: Mapping[str, object], path: Path) -> dict[str, Tensor]:
    """Find the state dict in a checkpoint's dictionary; a ``module.`` prefix is taken off.

    ``best_state_dict`` goes before ``state_dict``: the reference's training writes both.
    """
    inner: object = content
    for key in ("best_state_dict", "state_dict"):
        if key in content:
            inner = content[key]
            break
    if not isinstance(inner, Mapping) or not inner:
        raise CheckpointError(f"'{path}' contains no weights")
    foreign = [
        str(key)
        for key, value in inner.items()
        if not isinstance(value, Tensor) or not isinstance(key, str)
    ]
    if {"network", "average", "optimizer"} <= {*foreign}:
        raise CheckpointError(
            f"'{path}' is the state of a training, to resume it; its best weights are in "
            "'best.pth' beside it"
        )
    if foreign:
        raise CheckpointError(
            f"'{path}' contains no state dict: not tensors are {shortened(foreign)}; expected "
            "weights, or weights under 'state_dict' or 'best_state_dict'"
        )
    state: dict[str, Tensor] = dict(inner)
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def shortened(names: list[str], most: int = 8) -> str:
    """Name the first few of a list and count the rest."""
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
