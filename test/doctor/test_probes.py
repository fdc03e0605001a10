# SPDX-License-Identifier: Apache-2.0
"""Single probes, where the surroundings can be made up; and how a report is shown."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from hrnet_pose_ros.doctor import gpu, middleware, processor, software
from hrnet_pose_ros.doctor.findings import Finding, Severity, size_text
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
    assert finding.level is Severity.ERROR and "no answer in 2 s" in finding.value


def test_a_probe_that_is_not_needed_only_warns_when_it_breaks(fake) -> None:
    fake("openvino", "import os; os.abort()")
    (finding,) = run_probe(Probe("openvino", "openvino_library:openvino"))
    assert finding.level is Severity.WARNING and "SIGABRT" in finding.value


@pytest.mark.parametrize(
    ("python", "prefix", "version", "level"),
    [
        ((3, 12), "/ws/install/a:/opt/ros/jazzy", "2.2.6", Severity.WARNING),
        ((3, 12), "/ws/install/a:/opt/ros/jazzy", "1.26.4", Severity.OK),
        ((3, 12), "/home/someone/venv", "2.2.6", Severity.OK),
        ((3, 14), "/opt/ros/lyrical", "2.3.5", Severity.OK),  # compiled against NumPy 2
    ],
)
def test_numpy_beside_ros_from_apt(
    python: tuple[int, int],
    prefix: str,
    version: str,
    level: Severity,
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
        (None, Severity.WARNING, "No such file"),
        ("<dds", Severity.WARNING, "is not XML"),
        ("<dds/>", Severity.NOTE, "no shared-memory segment"),
        ("<dds xmlns='x'><segment_size>33554432</segment_size></dds>", Severity.OK, "33.6 MB"),
    ],
)
def test_fast_dds_profiles(
    content: str | None,
    level: Severity,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
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
        ("", Severity.OK),
        ("<CycloneDDS/>", Severity.OK),
        ("file:///nowhere.xml", Severity.WARNING),
        ("<CycloneDDS/>,/nowhere.xml", Severity.WARNING),
    ],
)
def test_cyclone_dds(uri: str, level: Severity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    monkeypatch.setenv("CYCLONEDDS_URI", uri)
    assert middleware.profile()[0].level is level


def test_what_killed_processes_left_in_shared_memory(tmp_path: Path) -> None:
    size = 2**20

    def leftovers_there() -> Finding:
        return middleware.shared_memory(tmp_path, many_left=size)[1]

    for name in ("fastrtps_left", "fastrtps_used", "another"):
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "fastrtps_left_el").touch()
    with (tmp_path / "fastrtps_used").open("r+b") as file, mmap.mmap(file.fileno(), size):
        leftovers = leftovers_there()
        assert leftovers.level is Severity.WARNING and "fastdds shm clean" in leftovers.advice
        assert leftovers.details == {"files": 1, "bytes": size}
    assert leftovers_there().details["files"] == 2
    for path in tmp_path.glob("fastrtps_*"):
        path.unlink()
    assert leftovers_there().level is Severity.OK


def test_little_room_and_small_buffers(tmp_path: Path) -> None:
    assert middleware.shared_memory(tmp_path, least_free=2**60)[0].level is Severity.WARNING
    buffer = tmp_path / "rmem_max"
    buffer.write_text("212992\n")  # the kernel's own
    finding = middleware.network(buffer)[0]
    assert (
        finding.level is Severity.NOTE and "sysctl -w net.core.rmem_max=8388608" in finding.advice
    )


def test_an_arm_processor(tmp_path: Path) -> None:
    """/proc/cpuinfo of a Jetson names no model, and calls the flags Features."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\n\nprocessor\t: 1\n")
    findings = {one.name: one for one in processor.processor(cpuinfo, "aarch64")}
    assert findings["features"].details == {"features": ["asimd", "asimdhp", "asimddp"]}


def test_a_jetson_and_a_driver(tmp_path: Path) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06\nGCC version\n")
    assert "580.65.06" in gpu.gpu([driver])[0].value
    assert gpu.gpu([tmp_path / "none"])[0].value == "none of NVIDIA's"


def test_a_report_is_wrapped_and_coloured_only_if_asked() -> None:
    long = Finding("disk", "full " * 40, Severity.ERROR, "remove what is not needed " * 8)
    report = Report({"machine": [Finding("cores", "2"), long]})
    text = report.text(width=60)
    assert max(map(len, text.splitlines()[:-1])) <= 60 and "\033" not in text
    assert "\033[31;1mERROR\033[0m" in report.text(width=60, colour=True)
    assert not report.can_run and report.code(strict=False) == 1
    assert Report({"machine": [Finding("a", "b", Severity.WARNING)]}).code(strict=True) == 1
    assert Finding.from_json(long.to_json()) == long


@pytest.mark.parametrize(
    ("size", "text"), [(12, "12 B"), (34_000, "34.0 kB"), (17e9, "17.0 GB"), (2.5e6, "2.5 MB")]
)
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text
