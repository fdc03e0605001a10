# SPDX-License-Identifier: Apache-2.0
"""Tests that run plans. Without a CUDA device and a TensorRT library they are skipped, with why."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_pose_ros.engines.tensorrt.engine import why_no_tensorrt


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = why_no_tensorrt()
    if missing:
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=missing))
