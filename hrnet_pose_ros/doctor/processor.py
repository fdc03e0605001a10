# SPDX-License-Identifier: Apache-2.0
"""The processor: cores, and the instructions that make a network fast."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from hrnet_pose_ros.doctor.findings import Finding

CPUINFO = Path("/proc/cpuinfo")
# What decides about the speed of inference, by the names that the kernel has for them.
FEATURES = {
    "x86_64": ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    "aarch64": ("asimd", "asimdhp", "asimddp", "sve", "i8mm", "bf16"),
}


def processor(cpuinfo: Path = CPUINFO, machine: str = "") -> list[Finding]:
    """Model, cores, features; ``machine`` is this one's architecture where it is not said."""
    machine = machine or platform.machine()
    facts = _cpuinfo(cpuinfo)
    model = facts.get("model name") or platform.processor() or machine
    flags = set((facts.get("flags") or facts.get("Features") or "").split())
    known = FEATURES.get(machine, ())
    features = [name for name in known if name in flags]
    usable, present = len(os.sched_getaffinity(0)), os.cpu_count() or 0
    return [
        Finding("model", model),
        Finding(
            "cores",
            f"{usable} of {present} usable by this process",
            details={"usable": usable, "present": present},
        ),
        Finding("features", ", ".join(features) or "none of note", details={"features": features}),
    ]


def _cpuinfo(path: Path) -> dict[str, str]:
    """The first processor's entries."""
    facts: dict[str, str] = {}
    for line in path.read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    return facts
