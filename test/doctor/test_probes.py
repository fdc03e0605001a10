# SPDX-License-Identifier: Apache-2.0
"""Single probes, where the surroundings can be made up; and how a report is shown."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from hrnet_pose_ros.doctor import gpu, middleware, processor, software
from hrnet_pose_ros.doctor.findings import Finding, Level, size_text
from hrnet_pose_ros.doctor.probes import Probe, run_probe
from hrnet_pose_ros.doctor.summary import Report


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a library of that source, importable by a probe's process."""

    def fake(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    return fake


def test_a_probe_that_hangs_is_ended(fake) -> None:
    fake("cv2", "import time; time.sleep(60)")
    (finding,) = run_probe(Probe("software", "software:opencv", needed=True), timeout=1.5)
    assert finding.level is Level.ERROR and "no answer in 2 s" in finding.value


def test_a_probe_that_is_not_needed_only_warns_when_it_breaks(fake) -> None:
    fake("openvino", "import os; os.abort()")
    (finding,) = run_probe(Probe("openvino", "openvino_library:openvino"))
    assert finding.level is Level.WARNING and "SIGABRT" in finding.value


@pytest.mark.parametrize(
    ("python", "prefix", "version", "level"),
    [
        ((3, 12), "/ws/install/a:/opt/ros/jazzy", "2.2.6", Level.WARNING),
        ((3, 12), "/ws/install/a:/opt/ros/jazzy", "1.26.4", Level.OK),
        ((3, 12), "/home/someone/venv", "2.2.6", Level.OK),
        ((3, 14), "/opt/ros/lyrical", "2.3.5", Level.OK),  # compiled against NumPy 2
    ],
)
def test_numpy_beside_ros_from_apt(
    python: tuple[int, int],
    prefix: str,
    version: str,
    level: Level,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numpy

    monkeypatch.setattr(software, "PYTHON", python)
    monkeypatch.setenv("AMENT_PREFIX_PATH", prefix)
    monkeypatch.setattr(numpy, "__version__", version)
    assert software.numpy()[0].level is level


@pytest.mark.parametrize(
    ("content", "level", "words"),
    [
        (None, Level.WARNING, "No such file"),
        ("<dds", Level.WARNING, "is not XML"),
        ("<dds/>", Level.NOTE, "no shared-memory segment"),
        ("<dds xmlns='x'><segment_size>33554432</segment_size></dds>", Level.OK, "33.6 MB"),
    ],
)
def test_fast_dds_profiles(
    content: str | None, level: Level, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "profile.xml"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(path))
    (finding,) = middleware.profile()
    assert finding.level is level and words in finding.value
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE")
    assert middleware.profile()[0].value == "none is set"


@pytest.mark.parametrize(
    ("uri", "level"),
    [
        ("", Level.OK),
        ("<CycloneDDS/>", Level.OK),
        ("file:///nowhere.xml", Level.WARNING),
        ("<CycloneDDS/>,/nowhere.xml", Level.WARNING),
    ],
)
def test_cyclone_dds(uri: str, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    monkeypatch.setenv("CYCLONEDDS_URI", uri)
    assert middleware.profile()[0].level is level


def test_what_killed_processes_left_in_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(middleware, "MANY_LEFTOVERS", 2**20)
    size = 2**20
    for name in ("fastrtps_left", "fastrtps_used", "another"):
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "fastrtps_left_el").touch()
    with (tmp_path / "fastrtps_used").open("r+b") as file, mmap.mmap(file.fileno(), size):
        leftovers = middleware.shared_memory()[1]
        assert leftovers.level is Level.WARNING and "fastdds shm clean" in leftovers.advice
        assert leftovers.details == {"files": 1, "bytes": size}
    assert middleware.shared_memory()[1].details["files"] == 2
    for path in tmp_path.glob("fastrtps_*"):
        path.unlink()
    assert middleware.shared_memory()[1].level is Level.OK


def test_little_room_and_small_buffers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "LEAST_FREE", 2**60)
    assert middleware.shared_memory()[0].level is Level.WARNING
    buffer = tmp_path / "rmem_max"
    buffer.write_text("212992\n")  # the kernel's own
    monkeypatch.setattr(middleware, "RECEIVE_BUFFER", buffer)
    finding = middleware.network()[0]
    assert finding.level is Level.NOTE and "sysctl -w net.core.rmem_max=8388608" in finding.advice


def test_an_arm_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc/cpuinfo of a Jetson names no model, and calls the flags Features."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\n\nprocessor\t: 1\n")
    monkeypatch.setattr(processor, "CPUINFO", cpuinfo)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    findings = {finding.name: finding for finding in processor.processor()}
    assert findings["features"].details == {"features": ["asimd", "asimdhp", "asimddp"]}


def test_a_jetson_and_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06\nGCC version\n")
    monkeypatch.setattr(gpu, "DRIVER", driver)
    assert "580.65.06" in gpu.gpu()[0].value


def test_a_report_is_wrapped_and_coloured_only_if_asked() -> None:
    long = Finding("disk", "full " * 40, Level.ERROR, "remove what is not needed " * 8)
    report = Report({"machine": [Finding("cores", "2"), long]})
    text = report.text(width=60)
    assert max(map(len, text.splitlines()[:-1])) <= 60 and "\033" not in text
    assert "\033[31;1mERROR\033[0m" in report.text(width=60, colour=True)
    assert not report.can_run and report.code(strict=False) == 1
    assert Report({"machine": [Finding("a", "b", Level.WARNING)]}).code(strict=True) == 1
    assert Finding.from_json(long.to_json()) == long


@pytest.mark.parametrize(
    ("size", "text"), [(12, "12 B"), (34_000, "34.0 kB"), (17e9, "17.0 GB"), (2.5e6, "2.5 MB")]
)
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text
