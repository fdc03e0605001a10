# SPDX-License-Identifier: Apache-2.0
"""The Dockerfiles as far as they can be checked without Docker; no test builds them."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
INSTRUCTIONS = {
    *("FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "ENTRYPOINT", "CMD"),
}


def instructions(text: str) -> list[tuple[str, str]]:
    """Name and arguments of each instruction, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def dockerfile(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    return instructions(request.param.read_text())


def test_there_are_three() -> None:
    assert [path.name for path in FILES] == [
        *("cpu.Dockerfile", "gpu.Dockerfile", "jetson.Dockerfile"),
    ]
    page = (ROOT / "docs" / "tensorrt.md").read_text()
    assert all(f"docker/{path.name}" in page for path in FILES)


def test_every_line_is_an_instruction(dockerfile: list[tuple[str, str]]) -> None:
    names = [name for name, _ in dockerfile]
    assert {*names} <= INSTRUCTIONS
    assert names[0] == "FROM" and names[-2:] == ["ENTRYPOINT", "CMD"]


def test_the_base_image_is_of_one_ros_and_one_ubuntu(dockerfile: list[tuple[str, str]]) -> None:
    bases = [arguments for name, arguments in dockerfile if name == "FROM"]
    assert bases == ["ros:jazzy-ros-base-noble"]  # a tag, never latest


def test_what_is_copied_exists(dockerfile: list[tuple[str, str]]) -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied: set[str] = set()
    for name, arguments in dockerfile:
        if name != "COPY":
            continue
        *sources, target = shlex.split(arguments)
        for source in sources:
            assert (ROOT / source).exists(), source
            assert not any(fnmatch.fnmatch(source.split("/")[0], rule) for rule in ignored), source
        assert len(sources) == 1 or target.endswith("/")
        copied |= {*sources}
    # Everything that the build reads: as dev/setup.sh links it for colcon.
    linked = re.search(r'ln -s "\$root"/\{(.*?)\}', (ROOT / "dev" / "setup.sh").read_text())
    assert linked is not None
    assert {*linked[1].split(",")} <= copied


def test_what_is_run_was_copied(dockerfile: list[tuple[str, str]]) -> None:
    copied = " ".join(arguments for name, arguments in dockerfile if name == "COPY")
    used = " ".join(arguments for name, arguments in dockerfile if name in ("RUN", "ENTRYPOINT"))
    for script in {*re.findall(r"/ws/docker/(\w+\.sh)", used)}:
        assert f"docker/{script}" in copied
        assert (ROOT / "docker" / script).stat().st_mode & 0o111, f"{script} is not executable"
    commands = dict(dockerfile)
    assert json.loads(commands["ENTRYPOINT"]) == ["/ws/docker/entrypoint.sh"]
    launched = json.loads(commands["CMD"])[-1]
    assert (ROOT / "launch" / launched).is_file()


def test_tensorrt_and_cuda_python_are_of_one_cuda() -> None:
    text = (ROOT / "docker" / "gpu.Dockerfile").read_text()
    found = re.findall(
        r'(\d+)\) /ws/docker/install\.sh "tensorrt-cu(\d+)\S*" "cuda-python>=(\d+)', text
    )
    assert found == [("12",) * 3, ("13",) * 3]
    setup = (ROOT / "setup.py").read_text()
    for package in ("tensorrt-cu12>=10.3", "tensorrt-cu13>=10.13"):
        assert package in text and package in setup


@pytest.mark.parametrize("script", ["install.sh", "entrypoint.sh"])
def test_scripts_parse(script: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / "docker" / script)], check=True)
