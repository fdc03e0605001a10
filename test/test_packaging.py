# SPDX-License-Identifier: Apache-2.0
"""Both ways to install: pip (the parts without ROS) and colcon (everything)."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_prefix
from catkin_pkg import changelog, package

from hrnet_pose_ros.version import VERSION

# Answers where a bundled file is found, and reads one of each kind.
FIND_BUNDLED = """
from hrnet_pose_ros.model_files.find import find_model
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.zoo import read_zoo
print(find_model("hrnetv2_w24_small", ".onnx").path)
print(find_model("hrnetv2_w24_small", ".pth").path)
assert load_check_crops().shape == (8, 256, 192, 3)
assert "hrnetv2_w24_small" in read_zoo()
"""


@dataclass(frozen=True)
class PipInstallation:
    """A fresh virtual environment with the package, and nothing of the repository on its path."""

    folder: Path
    package: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, outside the repository and without ROS."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"PYTHONPATH", "AMENT_PREFIX_PATH", "VIRTUAL_ENV", "PYTHONHOME"}
        }
        return subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )


def tracked_files(root: Path, folder: str) -> list[Path]:
    """The files of a folder that git knows, or all of them where this is no git checkout."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", folder], capture_output=True, text=True
    )
    names = [name for name in listed.stdout.split("\0") if name] if not listed.returncode else []
    if not names:
        every = (root / folder).rglob("*")
        return [
            path.relative_to(root) for path in every if path.is_file() and path.suffix != ".pyc"
        ]
    return [Path(name) for name in names if (root / name).is_file()]


