# SPDX-License-Identifier: Apache-2.0
"""The demo of fleets with shorter drives: two fleets, a page, and what it has to say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from demo.fleet import run


def test_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "IMAGES", 3)
    output = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["run.py", "--output", str(output), "--jobs", "1"])
    assert run.main() == 0
    assert f"open {output / 'report' / 'report.html'}" in capsys.readouterr().out
    lines = (output / "report" / "bags.jsonl").read_text().splitlines()
    rows = {row["bag"]: row for row in map(json.loads, lines)}
    assert len(rows) == len(run.DRIVES)
    unreadable = rows.pop("drives/gate/unreadable")
    assert unreadable["state"] == "both failed"
    assert {row["state"] for row in rows.values()} == {"compared"}
    assert "truncated" in rows["drives/yard/power_loss"]["candidate_loss"]
    page = (output / "report" / "report.html").read_text()
    for said in ("By light", "By site", "parameter flip_test", "min_detection_score"):
        assert said in page
