# SPDX-License-Identifier: Apache-2.0
"""What a model file says about itself: everything an engine must know besides the graph.

The export writes these facts into the ONNX file (``metadata_props``), engines read them back, so
that no second file and no parameter can contradict the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from hrnet_pose_ros.skeleton import JOINT_NAMES, SKELETON

# Raised when a key changes its meaning; engines refuse other formats.
FORMAT_VERSION = 1
KEY_PREFIX = "hrnet_pose."

# ImageNet statistics of RGB values in [0, 1]; those of every published HRNet pose model.
MEAN: tuple[float, float, float] = (0.485, 0.456, 0.406)
STD: tuple[float, float, float] = (0.229, 0.224, 0.225)
COLOUR_ORDER = "rgb"

STRIDE = 4  # crop pixels per heatmap cell

# Sigmas of training targets, in cells, for which a decoding is defined (pose/decoding.py).
TARGET_SIGMAS = (2.0, 3.0)


class ModelError(ValueError):
    """A model file is missing, or is not what it should be."""


def usual_target_sigma(input_size: tuple[int, int]) -> float:
    """Sigma (cells) of the training target that the reference uses at this input size.

    2 cells at 256x192 (height x width), 3 cells at 384x288.
    """
    return 3.0 if input_size[1] >= 384 else 2.0


@dataclass(frozen=True)
class ModelMetadata:
    """Facts about a heatmap model.

    Attributes
    ----------
    name
        The model's name, by default its file name without suffix.
    configuration
        Name of the network configuration (``hrnet_w32``).
    input_width, input_height
        Crop size in pixels; heatmaps are a quarter of it.
    target_sigma
        Sigma of the Gaussian targets in heatmap cells; DARK decoding depends on it.
    flip_shift
        Whether a mirrored heatmap is shifted one column right in a flip test.
    checkpoint_sha256
        Checksum of the checkpoint that the weights came from.
    package_version
        Version of this package that wrote the file.
    """

    name: str
    configuration: str
    input_width: int
    input_height: int
    target_sigma: float
    flip_shift: bool
    checkpoint_sha256: str
    package_version: str

    def __post_init__(self) -> None:
        if min(self.input_size) < 32 or self.input_width % 32 or self.input_height % 32:
            raise ModelError(
                "the input's sides must be multiples of 32 px (the lowest resolution of HRNet "
                f"is 1/32), got {self.input_width}x{self.input_height} (width x height)"
            )
        if self.target_sigma not in TARGET_SIGMAS:
            raise ModelError(
                f"target sigma must be one of {TARGET_SIGMAS} cells, got {self.target_sigma}"
            )

    @property
    def input_size(self) -> tuple[int, int]:
        """(width, height) of a crop in pixels."""
        return (self.input_width, self.input_height)

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """(width, height) of a heatmap in cells."""
        return (self.input_width // STRIDE, self.input_height // STRIDE)

    def to_properties(self) -> dict[str, str]:
        """As ONNX ``metadata_props``: prefixed keys, values in JSON."""
        values = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "configuration": self.configuration,
            "skeleton": SKELETON,
            "joint_names": JOINT_NAMES,
            "input_size": self.input_size,
            "colour_order": COLOUR_ORDER,
            "mean": MEAN,
            "std": STD,
            "target_sigma": self.target_sigma,
            "flip_shift": self.flip_shift,
            "checkpoint_sha256": self.checkpoint_sha256,
            "package_version": self.package_version,
        }
        return {KEY_PREFIX + key: json.dumps(value) for key, value in values.items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> ModelMetadata:
        """Read back what ``to_properties`` wrote; other properties are left alone.

        Raises
        ------
        ModelError
            Where the facts are missing, of another format version, or of another skeleton.
        """

        def value(key: str, expected: type | tuple[type, ...]) -> object:
            text = properties.get(KEY_PREFIX + key)
            if text is None:
                raise ModelError(
                    f"the model holds no '{KEY_PREFIX}{key}': it was not exported by this package "
                    "(make one with 'hrnet_pose export')"
                )
            try:
                result = json.loads(text)
            except json.JSONDecodeError:
                result = None
            if not isinstance(result, expected):
                raise ModelError(f"the model's '{KEY_PREFIX}{key}' is unreadable: {text!r}")
            return result

        for key, expected in (
            ("format_version", FORMAT_VERSION),
            ("skeleton", SKELETON),
            ("joint_names", list(JOINT_NAMES)),
            ("colour_order", COLOUR_ORDER),
        ):
            found = value(key, type(expected))
            if found != expected:
                raise ModelError(
                    f"the model's '{key}' is {found!r}, this version of the package "
                    f"reads {expected!r}"
                )
        size = value("input_size", list)
        if not (isinstance(size, list) and len(size) == 2 and all(type(v) is int for v in size)):
            raise ModelError(f"the model's 'input_size' must be [width, height], got {size!r}")
        return cls(
            name=str(value("name", str)),
            configuration=str(value("configuration", str)),
            input_width=size[0],
            input_height=size[1],
            target_sigma=float(str(value("target_sigma", (int, float)))),
            flip_shift=bool(value("flip_shift", bool)),
            checkpoint_sha256=str(value("checkpoint_sha256", str)),
            package_version=str(value("package_version", str)),
        )
