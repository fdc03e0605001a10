# SPDX-License-Identifier: Apache-2.0
"""What the TensorRT tests share: the library or a skip, keys, watches, and graphs to build."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, TensorRt, find_library
from hrnet_pose_ros.engines.tensorrt.plan_build import build_plan
from hrnet_pose_ros.engines.tensorrt.plan_cache import Built
from hrnet_pose_ros.engines.tensorrt.plan_key import PlanKey
from hrnet_pose_ros.pose.boxes import CropRule

ROOT = Path(__file__).resolve().parents[2]
COMPACT = ROOT / "models" / "hrnetv2_w24_small_end2end_float16.onnx"
ADA = GpuTarget(("8.9",))


def library_or_skip() -> TensorRt:
    """The installed TensorRT where it builds without a GPU, as these tests do."""
    try:
        return find_library(without_gpu=True)
    except EngineError as error:
        pytest.skip(f"{error}; test/gpu has the tests of a GPU's own library")


def key_of(onnx: bytes, library: TensorRt, **other: object) -> PlanKey:
    """A key for a graph, small images and few persons; ``other`` replaces its fields."""
    fields: dict = {
        "model": "compact",
        "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
        "precision": "float16",
        "image_size": (320, 240),
        "persons": (1, 2, 4),
        "library": library.name,
        "library_version": library.version,
        "target": ADA,
        "workspace_mib": 0,
        "optimization_level": 3,
    }
    return PlanKey(**fields | other)


class Heard(BuildWatch):
    """Notes what it hears; ends the build at the report or the question of that number."""

    def __init__(self, cancel_after: int | None = None) -> None:
        self.texts: list[str] = []
        self.fractions: list[float | None] = []
        self.asked = 0
        self.cancel_after = cancel_after

    def report(self, text: str, fraction: float | None) -> None:
        self.texts.append(text)
        self.fractions.append(fraction)

    def cancelled(self) -> bool:
        self.asked += 1
        return self.cancel_after is not None and self.asked > self.cancel_after


class Builds:
    """A real build of the compact model, counted."""

    def __init__(self, onnx: bytes, key: PlanKey, library: TensorRt) -> None:
        self.onnx, self.key, self.library = onnx, key, library
        self.count = 0

    def __call__(self, timings: bytes) -> Built:
        self.count += 1
        return build_plan(
            self.library, self.onnx, self.key, here=None, watch=Heard(), timings=timings
        )


def end2end_graph_file(
    folder: Path,
    network: str,
    precision: str,
    decoding: str,
    flip_test: bool,
    input_size: tuple[int, int] = (192, 256),
    crop: CropRule = "reference",
) -> Path:
    """Export an end-to-end graph of the compact model, or of a W32 with seeded weights."""
    import torch
    from structured_weights import w32_with_structure

    from hrnet_pose_ros.engines.precision_check import load_check_crops
    from hrnet_pose_ros.network.export_end2end import export_end2end_graph

    checkpoint = ROOT / "models" / f"{network}.pth"
    if not checkpoint.is_file():
        checkpoint = folder / f"{network}.pth"
        torch.save(w32_with_structure(), checkpoint)
    path = folder / f"{network}_end2end.onnx"
    export_end2end_graph(
        checkpoint,
        path,
        crops=load_check_crops()[:1],
        precision=precision,
        decoding="dark" if decoding == "dark" else "quarter",
        flip_test=flip_test,
        input_size=input_size,
        crop=crop,
    )
    return path
