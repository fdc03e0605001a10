# SPDX-License-Identifier: Apache-2.0
"""What a fleet does to every bag: model, parameters and code, and the key of a bag's result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.model_files.checksums import sha256_of
from hrnet_pose_ros.model_files.model_file import ONNX, model_name
from hrnet_pose_ros.pipeline.engine_arguments import engine_arguments, selected_engine
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.version import VERSION

# Raised when the files of a result change their form: results of another form are made again.
RESULT_FORMAT = 1
KEY_LENGTH = 32  # hexadecimal digits: 128 bits

# Parameters that change no result. The model counts by its name and checksum.
WITHOUT_EFFECT = ("model", "threads", "plan_cache", "autostart", "image_transport")
# What computes a result: parts of this package, and libraries beside that of the engine.
SOURCES = (
    *("skeleton.py", "skeletons", "pose", "fusion", "model_files", "network", "engines"),
    *("pipeline", "replay"),
)
LIBRARIES = ("numpy", "scipy", "opencv-python-headless", "rosbags")
ENGINE_LIBRARIES = {
    "openvino": ("openvino",),
    "torch": ("torch",),
    "tensorrt": ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx-cu13"),
}


@dataclass(frozen=True)
class Recipe:
    """How every bag of a fleet is replayed.

    Attributes
    ----------
    settings
        The node's parameters, with the engine that was chosen.
    image, detections
        Topics; None: the only one of its type in each bag.
    model, checksum
        The model's file and its SHA-256.
    beside
        The file ``NAME.onnx`` beside a checkpoint, from which PyTorch's engine takes calibration
        and skeleton, and its SHA-256; None and empty where there is none.
    code
        What `code_version` says where the fleet was started.
    """

    settings: Settings
    image: str | None
    detections: str | None
    model: Path
    checksum: str
    beside: Path | None
    beside_checksum: str
    code: str

    @classmethod
    def of(
        cls,
        settings: Settings,
        image: str | None = None,
        detections: str | None = None,
        why_no_tensorrt: Callable[[int], str] | None = None,
    ) -> Recipe:
        """Choose the engine, once for all bags.

        Parameters
        ----------
        why_no_tensorrt
            As for `choose_engine`: for workers on other machines. None: this machine.

        Raises
        ------
        ValueError, EngineError
            As `choose_engine` and `make_engine`.
        """
        options = {} if why_no_tensorrt is None else {"why_no_tensorrt": why_no_tensorrt}
        selection = selected_engine(engine_arguments(settings), **options)
        if selection.file is None:
            raise EngineError(f"the TensorRT engine cannot run here: {selection.unusable}")
        file = selection.file
        beside = file.path.with_name(model_name(file.path) + ONNX)
        has_beside = file.kind == "checkpoint" and beside.is_file()
        return cls(
            settings=replace(settings, engine=selection.engine),
            image=image,
            detections=detections,
            model=file.path.absolute(),
            checksum=file.checksum,
            beside=beside.absolute() if has_beside else None,
            beside_checksum=sha256_of(beside) if has_beside else "",
            code=code_version(selection.engine),
        )

    def facts(self) -> dict[str, Any]:
        """All that the results depend on beside the bag, for ``fleet.json`` and the keys."""
        parameters = {
            name: value for name, value in vars(self.settings).items() if name not in WITHOUT_EFFECT
        }
        return {
            "format": RESULT_FORMAT,
            "model": model_name(self.model),
            "checksum": self.checksum,
            "checksum_of_calibration": self.beside_checksum,
            "image": self.image,
            "detections": self.detections,
            "parameters": parameters,
            "code": self.code,
        }

    def key(self, name: str, identity: str) -> str:
        """The key of a bag's result: another model, parameter, code or content has another one."""
        content = json.dumps([self.facts(), name, identity], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:KEY_LENGTH]

    @property
    def depends_on_machine(self) -> str:
        """Why machines of several kinds may give several results; empty if they do not."""
        if self.settings.precision != "auto":
            return ""
        return (
            "precision auto chooses by the machine: give --precision float32, or float16 on GPUs, "
            "so that all machines compute the same"
        )


@cache
def code_version(engine: str) -> str:
    """Version and checksum of the code that computes results, with the versions of its libraries.

    Like ``0.1.0 sources 1f2e3d4c5b6a7980 numpy 2.2.6 ... openvino 2026.4.1``.
    """
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for part in SOURCES:
        place = package / part
        paths = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in paths:
            if path.suffix in (".py", ".yaml"):
                digest.update(path.relative_to(package).as_posix().encode())
                digest.update(path.read_bytes())
    versions = [
        f"{name} {version}"
        for name in (*LIBRARIES, *ENGINE_LIBRARIES[engine])
        if (version := _library_version(name))
    ]
    return " ".join([VERSION, "sources", digest.hexdigest()[:16], *versions])


def _library_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
