# SPDX-License-Identifier: Apache-2.0
"""The rows of the CPU: that all contenders compute the same, and a small run from end to end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime  # noqa: F401  conftest.py: without it, this file is left out
import pytest

from bench.contenders import Contender, OnnxRuntimeEngine
from bench.cpu import BASELINE, CpuResults, CpuRow, automatic, contenders, cpu_rows, cpu_table
from bench.models import BenchModel
from bench.rows import Spread, scene
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine
from hrnet_pose_ros.engines.precision_check import load_check_crops
from hrnet_pose_ros.model_files.model_file import ModelFile

MODELS = Path(__file__).resolve().parents[2] / "models"
MODEL = BenchModel(
    "hrnetv2_w24_small",
    MODELS / "hrnetv2_w24_small.onnx",
    MODELS / "hrnetv2_w24_small.pth",
    seeded=False,
    int8=None,
    why_no_int8="not made here",
)


@pytest.fixture(scope="module")
def compared() -> Iterator[list[Contender]]:
    """All but PyTorch, whose engine has its own tests: those of a machine without it."""
    skipped: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)  # an import of it raises ImportError
        found = contenders(MODEL, skipped)
    assert "hrnetv2_w24_small, OpenVINO int8: not made here" in skipped
    assert "hrnetv2_w24_small, PyTorch float32: PyTorch cannot be imported" in skipped[-1]
    # Each contender is in the table or among those left out; which depends on the processor.
    names = {contender.name for contender in found}
    names |= {line.split(":")[0].removeprefix(f"{MODEL.name}, ") for line in skipped}
    assert names >= {"OpenVINO float32", "OpenVINO bfloat16", "OpenVINO int8", BASELINE}
    yield found
    for contender in found:
        contender.engine.close()


def test_the_loop_computes_the_same(compared: list[Contender]) -> None:
    crops = load_check_crops()[:2]
    expected = OpenVinoEngine(ModelFile.read(MODEL.onnx), precision="float32").heatmaps(crops)
    seen = []
    for contender in compared:
        if contender.engine.info.precision == "float32":
            seen.append(contender.name)
            # The equality of engines, docs/architecture.md.
            np.testing.assert_allclose(contender.engine.heatmaps(crops), expected, atol=1e-4)
    assert {"OpenVINO float32", BASELINE} <= set(seen)


def test_one_by_one_is_one_crop_a_call() -> None:
    calls: list[int] = []

    class Noted(OnnxRuntimeEngine):
        def _run(self, crops: np.ndarray) -> np.ndarray:
            calls.append(len(crops))
            return super()._run(crops)

    engine = Noted(ModelFile.read(MODEL.onnx))
    frame, boxes = scene(3, (640, 480))
    for work in (Contender("", engine, True).estimate, Contender("", engine, True).steps):
        work(frame, boxes)
        assert calls == [1, 1, 1]
        calls.clear()


def test_a_small_run(compared: list[Contender]) -> None:
    rows = list(cpu_rows(MODEL.name, compared, [1], rounds=2))
    assert [row.contender for row in rows] == [contender.name for contender in compared]
    today = next(row for row in rows if row.contender == BASELINE)
    assert today.ratio == 1 and today.one_by_one
    for row in rows:
        assert row.ratio == pytest.approx(today.whole.median / row.whole.median)
        assert row.whole.low <= row.whole.median <= row.whole.high
        assert min(row.crops.median, row.network.median, row.decoding.median) > 0
    assert len(cpu_table(rows).splitlines()) == 2 + len(rows)


def test_turns_are_interleaved() -> None:
    """A B A B: what slows the machine down in one round slows every contender's."""
    turns: list[str] = []

    class Noted(Contender):
        def estimate(self, frame: np.ndarray, boxes: np.ndarray) -> None:
            turns.append(self.name)

        def steps(self, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
            return np.ones(3)

    engine = OnnxRuntimeEngine(ModelFile.read(MODEL.onnx))
    rows = list(cpu_rows("m", [Noted("A", engine), Noted("B", engine)], [1], rounds=3))
    assert turns == ["A", "A", "B", "B"] * 3  # the first of two is not counted
    assert [row.ratio for row in rows] == [None, None]  # there is no loop to compare with


def row(contender: str, persons: int, whole: float, ratio: float | None) -> CpuRow:
    def exactly(value: float) -> Spread:
        return Spread(value, value, value)

    parts = (exactly(0.04 * whole), exactly(0.8 * whole), exactly(0.02 * whole))
    return CpuRow("m", contender, contender == BASELINE, persons, exactly(whole), *parts, ratio)


def test_table() -> None:
    head, _, ours, today = cpu_table(
        [row("OpenVINO int8", 10, 100.0, 3.5), row(BASELINE, 10, 350, None)]
    ).splitlines()
    assert head.startswith("| times faster than one crop at a time | model |")  # ratios first
    assert ours.startswith("| 3.50 | m | OpenVINO int8 | 10 | 100.00 (100.00 to 100.00) | 4.00 |")
    assert ours.endswith("| 7.5% | 100.0 |")
    assert today.startswith("|  | m | ONNX Runtime float32, one crop at a time | 10 |")


@pytest.mark.parametrize(
    ("has", "expected"), [(True, "OpenVINO bfloat16"), (False, "OpenVINO float32")]
)
def test_automatic_precision_of_random_weights(has: bool, expected: str) -> None:
    seeded = BenchModel("m", MODEL.onnx, MODEL.checkpoint, seeded=True, int8=None)
    assert automatic(seeded, cpu_has_bfloat16=has) == expected


def test_a_row_is_found_by_what_it_is() -> None:
    results = CpuResults([row("a", 1, 10, None), row("a", 10, 50, 2.0)])
    assert results.of("m", "a", 10) is results.rows[1]
    assert results.of("m", "b", 10) is None
