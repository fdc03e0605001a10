# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's GPU, driver and CUDA, and TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hrnet_pose_ros.doctor.findings import Finding, Severity, size_text

DRIVER = Path("/proc/driver/nvidia/version")
NO_DRIVER = "0.0"  # a version
JETSON = Path("/etc/nv_tegra_release")


def gpu(driver_files: Sequence[Path] = (DRIVER, JETSON)) -> list[Finding]:
    """Driver, CUDA, devices."""
    from hrnet_pose_ros.engines.engine import EngineError
    from hrnet_pose_ros.engines.tensorrt.cuda_runtime import (
        device_count,
        find_device,
        versions,
        why_no_device,
    )

    findings = [_driver(driver_files)]
    try:
        known, own = versions()
        driver = "no driver" if known == NO_DRIVER else f"the driver knows {known}"
        details = {"runtime": own, "driver": known}
        findings.append(Finding("cuda", f"runtime {own}, {driver}", details=details))
    except EngineError as error:
        findings.append(Finding("cuda", str(error), Severity.NOTE))
    count, why = device_count()
    if not count:
        findings.append(Finding("devices", why, Severity.NOTE, "", {"devices": []}))
    for index in range(count):
        if missing := why_no_device(index):  # in prohibited mode, or MIG without an instance
            advice = "nothing runs on it: engine auto takes OpenVINO"
            findings.append(Finding(f"device_{index}", missing, Severity.WARNING, advice))
            continue
        device = find_device(index)
        findings.append(
            Finding(
                f"device_{index}",
                f"{device.name}, compute capability {device.compute_capability}, "
                f"{size_text(device.memory)}",
                details={
                    "name": device.name,
                    "compute_capability": device.compute_capability,
                    "memory": device.memory,
                },
            )
        )
    return findings


def _driver(paths: Sequence[Path]) -> Finding:
    for path in paths:
        if path.is_file():
            lines = path.read_text(errors="replace").splitlines()
            return Finding("driver", lines[0].strip() if lines else f"'{path}' is empty")
    return Finding("driver", "none of NVIDIA's", Severity.NOTE)


def tensorrt() -> list[Finding]:
    """The library, and whether a GPU lies idle without it."""
    from hrnet_pose_ros.engines.engine import EngineError
    from hrnet_pose_ros.engines.tensorrt.cuda_runtime import find_device, why_no_device
    from hrnet_pose_ros.engines.tensorrt.library import find_library

    there = not why_no_device(0)
    level = Severity.WARNING if there else Severity.NOTE
    advice = "the GPU is not used without it (docs/tensorrt.md)" if there else ""
    try:
        library = find_library(find_device(0).compute_capability if there else "")
    except EngineError as error:
        return [Finding("tensorrt", str(error), level, advice)]
    try:
        library.runtime()
        library.builder()
        usable = ""
    except EngineError as error:
        usable = f"; {error}"
    return [
        Finding(
            "tensorrt",
            f"{library.name} {library.version}{usable}",
            level if usable else Severity.OK,
            advice if usable else "",
            details={
                "name": library.name,
                "version": library.version,
                "builds_for": list(library.buildable()),
            },
        )
    ]
