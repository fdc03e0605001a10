# SPDX-License-Identifier: Apache-2.0
"""The kernels that TensorRT for RTX compiles when a plan is loaded, kept beside the plan.

Without them it compiles at every start, and whenever an engine is made again. They are code, as the
plan is, and are trusted by the same rule.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from hrnet_pose_ros.engines.tensorrt.cuda_runtime import CudaDevice
from hrnet_pose_ros.engines.tensorrt.library import TensorRt
from hrnet_pose_ros.engines.tensorrt.plan_files import MODE, PlanRefused, read_file
from hrnet_pose_ros.files import write_file

KERNELS = ".kernels"

_log = logging.getLogger(__name__)


class KernelCache:
    """The file for a plan on a device; does nothing with a library that compiles none."""

    def __init__(self, library: TensorRt, plan: Path | None, device: CudaDevice) -> None:
        """``plan`` is the plan's path, None where it is not kept: then the kernels are not."""
        self.path: Path | None = None
        if plan is not None and library.compiles_on_load:
            facts = f"{device.name} {device.compute_capability} {device.multiprocessors}"
            gpu = hashlib.sha256(facts.encode()).hexdigest()[:8]
            self.path = plan.with_name(f"{plan.stem}_{gpu}{KERNELS}")

    def read(self) -> bytes:
        """The kernels; empty where there are none or others could have written them."""
        if self.path is None or not self.path.exists():
            return b""
        try:
            return read_file(self.path)
        except PlanRefused as error:
            _log.warning("compiled kernels are not used: %s", error)
            return b""

    def write(self, kernels: bytes) -> None:
        """Keep them, where they are others than the kept ones; a folder that cannot be written is
        no error."""
        if self.path is None or not kernels:
            return
        try:
            if self.path.exists() and read_file(self.path) == kernels:
                return
        except PlanRefused:
            pass  # replaced by ours, where we may
        try:
            write_file(self.path, kernels, mode=MODE)
        except OSError as error:
            _log.warning(
                "the compiled kernels cannot be kept in '%s' (%s): they are compiled at every "
                "start",
                self.path,
                error.strerror,
            )