@pytest.fixture(scope="module")
def pip_installation(root: Path, tmp_path_factory: pytest.TempPathFactory) -> PipInstallation:
    """Build and install from a copy: a build leaves its traces in the source folder."""
    setuptools_version = importlib.import_module("setuptools").__version__
    if int(setuptools_version.split(".")[0]) < 71 and importlib.util.find_spec("wheel") is None:
        pytest.skip("building needs setuptools from 71 on, or wheel")
    source = tmp_path_factory.mktemp("source")
    for name in ("hrnet_pose_ros", "models", "config", "msg", "dev/vision_msgs/msg"):
        shutil.copytree(
            root / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for name in ("setup.py", "pyproject.toml", "package.xml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(root / name, source / name)

    folder = tmp_path_factory.mktemp("installation") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [site_packages] = folder.glob("lib/python3*/site-packages")
    # The running environment's NumPy, OpenCV, OpenVINO and setuptools, without this package.
    reachable = [
        path
        for path in sys.path
        if path.endswith(("site-packages", "dist-packages"))
        and not (Path(path) / "hrnet_pose_ros").exists()
    ]
    (site_packages / "running_environment.pth").write_text("\n".join(reachable) + "\n")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-input", "--quiet"]
    pip = [sys.executable, "-m", "pip", "--python", str(folder), "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "install", *options, "--force-reinstall", str(source)],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return PipInstallation(folder, site_packages / "hrnet_pose_ros")


def test_command_of_pip(pip_installation: PipInstallation) -> None:
    done = pip_installation.run("hrnet_pose", "--version")
    assert (done.returncode, done.stdout) == (0, f"hrnet_pose {VERSION}\n"), done.stderr


@pytest.mark.parametrize("place", ["bin", "lib/hrnet_pose_ros"])
def test_command_of_colcon(place: str, tmp_path: Path) -> None:
    command = Path(get_package_prefix("hrnet_pose_ros"), place, "hrnet_pose")
    done = subprocess.run(
        [str(command), "--version"], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, f"hrnet_pose {VERSION}\n"), done.stderr


def test_pip_brings_the_models(pip_installation: PipInstallation) -> None:
    done = pip_installation.run("python", "-c", FIND_BUNDLED)
    assert done.returncode == 0, done.stderr
    models = pip_installation.package / "models"
    assert done.stdout.split() == [str(models / f"hrnetv2_w24_small{s}") for s in (".onnx", ".pth")]
    assert (models / "hrnetv2_w24_small.md").is_file()


def test_pip_brings_the_recipes(root: Path, pip_installation: PipInstallation) -> None:
    recipes = sorted(path.stem for path in (root / "config" / "training").glob("*.yaml"))
    program = "from hrnet_pose_ros.training.config import find_config, read_config\n"
    program += f"for name in {recipes}: print(read_config(find_config(name)) and find_config(name))"
    done = pip_installation.run("python", "-c", program)
    assert done.returncode == 0, done.stderr
    folder = pip_installation.package / "recipes"
    assert done.stdout.split() == [str(folder / f"{name}.yaml") for name in recipes]


def test_pip_brings_the_scenarios(root: Path, pip_installation: PipInstallation) -> None:
    """And the table of errors: a simulation runs."""
    names = sorted(path.stem for path in (root / "config" / "simulation").glob("*.yaml"))
    done = pip_installation.run("hrnet_pose", "simulate", "--list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == names, done.stderr
    options = ["--duration", "0.2", "--sensors", "camera,imu"]
    done = pip_installation.run("hrnet_pose", "simulate", "parked", "-o", "bag", *options)
    assert done.returncode == 0, done.stderr


def test_extras_named_in_messages_exist(root: Path, pip_installation: PipInstallation) -> None:
    named = {
        extra
        for path in (root / "hrnet_pose_ros").rglob("*.py")
        for extra in re.findall(r"hrnet_pose_ros\[([\w-]+)\]", path.read_text())
    }
    [metadata] = pip_installation.package.parent.glob("hrnet_pose_ros-*.dist-info/METADATA")
    offered = set(re.findall(r"^Provides-Extra: ([\w-]+)$", metadata.read_text(), re.M))
    assert named <= offered
    assert offered == {
        *("openvino", "torch", "int8", "fetch", "coco", "plots", "train", "fleet", "ray"),
        *("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx"),
    }


def test_pip_brings_every_module(root: Path, pip_installation: PipInstallation) -> None:
    def modules(package: Path) -> set[str]:
        return {path.relative_to(package).as_posix() for path in package.rglob("*.py")}

    assert modules(pip_installation.package) == modules(root / "hrnet_pose_ros"), (
        "list every sub-package in setup.py"
    )


def test_pip_brings_the_message_definitions(root: Path, pip_installation: PipInstallation) -> None:
    for folder, source in (("msg", "msg"), ("vision_msgs", "dev/vision_msgs/msg")):
        brought = {path.name for path in (pip_installation.package / folder).glob("*.msg")}
        assert brought == {path.name for path in (root / source).glob("*.msg")}
    done = pip_installation.run("hrnet_pose", "bag-info", str(root / "demo" / "street_bag"))
    assert done.returncode == 0, done.stderr
    code = "from hrnet_pose_ros.replay.bags import message_types; message_types()"
    done = pip_installation.run("python", "-c", code)
    assert done.returncode == 0, done.stderr


def test_colcon_brings_every_file(root: Path) -> None:
    prefix = Path(get_package_prefix("hrnet_pose_ros"))
    [package] = prefix.glob("lib/python3*/site-packages/hrnet_pose_ros")
    share = prefix / "share" / "hrnet_pose_ros"
    installed = {path: package.parent / path for path in tracked_files(root, "hrnet_pose_ros")}
    for folder in ("launch", "config", "models"):
        installed |= {path: share / path for path in tracked_files(root, folder)}
    missing = [str(path) for path, place in installed.items() if not place.is_file()]
    assert not missing, "run 'dev/setup.sh test' (colcon build) again"
    stale = [
        str(p) for p, place in installed.items() if place.read_bytes() != (root / p).read_bytes()
    ]
    assert not stale, "the install space is older than the sources: run 'dev/setup.sh test' again"


def test_one_version(root: Path) -> None:
    """Also in the changelog, whose form is the one that bloom and catkin tools read."""
    assert ElementTree.parse(root / "package.xml").findtext("version") == VERSION
    assert yaml.safe_load((root / "CITATION.cff").read_text())["version"] == VERSION
    changes = changelog.get_changelog_from_path(str(root))
    released = [version for version, _, _ in changes.foreach_version()]  # the newest first
    text = (root / "CHANGELOG.rst").read_text()
    _, forthcoming, unreleased = text.partition("\nForthcoming\n-----------\n")
    assert VERSION in (unreleased if forthcoming else released[0])


def test_people_and_addresses(root: Path) -> None:
    """What index.ros.org shows."""
    manifest = package.parse_package(str(root))
    manifest.validate()
    assert manifest.authors and manifest.maintainers
    assert {url.type for url in manifest.urls} == {"website", "repository", "bugtracker"}
    assert all(url.url.startswith("https://") for url in manifest.urls)
    addresses = [person.email for person in (*manifest.authors, *manifest.maintainers)]
    assert not [address for address in addresses if address.endswith((".invalid", ".example"))]
