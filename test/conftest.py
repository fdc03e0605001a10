# SPDX-License-Identifier: Apache-2.0
"""Fixtures for all tests. ROS is kept to this machine and to a domain of this run's own."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

# Before any library reads it. Threads of OpenMP that wait for each other keep the processor busy:
# where other processes need it as well, as in `make test`, a training takes ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
# Several runs at a time have numbers of their own (dev/run_tests.py).
os.environ["ROS_DOMAIN_ID"] = os.environ.get("HRNET_POSE_TEST_DOMAIN", str(20 + os.getpid() % 60))
# Models that the user of this machine has fetched play no part.
os.environ["XDG_DATA_HOME"] = str(ROOT / ".dev" / "no_user_data")
os.environ.setdefault(
    "FASTRTPS_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds_shared_memory.xml")
)

# How long a machine takes is no property of the code.
with contextlib.suppress(ImportError):
    import hypothesis

    hypothesis.settings.register_profile(
        "any_machine",
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("any_machine")

# Hypothesis also tries the constants of modules that it takes for ours. PyTorch's are none of them,
# though it lies beside (.dev/torch): to read its sources takes a process 15 s the first time.
with contextlib.suppress(ImportError, AttributeError):
    from hypothesis.internal.conjecture import providers

    _takes_for_ours = providers.is_local_module_file
    providers.is_local_module_file = lambda path: "/.dev/" not in path and _takes_for_ours(path)

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
    "fleet",
)
# Libraries for which there is no rosdep key. A module must not skip itself when it is imported:
# launch_testing's plugin imports every module, and a skip there ends the whole collection.
OPTIONAL = (
    *("torch", "onnx", "onnxruntime", "nncf", "cuda", "matplotlib", "tensorrt_rtx"),
    *("fsspec", "pyarrow"),
)


def _imported(path: Path, seen: set[Path]) -> set[str]:
    """The libraries that a module needs to be imported; those of helper modules as well."""
    if path in seen:
        return set()
    seen.add(path)
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            inside = Path(*name.split(".")).with_suffix(".py")
            own = [
                place for place in (ROOT / "test" / "support", ROOT) if (place / inside).exists()
            ]
            found |= _imported(own[0] / inside, seen) if own else {name.partition(".")[0]}
    return found


def _left_out() -> list[str]:
    """The files and folders that cannot be run without the libraries that are missing here."""
    missing = {name for name in OPTIONAL if importlib.util.find_spec(name) is None}
    if not missing or os.environ.get("HRNET_POSE_ALL_TESTS"):
        return []
    names = list(NEED_TORCH) if "torch" in missing else []
    here = ROOT / "test"
    for path in sorted(here.rglob("test_*.py")):
        if _imported(path, set()) & missing:
            names.append(str(path.relative_to(here)))
    return names


collect_ignore: list[str] = _left_out()


def pytest_report_header() -> str:
    if not collect_ignore:
        return ""
    return f"not collected, because libraries are missing: {', '.join(collect_ignore)}"


def _let_our_log_through() -> None:
    """Make the package's loggers propagate, which `caplog` needs, whatever plugins are loaded.

    ``launch.logging`` replaces the class of all new loggers by one that does not propagate, and a
    full ROS 2 installation loads it with launch_testing's plugin.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("launch.logging")  # now, so that it is not later
    logging.root.setLevel(logging.WARNING)  # as it is without launch, which takes INFO
    former: Any = logging.getLoggerClass()

    class PropagatingLogger(former):
        def __init__(self, name: str, *arguments: Any) -> None:
            super().__init__(name, *arguments)
            if name.partition(".")[0] in ("hrnet_pose_ros", "bench", "demo"):
                self.propagate = True

    logging.setLoggerClass(PropagatingLogger)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("hrnet_pose_ros") and isinstance(logger, logging.Logger):
            logger.propagate = True


_let_our_log_through()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def street_frames() -> list[np.ndarray]:
    """A few RGB frames [576, 768, 3] of the bundled clip."""
    from street import clip_frames

    return [frame for _, frame in clip_frames(range(0, 125, 25))]


@pytest.fixture(scope="session")
def fault_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated drive in which every sensor dies and returns (fault_drive.py), as a bag."""
    from fault_drive import write_drive

    return write_drive(tmp_path_factory.mktemp("fault_drive") / "bag")


@pytest.fixture(scope="session")
def fused_drive(fault_bag: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The people of that drive as the offline run writes them, and its result."""
    from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
    from hrnet_pose_ros.replay.fuse import fuse

    path = tmp_path_factory.mktemp("fused_drive") / "bag"
    return path, fuse([fault_bag], path, PersonFusionSettings())
