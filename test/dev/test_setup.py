# SPDX-License-Identifier: Apache-2.0
"""dev/setup.sh: one clear line where the machine lacks something, silence where all is done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def set_up(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as from a shell in which nothing is sourced."""
    sourced = ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "PYTHON")
    clean = {name: value for name, value in os.environ.items() if name not in sourced}
    return subprocess.run(
        [str(root / "dev" / "setup.sh"), "run"],
        capture_output=True,
        text=True,
        timeout=120,
        env=clean | environment,
    )


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_compiler_that_is_missing(root: Path) -> None:
    done = set_up(root, CXX="no-such-compiler")
    assert done.returncode == 1
    assert "no C++ compiler (no-such-compiler)" in done.stderr and "apt install g++" in done.stderr


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("Python 3.9.2 (default, Feb 28 2021, 17:03:44)", "Python 3.9.2."),
        ("Python 3.15.0a1 (main, Oct 14 2025, 10:00:00)", "Python 3.15.0a1."),
        ("Python 3.14.0 free-threading build (main, Oct 7 2025)", "3.14.0 free-threading build."),
    ],
)
def test_a_python_that_does_not_fit(words: str, shown: str, root: Path, tmp_path: Path) -> None:
    python = program(tmp_path, "python3.x", f'[ "$1" = -VV ] && echo "{words}"; exit 1')
    done = set_up(root, PYTHON=str(python))
    assert done.returncode == 1
    assert "Python 3.10 to 3.14 is needed" in done.stderr
    assert shown in done.stderr and "PYTHON=python3.12" in done.stderr


def test_a_sourced_ros_of_another_python(root: Path, tmp_path: Path) -> None:
    """Wheels beside it would find the modules of that ROS first."""
    (tmp_path / "rclpy.py").write_text("raise ImportError('no _rclpy_pybind11 for this Python')")
    done = set_up(
        root,
        AMENT_PREFIX_PATH="/opt/ros/jazzy",
        ROS_DISTRO="jazzy",
        PYTHON=sys.executable,
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == 1
    assert f"ROS 2 jazzy is sourced, but {sys.executable} (python3." in done.stderr
    assert "no _rclpy_pybind11 for this Python" in done.stderr
    assert "PYTHON=/usr/bin/python3" in done.stderr


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("[ $1 = -m ] && echo aarch64 || echo Linux", "this machine is aarch64"),
        ("[ $1 = -m ] && echo x86_64 || echo Darwin", "this is Darwin"),
    ],
)
def test_a_machine_without_wheels(root: Path, tmp_path: Path, script: str, words: str) -> None:
    program(tmp_path, "uname", script)
    done = set_up(root, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


def test_what_is_done_is_not_done_again(root: Path) -> None:
    """From a shell that has sourced dev/env.sh, as this one."""
    done = subprocess.run(
        [str(root / "dev" / "setup.sh"), "run"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
