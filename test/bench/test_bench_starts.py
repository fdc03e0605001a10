# SPDX-License-Identifier: Apache-2.0
"""The cost of choosing streams, measured in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.models import COMPACT
from bench.starts import start_rows, start_table

MODELS = Path(__file__).resolve().parents[2] / "models"


def test_one_start_of_each() -> None:
    rows = list(start_rows(COMPACT, MODELS / f"{COMPACT}.onnx", "float32", starts=1))
    assert [row.streams for row in rows] == [1, 0]
    assert rows[0].chosen == "one stream (1 of 1)"
    assert "stream" in rows[1].chosen
    for row in rows:
        assert row.ready_s.median > 0 and row.resident_mb.median > 50
    assert len(start_table(rows).splitlines()) == 4


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"bench\.starts .*none\.onnx.*failed: .*no model"):
        list(start_rows("m", tmp_path / "none.onnx", "float32", starts=1))
