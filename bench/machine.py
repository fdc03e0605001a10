# SPDX-License-Identifier: Apache-2.0
"""Describes the machine that the benchmark runs on."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable
from importlib import metadata

from bench.rows import markdown
from hrnet_pose_ros.doctor.processor import processor
from hrnet_pose_ros.doctor.software import python
from hrnet_pose_ros.version import VERSION

# Libraries that affect the measurements, by their pip names.
LIBRARIES = ("numpy", "opencv-python-headless", "openvino", "onnxruntime", "torch", "nncf")


def machine_table() -> str:
    """Processor, cores, memory, system, versions and date as a table in Markdown."""
    found = {finding.name: finding.value for finding in [*processor(), *python()]}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = [f"hrnet_pose_ros {VERSION}", f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return markdown(
        ("machine", ""),
        [
            ("processor", found["model"]),
            ("cores", found["cores"]),
            ("features", found["features"]),
            ("memory", f"{memory / 2**30:.1f} GiB"),
            ("system", found["system"]),
            ("versions", ", ".join(versions)),
            ("date", datetime.datetime.now(datetime.timezone.utc).date().isoformat()),
        ],
    )


def has_amx(features: Iterable[str] | None = None) -> bool:
    """Whether a processor supports AMX, matrix multiplication in hardware.

    ``features`` are feature flags as named by the kernel; None: the processor of this machine.
    """
    if features is None:
        features = next(f.details["features"] for f in processor() if f.name == "features")
    return any(name.startswith("amx_") for name in features)
