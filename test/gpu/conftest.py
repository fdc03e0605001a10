# SPDX-License-Identifier: Apache-2.0
"""Tests of a CUDA device. Without one they are skipped, with why; so are those that run plans
without a TensorRT library."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_pose_ros.engines.tensorrt.cuda_runtime import why_no_device
from hrnet_pose_ros.engines.tensorrt.engine import why_no_tensorrt

WITHOUT_TENSORRT = "test_cuda_device.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            needs_no_plan = item.path.name == WITHOUT_TENSORRT
            missing = why_no_device(0) if needs_no_plan else why_no_tensorrt()
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))
