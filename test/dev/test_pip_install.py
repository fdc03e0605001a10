# SPDX-License-Identifier: Apache-2.0
"""dev/pip_install.sh: where pip fails, its words say what failed and why."""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = f"Python {platform.python_version()} on {platform.machine()}"
SCRIPT = """
set -euo pipefail
die() { printf '%s\\n' "$@" >&2; exit 1; }
. dev/pip_install.sh
install_with_pip "$@"
"""


@pytest.fixture
def index(tmp_path: Path) -> str:
    """The address of one that has `thing` 1.0, and 2.0 for a Python that is yet to come."""
    folder = tmp_path / "index" / "thing"
    folder.mkdir(parents=True)
    links = []
    for version, python in (("1.0", "3.10"), ("2.0", "3.99")):
        file, info = f"thing-{version}-py3-none-any.whl", f"thing-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n"
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(folder / file, "w") as wheel:
            wheel.writestr(f"{info}/METADATA", metadata)
            wheel.writestr(f"{info}/WHEEL", tags)
            wheel.writestr(f"{info}/RECORD", "")
        links.append(f'<a href="{file}" data-requires-python="&gt;={python}">{file}</a>')
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")
    return folder.parent.as_uri()


def install(root: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """By the real pip, into a folder of the test's own."""
    log = folder / "log" / "pip.txt"
    target = ("--target", str(folder / "target"))
    return subprocess.run(
        ["bash", "-c", SCRIPT, "bash", sys.executable, str(log), *target, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_success_is_silent(root: Path, tmp_path: Path, index: str) -> None:
    done = install(root, tmp_path, "--isolated", "--index-url", index, "thing")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "target" / "thing-1.0.dist-info").is_dir()


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        # What there is for another Python only, and what there is not.
        ("thing==2.0", ["2.0 Requires-Python >=3.99", "thing==2.0 (from versions: 1.0)"]),
        ("thing==3.0", ["thing==3.0 (from versions: 1.0)"]),
    ],
)
def test_a_version_that_is_missing(
    wanted: str, words: list[str], root: Path, tmp_path: Path, index: str
) -> None:
    done = install(root, tmp_path, "--isolated", "--index-url", index, wanted)
    assert done.returncode == 1
    for word in (
        *words,
        f"was reached but does not have this version for {HERE}",
        "PYTHON=python3",
    ):
        assert word in done.stderr
    assert "network" not in done.stderr
    assert wanted in (tmp_path / "log" / "pip.txt").read_text()


def test_an_index_that_is_not_reached(root: Path, tmp_path: Path) -> None:
    closed = ("--isolated", "--index-url", "http://127.0.0.1:9/simple", "--retries", "1")
    done = install(root, tmp_path, *closed, "thing")
    assert done.returncode == 1
    assert "The package index was not reached: connection broken by" in done.stderr
    assert "Connection refused" in done.stderr and "Check the network" in done.stderr


def test_a_package_that_cannot_be_built(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "thing"
    source.mkdir()
    (source / "setup.py").write_text("raise SystemExit('zlib.h is not installed')")
    done = install(root, tmp_path, "--no-index", "--no-build-isolation", str(source))
    assert done.returncode == 1
    assert "zlib.h is not installed" in done.stderr
    assert f"{source} has no wheel for {HERE}, and could not be built" in done.stderr


def test_a_long_list_and_a_long_output_are_shortened(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "thing"
    source.mkdir()
    lines = "print('compiling\\n' * 300); raise SystemExit('no compiler')"
    (source / "setup.py").write_text(lines)
    done = install(root, tmp_path, "--no-index", "--no-build-isolation", str(source))
    assert "no compiler" in done.stderr and "…" in done.stderr
    assert len(done.stderr.splitlines()) <= 26
