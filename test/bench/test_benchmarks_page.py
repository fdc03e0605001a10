# SPDX-License-Identifier: Apache-2.0
"""Targets and the page, from figures that are made up here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import benchmarks_page
from bench.benchmarks_page import Results, write_report
from bench.cpu import BASELINE, CpuResults, CpuRow
from bench.machine import has_amx, machine_table
from bench.models import BenchModel
from bench.node import LoadRun, MemoryGrowth, NodeResults, StageDurations, StartupTimes
from bench.performance_targets import cpu_targets, gpu_targets, node_targets, target_table
from bench.rows import EngineRow, Spread
from bench.starts import StartRow


def row(model: str, contender: str, whole: float, ratio: float, beside: float = 0.05) -> CpuRow:
    def exactly(value: float) -> Spread:
        return Spread(value, value, value)

    network = exactly(whole / (1 + beside))
    crops = exactly(0.6 * beside * network.median)
    decoding = exactly(0.4 * beside * network.median)
    loop = contender == BASELINE
    return CpuRow(model, contender, loop, 10, exactly(whole), crops, network, decoding, ratio)


def results_of(ratio: float, beside: float) -> CpuResults:
    rows = [
        row("hrnet_w32", "OpenVINO bfloat16", 900 / ratio, ratio, beside),
        row("hrnet_w32", "OpenVINO float32", 800, 900 / 800, 0.5),
        row("hrnet_w32", BASELINE, 900, 1.0),
    ]
    return CpuResults(rows, ["PyTorch: not here"], {"hrnet_w32": "OpenVINO bfloat16"})


@pytest.mark.parametrize(
    ("ratio", "amx", "beside", "met"),
    [
        (6.5, True, 0.09, [True, True]),
        (5.5, True, 0.09, [False, True]),
        (2.5, False, 0.11, [True, False]),
        (1.1, False, 0.09, [False, True]),
    ],
)
def test_targets_of_the_engines(ratio: float, amx: bool, beside: float, met: list[bool]) -> None:
    targets = list(cpu_targets(results_of(ratio, beside), amx=amx))
    assert [target.met for target in targets] == met
    assert targets[0].required.startswith("at least 6" if amx else "at least 1.2")
    assert targets[0].measured == f"{ratio:.2f}"
    assert targets[1].measured == f"{beside:.1%}"
    table = target_table(targets)
    assert table.count("| met |") == sum(met)
    assert table.count("| **missed** |") == 2 - sum(met)


def test_nothing_measured_no_target() -> None:
    assert list(cpu_targets(CpuResults(), amx=True)) == []


def stages(own: float, inference: float, count: int = 200) -> StageDurations:
    ones = np.ones(count)
    arrival, pairing, conversion = 4 * ones, 0.2 * own * ones, 0.3 * own * ones
    age = arrival + (own + inference) * ones
    return StageDurations(
        arrival, pairing, 0.5 * own * ones, conversion, inference * ones, age, age + 2 * ones
    )


def node_of(own: float = 3.0, waiting: float = 40.0) -> NodeResults:
    nominal = LoadRun(10, 300, 300, stages(own, 48.5 - 0.3 * own + 0.6))
    return NodeResults(
        nominal=nominal,
        overload=LoadRun(40, 300, 150, stages(waiting, 50.0)),
        memory=MemoryGrowth(5000, 4990, 200.0, 201.0),
        starts=StartupTimes(np.array([1.4, 1.5, 1.6]), np.array([1.7, 1.8, 2.4])),
    )


def test_arithmetic_of_the_node() -> None:
    node = node_of(own=2.0)
    np.testing.assert_allclose(node.nominal.stages.own, 2.0)
    np.testing.assert_allclose(node.nominal.stages.publication, 2.0)
    assert node.nominal.sustainable_rate == pytest.approx(1e3 / 49.1)  # 0.6 ms beside 48.5
    np.testing.assert_allclose(node.overload.ages_in_inferences(), 90 / 50)
    assert node.memory.growth == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("node", "met"),
    [
        (node_of(), [True, True, True, True]),
        (node_of(own=6), [False, True, True, True]),
        (node_of(waiting=60), [True, False, True, True]),
        (replace(node_of(), memory=MemoryGrowth(5000, 5000, 200, 205)), [True, True, False, True]),
        (
            replace(node_of(), starts=StartupTimes(np.array([2.0]), np.array([3.1]))),
            [True, True, True, False],
        ),
    ],
)
def test_targets_of_the_node(node: NodeResults, met: list[bool]) -> None:
    assert [target.met for target in node_targets(node)] == met


def test_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    checkpoint = tmp_path / "hrnet_w32_seeded.pth"
    model = BenchModel("hrnet_w32", tmp_path, checkpoint, seeded=True, int8=None)
    results = Results(11, [model], results_of(3.5, 0.09), node_of(), skipped=["no GPU"])
    page, picture = tmp_path / "docs" / "benchmarks.md", tmp_path / "docs" / "images" / "cost.svg"
    write_report(results, page, picture)
    text = page.read_text()
    for words in (
        "| features |",
        "## Targets",
        "random weights from a seed",
        "| 3.50 | hrnet_w32 | OpenVINO bfloat16 | 10 |",
        "(images/cost.svg)",
        "At 10.0 images a second (300 sent, 300 answered)",
        "| own | 3.0 | 3.0 | 3.0 |",
        "5000 images sent, 4990 answered; resident 200.0 MB after 500, 201.0 MB at the end (+0.50%",
        "to the first skeleton received 1.80 s (1.70 to 2.40)",
        "- PyTorch: not here",
        "- no GPU",
    ):
        assert words in text, words
    first = picture.read_text()
    # Letters are drawn as outlines; matplotlib notes beside them what they say.
    for words in ("hrnet_w32", "OpenVINO bfloat16", f"{BASELINE}, one by one", "ms per image"):
        assert f"<!-- {words} -->" in first, words
    write_report(results, page, picture)
    assert picture.read_text() == first  # equal figures, equal picture
    write_report(replace(results, cpu=results_of(2.5, 0.09)), page, picture)
    assert picture.read_text() != first  # the figures are what is drawn


@pytest.mark.parametrize("amx", [True, False])
def test_a_page_without_amx_says_what_it_cannot_show(
    amx: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks_page, "has_amx", lambda: amx)
    page = tmp_path / "benchmarks.md"
    write_report(Results(2, cpu=results_of(3.5, 0.09)), page, tmp_path / "x.svg")
    text = "- the speed-up with AMX (wanted: 6 for hrnet_w32, 3 for the others, at 10 and 20 pers"
    assert (text in page.read_text()) == (not amx)


def test_page_of_what_was_left_out(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    write_report(Results(2, skipped=["everything"]), page, tmp_path / "x.svg")
    text = page.read_text()
    assert "## Not measured\n\n- everything" in text
    assert "## Engines" not in text and "## Targets" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["benchmarks.md"]


def test_machine() -> None:
    table = machine_table()
    for name in ("processor", "cores", "features", "memory", "versions", "date"):
        assert f"| {name} | " in table
    assert "openvino 20" in table


def test_amx_is_found_by_the_kernels_names() -> None:
    assert has_amx(["avx2", "amx_bf16"]) and has_amx(["amx_int8"])
    assert not has_amx(["avx512_bf16", "avx512_vnni"]) and not has_amx([])
    flags = Path("/proc/cpuinfo").read_text().split()
    assert has_amx() == any(flag in flags for flag in ("amx_bf16", "amx_int8"))


def gpu_row(persons: str, p50_ms: float, model: str = "hrnet_w32", **other: float) -> EngineRow:
    return EngineRow(
        device="GPU",
        engine="tensorrt",
        model=model,
        precision="float16",
        input_size=(192, 256),
        persons=persons,
        p50_ms=p50_ms,
        p99_ms=2 * p50_ms,
        **other,  # type: ignore[arg-type]
    )


def test_targets_of_the_gpu() -> None:
    rows = [
        gpu_row("5", 9.0),
        gpu_row("10", 2.0, device_p50_ms=2.0, copy_fraction=0.1),
        gpu_row("10", 2.0, device_p50_ms=2.5, copy_fraction=0.1, graph_p50_ms=1.85),
        gpu_row("1 to 20, changing", 3.5, changing=True),
        gpu_row("10", 9.0, model="hrnet_w48"),
        replace(gpu_row("10", 9.0), input_size=(288, 384)),
    ]
    targets = list(gpu_targets(rows))
    assert [(target.measured, target.met) for target in targets] == [
        ("2.00 ms", True),
        ("10.0%", True),
        ("2.00 ms", True),
        ("20.0%", False),
        ("3.50 ms", False),
    ]
    assert "1 to 20, changing persons" in targets[-1].description


def test_one_person_is_not_slower_than_with_one_stream() -> None:
    def of(ms: float) -> CpuResults:
        rows = [
            replace(row("m", "OpenVINO float32", ms, 1.0), persons=1),
            replace(row("m", "OpenVINO float32, one stream", 10, 1.0), persons=1),
        ]
        return CpuResults(rows, automatic={"m": "OpenVINO float32"})

    for ms, met in ((10.4, True), (10.6, False)):
        (target,) = cpu_targets(of(ms), amx=False)
        assert "1 person" in target.description and target.met == met


def test_page_of_int8_and_of_the_starts(tmp_path: Path) -> None:
    model = BenchModel("m", tmp_path, tmp_path / "m.pth", seeded=False, int8=tmp_path)
    rows = [row("m", "OpenVINO float32", 30, 1.0), row("m", "OpenVINO int8", 20, 1.5)]
    results = Results(2, [model], CpuResults(rows, automatic={"m": "OpenVINO float32"}))
    spread = Spread(1.0, 1.5, 2.0)
    results.starts = [
        StartRow("m", "float32", 1, spread, Spread(100, 100, 100), "one stream (2 of 2)"),
        StartRow("m", "float32", 0, spread, Spread(150, 150, 150), "2 streams (2 of 2)"),
    ]
    page = tmp_path / "benchmarks.md"
    write_report(results, page, tmp_path / "x.svg")
    text = page.read_text()
    assert "; 10 persons take 1.50 times as long without it" in text
    assert "### Start-up of an engine" in text
    assert "| m | float32 | 1 | 1.50 (1.00 to 2.00) | 100 | one stream (2 of 2) |" in text
    assert "| m | float32 | 0, measured | 1.50 (1.00 to 2.00) | 150 | 2 streams (2 of 2) |" in text
