# SPDX-License-Identifier: Apache-2.0
"""The zoo: what is known of published models beyond their weights (models/zoo.yaml).

A checkpoint holds weights only. Input size, crop rule, colour order, sigma and flip rule belong to
them and stand in the zoo, so that no user has to know them.
"""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_pose_ros.model_files.folders import files_of, find_bundled_file
from hrnet_pose_ros.model_files.metadata import COLOUR_ORDERS, TARGET_SIGMAS, ModelError
from hrnet_pose_ros.model_files.model_file import CHECKPOINT, ONNX, ModelFile
from hrnet_pose_ros.pose.boxes import CropRule
from hrnet_pose_ros.pose.decoding import Method
from hrnet_pose_ros.skeleton import SkeletonDefinition, SkeletonError, find_skeleton
from hrnet_pose_ros.yaml_config import ConfigError, from_mapping, read_yaml

ZOO_FILE = "zoo.yaml"
CHECKSUM_DIGITS = 8  # published file names hold so many hexadecimal digits of the SHA-256


@dataclass(frozen=True)
class ModelPublisher:
    """Who publishes models.

    Attributes
    ----------
    name
        Its key in the file.
    title, page
        What it is, and where to read about its models.
    licence
        Of the weights, as the source states it.
    address
        The folder that the files are downloaded from; None where there is none.
    """

    name: str
    title: str
    page: str
    licence: str
    address: str | None = None


@dataclass(frozen=True)
class ZooEntry:
    """What is known of a published checkpoint.

    Attributes
    ----------
    name
        As users write it; its fetched file is ``NAME.pth``.
    network
        Name of the network configuration.
    input_size
        (width, height) of the crops in pixels; in the file ``256x192``, height first.
    parameters
        Learned numbers.
    paper_gflops
        Multiply-adds / 1024³ by the counting rule of the paper's Table 1.
    giga_multiply_adds
        Plain multiply-adds / 1e9.
    colour_order
        Order of the channels that the weights were trained on.
    target_sigma
        Sigma of the Gaussian targets in heatmap cells.
    flip_shift
        Whether a mirrored heatmap is shifted one column right in a flip test.
    decoding
        The decoding that the weights were trained for.
    source
        Who publishes it.
    file
        The file's name there.
    ap
        Published AP on COCO val2017 with flip test; None where nobody published one.
    skeleton
        Name of the shipped skeleton definition.
    figures
        Published figures on other data than COCO val2017, in words.
    sha256
        The first 8 hexadecimal digits of the file's SHA-256; None where they are not published.
    crop
        The crop rule that the weights were trained with.
    """

    name: str
    network: str
    input_size: tuple[int, int]
    parameters: int
    paper_gflops: float
    giga_multiply_adds: float
    colour_order: str
    target_sigma: float
    flip_shift: bool
    decoding: str
    source: ModelPublisher
    file: str
    ap: float | None = None
    sha256: str | None = None
    skeleton: str = "coco17"
    figures: str = ""
    crop: CropRule = "reference"

    def __post_init__(self) -> None:
        for key, value, choices in (
            ("colour_order", self.colour_order, COLOUR_ORDERS),
            ("target_sigma", self.target_sigma, TARGET_SIGMAS),
            ("decoding", self.decoding, typing.get_args(Method)),
            ("crop", self.crop, typing.get_args(CropRule)),
        ):
            if value not in choices:
                known = ", ".join(map(str, choices))
                raise ModelError(f"{key} must be one of {known}; got {value!r}")
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{8}", self.sha256):
            raise ModelError(f"sha256 must be 8 hexadecimal digits, got {self.sha256!r}")
        try:
            find_skeleton(self.skeleton)
        except SkeletonError as error:
            raise ModelError(str(error)) from None
        if self.ap is not None and not 0 <= self.ap <= 1:
            raise ModelError(f"ap must be between 0 and 1, got {self.ap}")

    @property
    def size_text(self) -> str:
        """``256x192``: height x width, as papers write it."""
        return f"{self.input_size[1]}x{self.input_size[0]}"

    @property
    def definition(self) -> SkeletonDefinition:
        """The definition of the joints."""
        return find_skeleton(self.skeleton)

    @property
    def facts(self) -> dict[str, Any]:
        """What an export must know of the weights: keyword arguments of `export_onnx`."""
        return {
            "configuration": self.network,
            "input_size": self.input_size,
            "target_sigma": self.target_sigma,
            "flip_shift": self.flip_shift,
            "colour_order": self.colour_order,
            "skeleton": self.definition,
            "crop": self.crop,
        }

    def check(self, checksum: str, origin: str | Path) -> None:
        """Raise ModelError unless this is the published checksum (where there is one).

        ``origin`` is what the message calls the file.
        """
        if self.sha256 is not None and not checksum.startswith(self.sha256):
            raise ModelError(
                f"'{origin}' is not the published {self.name}: its SHA-256 begins with "
                f"{checksum[:CHECKSUM_DIGITS]}, expected {self.sha256}"
            )


