# SPDX-License-Identifier: Apache-2.0
"""A model file, read once and handed on: what it is, what it says about itself, its checksum."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from hrnet_pose_ros.model_files.checksums import sha256_of_stream
from hrnet_pose_ros.model_files.metadata import (
    KEY_PREFIX,
    End2EndGraphMetadata,
    Graph,
    ModelError,
    ModelMetadata,
    graph_of,
    wrong_graph,
)
from hrnet_pose_ros.model_files.onnx_properties import read_properties

ONNX = ".onnx"
CHECKPOINT = ".pth"  # of checkpoints that are found by name
# What others call theirs. A zip archive or a pickle can be in any of them: the content decides.
CHECKPOINT_SUFFIXES = (".pth.tar", CHECKPOINT, ".pt", ".ckpt", ".safetensors")

# A file for PyTorch, the two graphs that `hrnet_pose export` writes, an ONNX file of another tool.
Kind = Literal["checkpoint", "heatmaps", "end2end", "foreign"]


def is_onnx_path(path: str | Path) -> bool:
    """Whether a file is called ``NAME.onnx``, in capitals as well."""
    return str(path).lower().endswith(ONNX)


def is_checkpoint_path(path: str | Path) -> bool:
    """Whether a file has one of the names that checkpoints have, in capitals as well."""
    return str(path).lower().endswith(CHECKPOINT_SUFFIXES)


def model_name(path: Path) -> str:
    """The name of a model's file without its suffix, ``NAME`` of ``NAME.pth.tar``."""
    for suffix in (ONNX, *CHECKPOINT_SUFFIXES):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


@dataclass(frozen=True)
class ModelHeader:
    """What a model file says about itself.

    Attributes
    ----------
    path
        Where it lies.
    kind
        ``checkpoint`` (no ``.onnx`` file), ``heatmaps``, ``end2end``, or ``foreign``: an ONNX file
        that this package did not export.
    metadata
        Of a heatmap graph or an end-to-end graph; None for the other kinds.
    """

    path: Path
    kind: Kind
    metadata: ModelMetadata | End2EndGraphMetadata | None

    @property
    def model(self) -> ModelMetadata | None:
        """The facts about the model, whichever graph the file holds."""
        metadata = self.metadata
        return metadata.model if isinstance(metadata, End2EndGraphMetadata) else metadata

    @property
    def in_8_bits(self) -> bool:
        """Whether the file's network computes in 8 bits (`hrnet_pose quantize`)."""
        metadata = self.metadata
        if isinstance(metadata, End2EndGraphMetadata):
            return metadata.precision == "int8"
        return metadata is not None and metadata.quantized

    def heatmaps(self) -> ModelMetadata:
        """The metadata of a heatmap graph; ModelError where the file holds something else."""
        if isinstance(self.metadata, ModelMetadata):
            return self.metadata
        raise self._other_than("heatmaps")

    def end2end(self) -> End2EndGraphMetadata:
        """The metadata of an end-to-end graph; ModelError where the file holds something else."""
        if isinstance(self.metadata, End2EndGraphMetadata):
            return self.metadata
        raise self._other_than("end2end")

    def _other_than(self, wanted: Graph) -> ModelError:
        if self.kind == "checkpoint":
            return ModelError(
                f"'{self.path}' is a checkpoint, expected an {ONNX} file: make one with "
                f"'hrnet_pose export --graph {wanted}'"
            )
        if self.kind == "foreign":
            return ModelError(
                f"'{self.path}': it was not exported by this package; make one from its checkpoint "
                f"with 'hrnet_pose export --graph {wanted}'"
            )
        return ModelError(f"'{self.path}': {wrong_graph(self.kind, wanted)}")


@dataclass(frozen=True)
class ModelFile(ModelHeader):
    """A model file: its header, and the checksum of its content.

    Attributes
    ----------
    checksum
        SHA-256, hexadecimal.
    """

    checksum: str

    @classmethod
    def read(cls, path: str | Path) -> ModelFile:
        """Read a file, opening it once; needs no runtime.

        Raises
        ------
        ModelError
            The file is missing, cannot be read, is damaged, or says something impossible.
        """
        with OpenModelFile(path) as opened:
            return opened.complete()


class OpenModelFile(AbstractContextManager["OpenModelFile"]):
    """A file whose header was read and that is still open.

    For callers that look at several files and take one: `complete` reads the whole content for
    the checksum, and the file is opened only once.
    """

    def __init__(self, path: str | Path) -> None:
        """Open it and read its header; raises as `ModelFile.read`."""
        path = Path(path)
        try:
            self._file = path.open("rb")
        except FileNotFoundError:
            raise ModelError(f"no model at '{path}': no such file") from None
        except OSError as error:
            raise ModelError(f"'{path}' cannot be read: {error.strerror}") from error
        try:
            self.header = _header(path, self._file)
        except BaseException:
            self._file.close()
            raise

    def complete(self) -> ModelFile:
        """The file with its checksum."""
        header = self.header
        try:
            self._file.seek(0)
            checksum = sha256_of_stream(self._file)
        except OSError as error:
            raise ModelError(f"'{header.path}' cannot be read: {error.strerror}") from error
        return ModelFile(header.path, header.kind, header.metadata, checksum)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _header(path: Path, file: IO[bytes]) -> ModelHeader:
    if not is_onnx_path(path):
        return ModelHeader(path, "checkpoint", None)
    properties = read_properties(file, path)
    if not any(key.startswith(KEY_PREFIX) for key in properties):
        return ModelHeader(path, "foreign", None)
    try:
        if graph_of(properties) == "end2end":
            return ModelHeader(path, "end2end", End2EndGraphMetadata.from_properties(properties))
        return ModelHeader(path, "heatmaps", ModelMetadata.from_properties(properties))
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from error
