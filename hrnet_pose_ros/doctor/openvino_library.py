# SPDX-License-Identifier: Apache-2.0
"""OpenVINO and its devices."""

from __future__ import annotations

import importlib

from hrnet_pose_ros.doctor.findings import Finding, Severity


def openvino() -> list[Finding]:
    """Version, devices, what the processor computes in."""
    try:
        library = importlib.import_module("openvino")
    except Exception as error:
        advice = "pip install openvino; without it nothing stands in for a GPU (parameter fallback)"
        return [Finding("openvino", f"cannot be imported: {error}", Severity.WARNING, advice)]
    version = str(library.__version__)
    findings = [Finding("openvino", version, details={"version": version})]
    core = library.Core()
    for device in core.available_devices:
        name = str(core.get_property(device, "FULL_DEVICE_NAME")).strip()
        able = sorted(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
        used = device == "CPU"
        findings.append(
            Finding(
                device.lower(),
                f"{name}: {', '.join(able)}" + ("" if used else " (not used)"),
                Severity.OK if used else Severity.NOTE,
                "",
                {"name": name, "capabilities": able},
            )
        )
    return findings