def read_zoo(path: Path | None = None) -> dict[str, ZooEntry]:
    """All models that are known by name, in the file's order.

    ``path`` is a zoo file; None takes the one of this installation.

    Raises
    ------
    ModelError
        The file is missing or not readable, a key is unknown or missing, or a value does not fit;
        the message names the file, the model, the key and the value.
    """
    path = path or find_bundled_file(ZOO_FILE)
    try:
        content = read_yaml(path, "zoo")
    except ConfigError as error:
        raise ModelError(str(error)) from None
    try:
        zoo = _mapping(content, "the zoo")
        if zoo.keys() != {"sources", "models"}:
            raise ModelError(f"the zoo has the keys sources and models, got {', '.join(zoo)}")
        sources = {
            name: _source(name, _mapping(values, f"sources.{name}"))
            for name, values in _mapping(zoo["sources"], "sources").items()
        }
        return {
            name: _entry(name, _mapping(values, f"models.{name}"), sources)
            for name, values in _mapping(zoo["models"], "models").items()
        }
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from None


def entry_of(file: ModelFile) -> ZooEntry | None:
    """The zoo entry that a checkpoint file is, wherever it lies.

    Known by its checksum; where none is published by its name.
    """
    for entry in read_zoo().values():
        if entry.sha256 is None:
            if file.path.name in (entry.file, entry.name + CHECKPOINT):
                return entry
        elif file.checksum.startswith(entry.sha256):
            return entry
    return None


def way_to(name: str, suffix: str) -> str | None:
    """What a user does to get the file of a zoo entry; None for other names."""
    try:
        entry = read_zoo().get(name)
    except ModelError:  # not even the zoo is installed: the caller says where it searched
        return None
    if entry is None:
        return None
    if suffix == ONNX and any(path.suffix == CHECKPOINT for path in files_of(name)):
        return f"make it with 'hrnet_pose export {name}'"
    origin = "" if entry.source.address else f" --from FILE (from {entry.source.page})"
    then = f", then 'hrnet_pose export {name}'" if suffix == ONNX else ""
    return f"get it with 'hrnet_pose fetch {name}{origin}'{then}"


def _source(name: str, values: dict[str, Any]) -> ModelPublisher:
    source: ModelPublisher = _filled(ModelPublisher, {"name": name, **values}, f"sources.{name}")
    return source


def _entry(name: str, values: dict[str, Any], sources: dict[str, ModelPublisher]) -> ZooEntry:
    place = f"models.{name}"
    values = {"name": name, **values}
    size, source = values.get("input_size"), values.get("source")
    match = re.fullmatch(r"(\d+)x(\d+)", str(size))
    if match is not None:
        values["input_size"] = (int(match[2]), int(match[1]))
    elif size is not None:
        raise ModelError(f"{place}.input_size must be HEIGHTxWIDTH, got {size!r}")
    if source is not None:
        if source not in sources:
            raise ModelError(f"{place}.source must be one of {', '.join(sources)}; got {source!r}")
        values["source"] = sources[source]
    entry: ZooEntry = _filled(ZooEntry, values, place)
    return entry


def _mapping(values: Any, place: str) -> dict[str, Any]:
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ModelError(f"{place} must be a mapping of names, got {values!r}")
    return values


def _filled(cls: Any, values: dict[str, Any], place: str) -> Any:
    """An instance of the dataclass from a mapping; every key is known and every value fits."""
    try:
        return from_mapping(cls, values, place)
    except ConfigError as error:
        raise ModelError(str(error)) from None
