# SPDX-License-Identifier: Apache-2.0
"""`make test`: every file of tests runs once, and nothing that fails is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dev.run_tests import DOMAINS, FIRST_DOMAIN, GROUPS, LOW_PRIORITY, Group, TestRun

SAYS = """
import os
def test_where():
    print("nice", os.nice(0), "domain", os.environ["HRNET_POSE_TEST_DOMAIN"])
"""
FAILS = "def test_fails():\n    assert 1 == 2\n"


@pytest.fixture(autouse=True)
def without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs below need none of those of ROS, which take a second to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def runs(group: Group, path: Path, root: Path) -> bool:
    """Whether a group runs a file."""
    chosen = {root / word for word in group.arguments(GROUPS) if not word.startswith("--")}
    ignored = {
        root / word.removeprefix("--ignore=")
        for word in group.arguments(GROUPS)
        if word.startswith("--ignore=")
    }
    places = {path, *path.parents}
    return bool(places & chosen) and not places & ignored


def test_every_file_runs_once(root: Path) -> None:
    files = sorted((root / "test").rglob("test_*.py"))
    assert len(files) > 150
    for path in files:
        groups = [group.name for group in GROUPS if runs(group, path, root)]
        assert len(groups) == 1, (path, groups)
    for group in GROUPS:
        for name in group.paths:
            assert (root / name).exists(), name


def test_tests_with_a_clock_have_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no run is heard in another's domain."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-rP")  # what a test that passes has printed
    said = {}
    groups = [
        Group("nodes", (str(tmp_path / "test_nodes.py"),), has_clock=True),
        Group("pose", (str(tmp_path / "test_pose.py"),)),
    ]
    for group in groups:
        Path(group.paths[0]).write_text(SAYS)
    assert TestRun(groups, tmp_path / "logs").run(1)
    for group in groups:
        lines = (tmp_path / "logs" / f"{group.name}.txt").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("nice ")]
        said[group.name] = [int(word) for word in line.split()[1::2]]
    assert said["nodes"][0] == os.nice(0)
    assert said["pose"][0] == min(os.nice(0) + LOW_PRIORITY, 19)
    assert said["nodes"][1] != said["pose"][1]
    assert all(FIRST_DOMAIN <= domain < FIRST_DOMAIN + DOMAINS for _, domain in said.values())
    assert "[test] passed: pose: 1 passed in " in capsys.readouterr().out


def test_a_failure_is_said_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a test, and of a run that found none; a group below another one is not run twice."""
    (tmp_path / "below").mkdir()
    (tmp_path / "test_good.py").write_text("def test_good():\n    pass\n")
    (tmp_path / "below" / "test_bad.py").write_text(FAILS)
    (tmp_path / "empty").mkdir()
    groups = [Group("whole", (str(tmp_path),)), Group("part", (str(tmp_path / "below"),))]
    groups += [Group("none", (str(tmp_path / "empty"),))]
    assert not TestRun(groups, tmp_path / "logs").run(2)
    end = capsys.readouterr().out
    assert "[test] passed: whole: 1 passed in " in end
    assert "[test] FAILED: part: 1 failed in " in end
    assert "\nFAILED " in end.split("[test] FAILED: part")[1].split("[test]")[0]
    assert "[test] FAILED: none: no tests ran in " in end
