# SPDX-License-Identifier: Apache-2.0
"""The options of `make bench`: what is measured, and which page is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import run


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, Any]]:
    """What would be measured, as (part, numbers of persons), and the page that would be written."""
    seen: list[tuple[str, Any]] = []
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    monkeypatch.setattr(
        run, "_cpu", lambda part, weights, size, found: seen.append((part, size.persons))
    )
    monkeypatch.setattr(run, "_node", lambda size, results: seen.append(("node", size.images)))
    monkeypatch.setattr(run, "_gpu", lambda size, found: seen.append(("gpu", size.gpu_repetitions)))
    monkeypatch.setattr(run, "write_report", lambda found, page, _: seen.append(("page", page)))
    return seen


@pytest.mark.parametrize(
    ("arguments", "expected", "kept"),
    [
        ([], [*(("compact", (1, 5, 10, 20)), ("w32", (1, 5, 10, 20))), ("node", 300)], True),
        (["--quick", "--only", "w32"], [("w32", (1, 10))], False),
        (["--only", "compact", "--persons", "3", "7"], [("compact", (3, 7))], False),
    ],
)
def test_parts_and_page(
    arguments: list[str],
    expected: list[tuple[str, Any]],
    kept: bool,
    measured: list[tuple[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    run.main()
    assert measured[: len(expected)] == expected
    page = (run.ROOT / "docs" if kept else tmp_path) / "benchmarks.md"
    assert measured[-1] == ("page", page)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--persons", "0"], "--persons must be numbers from 1 on, got 0"),
        (["--only", "network"], "invalid choice: 'network'"),
    ],
)
def test_wrong_options(
    arguments: list[str],
    words: str,
    measured: list[tuple[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    with pytest.raises(SystemExit):
        run.main()
    assert words in capsys.readouterr().err
    assert measured == []
