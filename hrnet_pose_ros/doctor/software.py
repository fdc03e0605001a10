# SPDX-License-Identifier: Apache-2.0
"""Python and the libraries that everything needs."""

from __future__ import annotations

import importlib
import os
import platform
import sys

from hrnet_pose_ros.doctor.findings import Finding, Severity
from hrnet_pose_ros.version import VERSION

PYTHON = sys.version_info[:2]
# What dev/setup.sh accepts and has locks for.
OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 14)
# The first Python whose systems (Debian 13, Ubuntu 26.04) have NumPy 2; Ubuntu 24.04 has 1.26.
FIRST_WITH_NUMPY_2 = (3, 13)
# ROS 2 from apt is here; its messages and cv_bridge are compiled against the system's NumPy.
APT_PREFIX = "/opt/ros/"


def python() -> list[Finding]:
    """This package and the interpreter."""
    tested = OLDEST_PYTHON <= PYTHON <= NEWEST_PYTHON
    return [
        Finding("package", VERSION, details={"version": VERSION, "path": _package()}),
        Finding(
            "python",
            f"{platform.python_version()} ({sys.executable})",
            Severity.OK if tested else Severity.WARNING,
            "" if tested else "3.10 to 3.14 are supported; Jazzy from apt has 3.12, Lyrical 3.14",
            {"version": platform.python_version(), "executable": sys.executable},
        ),
        Finding("system", f"{_system()}, {platform.machine()}, Linux {platform.release()}"),
    ]


def numpy() -> list[Finding]:
    """NumPy, and whether it fits the ROS that is sourced."""
    try:
        version = importlib.import_module("numpy").__version__
    except Exception as error:
        wanted = "numpy<2" if PYTHON < FIRST_WITH_NUMPY_2 else "numpy>=2"
        return [_missing("numpy", error, f"pip install '{wanted}' in the node's environment")]
    clash = PYTHON < FIRST_WITH_NUMPY_2 and int(version.partition(".")[0]) >= 2 and ros_from_apt()
    return [
        Finding(
            "numpy",
            version,
            Severity.WARNING if clash else Severity.OK,
            "cv_bridge and others of the ROS that is sourced are compiled against NumPy 1: "
            "pip install 'numpy<2'"
            if clash
            else "",
            {"version": version},
        )
    ]


def opencv() -> list[Finding]:
    """OpenCV."""
    try:
        version = importlib.import_module("cv2").__version__
    except Exception as error:
        return [_missing("opencv", error, "pip install 'opencv-python-headless<5'")]
    return [Finding("opencv", version, details={"version": version})]


def ros_from_apt() -> bool:
    """Whether an installed ROS 2 is sourced, not one from wheels."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return any(prefix.startswith(APT_PREFIX) for prefix in prefixes)


def _missing(name: str, error: Exception, advice: str) -> Finding:
    return Finding(name, f"cannot be imported: {error}", Severity.ERROR, advice)


def _package() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
