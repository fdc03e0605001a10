# SPDX-License-Identifier: Apache-2.0
"""Model files and compiled plans."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hrnet_pose_ros.doctor.findings import Finding, Level, size_text

_SHOWN_DIGITS = 12
_CHUNK = 2**20


def models() -> list[Finding]:
    """Every model file of the models folders: what it says of itself, and its checksum."""
    from hrnet_pose_ros.model_files.find import CHECKPOINT, ONNX, models_folders

    paths: dict[Path, Path] = {}  # by what a link leads to: an install of links has each twice
    for folder in models_folders():
        for path in sorted(folder.iterdir()):
            if path.suffix in (ONNX, CHECKPOINT) and path.is_file():
                paths.setdefault(path.resolve(), path)
    if not paths:
        searched = ", ".join(str(folder) for folder in models_folders()) or "none exists"
        return [
            Finding(
                "models",
                f"no model file in the models folders ({searched})",
                Level.WARNING,
                "install the package again, or name a model's file by the parameter model",
            )
        ]
    return [_model(path) for path in paths.values()]


def _model(path: Path) -> Finding:
    from hrnet_pose_ros.model_files.find import ONNX

    checksum, size = _sha256(path), path.stat().st_size
    details: dict[str, Any] = {"path": str(path), "sha256": checksum, "bytes": size}
    tail = f"{size_text(size)}, sha256 {checksum[:_SHOWN_DIGITS]}…, in {path.parent}"
    if path.suffix != ONNX:
        return Finding(path.name, f"checkpoint (torch), {tail}", details=details)
    try:
        facts = _facts(path)
    except ValueError as error:
        return Finding(path.name, f"{error}; {tail}", Level.WARNING, "export it again", details)
    text = ", ".join(f"{value}" for value in facts.values() if value)
    return Finding(path.name, f"{text}, {tail}", details=details | facts)


def _facts(path: Path) -> dict[str, Any]:
    """What the file says of itself; ValueError where it is no model of this package."""
    from hrnet_pose_ros.model_files.metadata import End2EndGraphMetadata, ModelMetadata, graph_of
    from hrnet_pose_ros.model_files.onnx_properties import read_properties

    properties = read_properties(path)
    if graph_of(properties) == "end2end":
        pose = End2EndGraphMetadata.from_properties(properties)
        model, own = pose.model, {"precision": pose.precision, "decoding": pose.decoding}
        own["flip_test"] = "flip test" if pose.flip_test else ""
        graph = "end2end"
    else:
        model, own, graph = ModelMetadata.from_properties(properties), {}, "heatmaps"
    size = f"{model.input_height}x{model.input_width} (HxW)"
    return {"model": model.name, "graph": f"{graph} graph", "input": size} | own


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def plans() -> list[Finding]:
    """Every compiled plan of the default cache, and why it cannot be used, if it cannot."""
    from hrnet_pose_ros.engines.engine import EngineError
    from hrnet_pose_ros.engines.tensorrt.plan_cache import list_plans, plan_folder

    try:
        folder = plan_folder()
    except EngineError as error:
        return [Finding("folder", str(error), Level.NOTE)]
    found = list_plans()
    findings = [Finding("folder", f"{folder}: {len(found) or 'no'} plans")]
    for plan in found:
        findings.append(
            Finding(
                plan.path.name,
                f"usable, {size_text(plan.size)}" if plan.usable else f"not usable: {plan.reason}",
                Level.OK if plan.usable else Level.NOTE,
                "",
                {
                    "path": str(plan.path),
                    "usable": plan.usable,
                    "reason": plan.reason,
                    "bytes": plan.size,
                    "key": None if plan.key is None else plan.key.to_json(),
                },
            )
        )
    return findings
