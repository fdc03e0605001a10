# SPDX-License-Identifier: Apache-2.0
"""dev/requirements: each lock pins what its .in file asks for, once, for every Python accepted."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from hrnet_pose_ros.doctor import software

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "dev" / "requirements"
PYTHONS = [f"3.{minor}" for minor in range(10, 15)]
SOURCES = {
    "run": LOCKS / "run.in",
    "ros": LOCKS / "ros.in",
    "test": LOCKS / "test.in",
    "torch": LOCKS / "torch.in",
    "train": LOCKS / "train.in",
    "vehicle": ROOT / "requirements-vehicle.txt",
    "test-vehicle": LOCKS / "test.in",
}


@cache
def requirements(path: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def applying(path: Path, python: str, machine: str) -> list[Requirement]:
    """Those that pip takes on a Linux machine with that Python."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_python_implementation": "CPython",
    }
    return [
        one
        for one in requirements(path)
        if one.marker is None or one.marker.evaluate(dict(environment))
    ]


def pins(path: Path, python: str, machine: str) -> dict[str, Version]:
    found: dict[str, Version] = {}
    for one in applying(path, python, machine):
        (specifier,) = one.specifier
        assert specifier.operator == "=="
        name = canonicalize_name(one.name)
        assert name not in found, f"{path.name} pins {name} twice for Python {python}"
        found[name] = Version(specifier.version)
    return found


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", SOURCES)
def test_what_is_asked_for_is_pinned_once(name: str, python: str, machine: str) -> None:
    pinned = pins(LOCKS / f"{name}.lock", python, machine)
    for asked in applying(SOURCES[name], python, machine):
        assert pinned[canonicalize_name(asked.name)] in asked.specifier


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    "together",
    [("run", "ros", "test"), ("run", "test", "torch"), ("vehicle", "test-vehicle", "torch")],
)
def test_locks_of_one_environment_agree(together: tuple[str, ...], python: str) -> None:
    all_pins: dict[str, Version] = {}
    for name in together:
        for package, version in pins(LOCKS / f"{name}.lock", python, "x86_64").items():
            assert all_pins.setdefault(package, version) == version, package


@pytest.mark.parametrize(
    ("python", "series"),
    [("3.10", "1.26"), ("3.12", "1.26"), ("3.13", "2.2"), ("3.14", "2.3")],
)
def test_a_vehicle_keeps_to_its_systems_numpy(python: str, series: str) -> None:
    """A ROS 2 is compiled against it (Ubuntu 24.04: 1.26, Debian 13: 2.2, Ubuntu 26.04: 2.3)."""
    for lock in ("vehicle.lock", "test-vehicle.lock"):
        version = pins(LOCKS / lock, python, "aarch64")["numpy"]
        assert f"{version.major}.{version.minor}" == series


def test_the_range_is_the_same_everywhere() -> None:
    oldest, newest = PYTHONS[0].split("."), PYTHONS[-1].split(".")
    assert (*map(int, oldest),) == software.OLDEST_PYTHON
    assert (*map(int, newest),) == software.NEWEST_PYTHON
    setup = (ROOT / "dev" / "setup.sh").read_text()
    assert f"({', '.join(oldest)}) <= sys.version_info[:2] <= ({', '.join(newest)})" in setup
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]} is needed" in setup
    loop = re.search(r"for version in (.*); do", (LOCKS / "lock.sh").read_text())
    assert loop is not None and loop[1].split() == PYTHONS
    classifiers = re.search(
        r"3\.\{minor\}.* range\((\d+), (\d+)\)", (ROOT / "setup.py").read_text()
    )
    assert classifiers is not None
    assert [f"3.{minor}" for minor in range(int(classifiers[1]), int(classifiers[2]))] == PYTHONS
