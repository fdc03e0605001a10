# SPDX-License-Identifier: Apache-2.0
"""Fixtures for all tests. ROS is kept to this machine and to a domain of this run's own."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(20 + os.getpid() % 60)
# Models that the user of this machine has fetched play no part.
os.environ["XDG_DATA_HOME"] = str(ROOT / ".dev" / "no_user_data")
os.environ.setdefault(
    "FASTRTPS_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds_shared_memory.xml")
)

# A vehicle has no torch, nor the libraries of evaluation: `colcon test` leaves these out there.
# `make test` has them and wants all.
NEED_TORCH = (
    "coco",
    "network",
    "training",
    "demo",
    "engines/test_choose_engine.py",
    "engines/test_engine_equality.py",
    "engines/test_make_engine.py",
    "engines/test_openvino_engine.py",
    "engines/tensorrt/test_plan_build.py",
    "engines/test_torch_engine.py",
    "cli",
    "skeletons",
)
collect_ignore: list[str] = []
if importlib.util.find_spec("torch") is None and not os.environ.get("HRNET_POSE_ALL_TESTS"):
    collect_ignore += NEED_TORCH


def pytest_report_header() -> str:
    return f"without torch, not collected: {', '.join(collect_ignore)}" if collect_ignore else ""


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def street_frames() -> list[np.ndarray]:
    """A few RGB frames [576, 768, 3] of the bundled clip."""
    from street import clip_frames

    return [frame for _, frame in clip_frames(range(0, 125, 25))]
