# SPDX-License-Identifier: Apache-2.0
"""dev/setup.sh: one clear line where the machine lacks something, silence where all is done."""

from __future__ import annotations

import os
import subprocess
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


def test_a_python_out_of_range(root: Path, tmp_path: Path) -> None:
    python = program(tmp_path, "python3.9", '[ "$1" = --version ] && echo Python 3.9.2; exit 1')
    done = set_up(root, PYTHON=str(python))
    assert done.returncode == 1
    assert "Python 3.10 to 3.12 is needed" in done.stderr
    assert "Python 3.9.2" in done.stderr and "PYTHON=python3.12" in done.stderr


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
