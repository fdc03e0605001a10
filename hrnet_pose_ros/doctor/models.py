# SPDX-License-Identifier: Apache-2.0
"""Model files and compiled plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hrnet_pose_ros.doctor.findings import Finding, Severity, size_text

_SHOWN_DIGITS = 12


def models() -> list[Finding]:
    """Every model file of the models folders: what it says of itself, and its checksum."""
    from hrnet_pose_ros.model_files.folders import models_folders
    from hrnet_pose_ros.model_files.model_file import is_checkpoint_path, is_onnx_path

    paths: dict[Path, Path] = {}  # by what a link leads to: an install of links has each twice
    for folder in models_folders():
        for path in sorted(folder.iterdir()):
            if (is_onnx_path(path) or is_checkpoint_path(path)) and path.is_file():
                paths.setdefault(path.resolve(), path)
    if not paths:
        searched = ", ".join(str(folder) for folder in models_folders()) or "none exists"
        return [
            Finding(
                "models",
                f"no model file in the models folders ({searched})",
                Severity.WARNING,
                "install the package again, or name a model's file by the parameter model",
            )
        ]
    return [_model(path) for path in paths.values()]


def _model(path: Path) -> Finding:
    from hrnet_pose_ros.model_files.checksums import sha256_of
    from hrnet_pose_ros.model_files.metadata import ModelError
    from hrnet_pose_ros.model_files.model_file import ModelFile

    file: ModelFile | None = None
    try:
        file = ModelFile.read(path)
        checksum, problem = file.checksum, ""
        if file.kind == "foreign":
            problem = "it was not exported by this package"
    except ModelError as error:
        checksum, problem = sha256_of(path), str(error)
    size = path.stat().st_size
    details: dict[str, Any] = {"path": str(path), "sha256": checksum, "bytes": size}
    tail = f"{size_text(size)}, sha256 {checksum[:_SHOWN_DIGITS]}…, in {path.parent}"
    if problem or file is None:
        return Finding(
            path.name, f"{problem}; {tail}", Severity.WARNING, "export it again", details
        )
    if file.kind == "checkpoint":
        return Finding(path.name, f"checkpoint (torch), {tail}", details=details)
    facts = _facts(file)
    text = ", ".join(f"{value}" for value in facts.values() if value)
    return Finding(path.name, f"{text}, {tail}", details=details | facts)


def _facts(file: Any) -> dict[str, Any]:
    """What a `ModelFile` of a graph says about itself."""
    facts: dict[str, Any] = {"model": "", "graph": f"{file.kind} graph", "input": ""}
    if file.kind == "end2end":
        graph = file.end2end()
        facts |= {"precision": graph.precision, "decoding": graph.decoding}
        facts["flip_test"] = "flip test" if graph.flip_test else ""
    if (model := file.model) is not None:
        facts["model"] = model.name
        facts["input"] = f"{model.input_height}x{model.input_width} (HxW)"
        facts["crop"] = "UDP crops" if model.crop == "udp" else ""
    return facts


def plans() -> list[Finding]:
    """Every compiled plan of the default cache, and why it cannot be used, if it cannot."""
    from hrnet_pose_ros.engines.engine import EngineError
    from hrnet_pose_ros.engines.tensorrt.plan_cache import list_plans, plan_folder

    try:
        folder = plan_folder()
    except EngineError as error:
        return [Finding("folder", str(error), Severity.NOTE)]
    found = list_plans()
    findings = [Finding("folder", f"{folder}: {len(found) or 'no'} plans")]
    for plan in found:
        findings.append(
            Finding(
                plan.path.name,
                f"usable, {size_text(plan.size)}" if plan.usable else f"not usable: {plan.reason}",
                Severity.OK if plan.usable else Severity.NOTE,
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
