# SPDX-License-Identifier: Apache-2.0
"""What a compiled plan depends on, and whether a plan fits what is wanted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hrnet_pose_ros.engines.tensorrt.library import GpuTarget


@dataclass(frozen=True)
class PlanKey:
    """Everything a plan depends on; where one of these differs, another plan is needed.

    Attributes
    ----------
    model
        The model's name.
    onnx_sha256
        Checksum of the ONNX file, which holds weights, crop rule, decoding and flip test.
    precision
        What the network computes with.
    image_size
        (width, height) of the images in pixels.
    persons
        Least, typical and largest number of persons in a run.
    library, library_version
        ``tensorrt`` or ``tensorrt_rtx``, and its version.
    target
        The GPUs.
    workspace_mib, optimization_level
        As in `TensorRtOptions`; the level is 0 where the library ignores it.
    """

    model: str
    onnx_sha256: str
    precision: str
    image_size: tuple[int, int]
    persons: tuple[int, int, int]
    library: str
    library_version: str
    target: GpuTarget
    workspace_mib: int
    optimization_level: int

    @property
    def stem(self) -> str:
        """Name of the plan's files without suffix: readable, and different for each key."""
        width, height = self.image_size
        digest = hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()
        return f"{self.prefix}_{width}x{height}_p{self.persons[2]}_{digest[:12]}"

    @property
    def prefix(self) -> str:
        """What the names of all plans of a model in a precision begin with."""
        return f"{re.sub(r'[^A-Za-z0-9.-]', '_', self.model)}_{self.precision}"

    def to_json(self) -> dict[str, Any]:
        """As JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PlanKey:
        """Read what `to_json` wrote; ValueError where something is missing or of another type."""
        try:
            target = values["target"]
            return cls(
                model=_text(values["model"]),
                onnx_sha256=_text(values["onnx_sha256"]),
                precision=_text(values["precision"]),
                image_size=_integers(values["image_size"], 2),  # type: ignore[arg-type]
                persons=_integers(values["persons"], 3),  # type: ignore[arg-type]
                library=_text(values["library"]),
                library_version=_text(values["library_version"]),
                target=GpuTarget(
                    tuple(_text(one) for one in target["compute_capabilities"]),
                    _text(target["device"]),
                    _integers([target["multiprocessors"]], 1)[0],
                ),
                workspace_mib=_integers([values["workspace_mib"]], 1)[0],
                optimization_level=_integers([values["optimization_level"]], 1)[0],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no complete key: {type(error).__name__} {error}") from error

    def against(self, plan: PlanKey) -> str:
        """Why a plan with another key cannot serve this one; empty where it can."""
        reasons = [
            f"{field.name} is {ours}, the plan has {theirs}"
            for field in fields(self)
            if field.name != "target"
            and (ours := getattr(self, field.name)) != (theirs := getattr(plan, field.name))
        ]
        if not serves(plan.target, self.target):
            reasons.append(f"it is for {described(plan.target)}, not {described(self.target)}")
        return "; ".join(reasons)


def serves(plan: GpuTarget, wanted: GpuTarget) -> bool:
    """Whether a plan for some GPUs runs on all that are wanted.

    A plan built on a GPU is for GPUs of that name and size. One built ahead of time is for every
    GPU with one of its compute capabilities.
    """
    if not set(wanted.compute_capabilities) <= set(plan.compute_capabilities):
        return False
    own = (plan.device, plan.multiprocessors)
    return not plan.device or own == (wanted.device, wanted.multiprocessors)


def described(target: GpuTarget) -> str:
    """In words, for messages."""
    capabilities = f"compute capability {', '.join(target.compute_capabilities)}"
    if not target.device:
        return f"any GPU with {capabilities}"
    return f"{target.device} ({capabilities}, {target.multiprocessors} multiprocessors)"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _integers(values: Any, count: int) -> tuple[int, ...]:
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise TypeError(f"{values!r} is not a list of {count}")
    if not all(type(value) is int for value in values):
        raise TypeError(f"{values!r} holds other things than integers")
    return tuple(values)
