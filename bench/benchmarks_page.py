# SPDX-License-Identifier: Apache-2.0
"""Writes ``docs/benchmarks.md``, the page with all measurements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.cpu import OURS, CpuResults, cpu_table
from bench.machine import has_amx, machine_table
from bench.models import W32, BenchModel
from bench.node import LoadRun, NodeResults
from bench.performance_targets import (
    MIN_SPEEDUP_OF_W32_WITH_AMX,
    MIN_SPEEDUP_WITH_AMX,
    PERSONS,
    PerformanceTarget,
    cpu_targets,
    gpu_targets,
    node_targets,
    target_table,
)
from bench.plot import write_plot
from bench.rows import EngineRow, markdown, table
from bench.starts import StartRow, start_table

STAGES = ("arrival", "pairing", "queue", "conversion", "inference", "own", "age", "publication")
MEANING = {
    "arrival": "transport: from the stamp to the node's callback",
    "pairing": "until the detections arrive",
    "queue": "until the engine thread takes it",
    "conversion": "message to image",
    "inference": "engine: crops, network, decoding",
    "own": "age minus arrival and inference",
    "age": "from the stamp to the poses",
    "publication": "after the age: creating the message and sending it to the subscriber",
}


@dataclass
class Results:
    """The measurements of one benchmark run.

    Attributes
    ----------
    rounds
        Number of rounds in which each contender was measured.
    models
        Models of the CPU rows.
    cpu, node, gpu, starts
        Results by part; None or empty if not measured.
    skipped
        Skipped measurements with the reasons.
    """

    rounds: int
    models: list[BenchModel] = field(default_factory=list)
    cpu: CpuResults = field(default_factory=CpuResults)
    node: NodeResults | None = None
    gpu: list[EngineRow] = field(default_factory=list)
    starts: list[StartRow] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def write_report(results: Results, page: Path, picture: Path) -> None:
    """Write the page and its plot."""
    page.parent.mkdir(parents=True, exist_ok=True)
    shown = ""
    if results.cpu.rows:
        try:
            write_plot(results.cpu.rows, picture)
            shown = picture.relative_to(page.parent).as_posix()
        except ImportError as error:
            results.skipped.append(f"plot: {error}")
    page.write_text("\n\n".join(_sections(results, shown)) + "\n")


def all_targets(results: Results) -> list[PerformanceTarget]:
    """The performance targets of everything that was measured."""
    targets = list(cpu_targets(results.cpu, amx=has_amx()))
    targets += node_targets(results.node) if results.node else []
    return targets + list(gpu_targets(results.gpu))


def _sections(results: Results, picture: str) -> Iterator[str]:
    yield "# Speed"
    yield (
        "Written by `make bench`; nothing here is edited by hand, and no test asserts a figure. "
        "Values are medians, with the interquartile range in brackets."
    )
    yield machine_table()
    targets = all_targets(results)
    if targets:
        yield "## Targets\n\n" + target_table(targets)
    if results.cpu.rows:
        yield _cpu_section(results)
        if picture:
            yield f"![Cost of an image against the number of persons]({picture})"
    if results.starts:
        yield _starts_section(results)
    if results.node is not None:
        yield _node_section(results.node)
    if results.gpu:
        yield "## Engines on the GPU\n\n" + table(results.gpu)
    skipped = results.cpu.skipped + results.skipped
    if results.cpu.rows and not has_amx():
        skipped.append(
            f"the speed-up with AMX (wanted: {MIN_SPEEDUP_OF_W32_WITH_AMX:g} for {W32}, "
            f"{MIN_SPEEDUP_WITH_AMX:g} for the others, at {' and '.join(map(str, PERSONS))} "
            "persons): this processor has none"
        )
    if skipped:
        yield "## Not measured\n\n" + "\n".join(f"- {reason}" for reason in skipped)


def _cpu_section(results: Results) -> str:
    lines = [
        "One image of 1280x720 with the given number of persons, all models at 256x192 (height x "
        f"width). The contenders run alternately for {results.rounds} rounds; each measured run "
        'follows an unmeasured one. "One crop at a time" uses the same crops, weights and '
        "decoding, person by person, each library with its own defaults.",
    ]
    for model in results.models:
        weights = (
            "random weights from a seed (the cost does not depend on them)"
            if model.seeded
            else f"weights of `{model.checkpoint.name}`"
        )
        line = f"- `{model.name}`: {weights}; `precision: auto` selects "
        line += f"{results.cpu.automatic[model.name]}"
        line += " (for trained weights, if they pass the check at start-up)" if model.seeded else ""
        if model.int8 is not None:
            line += ". int8 is measured for its speed only; `hrnet_pose quantize` "
            line += "reports its effect on key points, on 200 persons or more"
            line += "".join(_gain_of_int8(results.cpu, model.name))
        lines.append(line)
    notes = "\n".join(lines[1:])
    return f"## Engines on the CPU\n\n{lines[0]}\n\n{notes}\n\n{cpu_table(results.cpu.rows)}"


def _gain_of_int8(cpu: CpuResults, model: str) -> Iterator[str]:
    """Whether int8 is faster here than what runs without it, for each number of persons."""
    for persons in PERSONS:
        int8, auto = (cpu.of(model, n, persons) for n in (f"{OURS}int8", cpu.automatic[model]))
        if int8 is not None and auto is not None:
            gain = auto.whole.median / int8.whole.median
            yield f"; {persons} persons take {gain:.2f} times as long without it"


def _starts_section(results: Results) -> str:
    return (
        "### Start-up of an engine\n\n"
        "With `streams: 0`, an engine measures at its start which number of streams is fastest for "
        "which number of persons. Each start is a process of its own. It is ready when every "
        "number of persons has run; the memory is that of the whole process.\n\n"
        + start_table(results.starts)
    )


def _node_section(node: NodeResults) -> str:
    memory, starts, ages = node.memory, node.starts, node.overload.ages_in_inferences()
    skeleton, engine = starts.skeleton, starts.engine
    parts = [
        "## The node",
        "The installed node, raw images of 1280x720 with 5 persons over DDS (shared memory), the "
        "compact model, OpenVINO with `precision: auto`. Camera, detector and subscriber are one "
        "process on the same machine. Times are the node's own (`StageTimes`), without the first "
        "10 skeleton arrays.",
        f"At {_rate_text(node.nominal)}; the engine thread could process "
        f"{node.nominal.sustainable_rate:.1f} images a second:",
        _stages_table(node.nominal),
        f"Overload: {node.overload.rate / node.nominal.sustainable_rate:.1f} times that rate, "
        f"{_rate_text(node.overload)}; `max_age_ms` is 10 s, so that drops do not hide high "
        "ages. Age "
        f"without transport, in inference times: {_percentiles(ages, '.2f')} (p50, p95, p99), at "
        f"most {ages.max():.2f}.",
        _stages_table(node.overload),
        f"Memory: {memory.sent} images sent, {memory.answered} answered; resident "
        f"{memory.early:.1f} MB after 500, {memory.late:.1f} MB at the end ({memory.growth:+.2%}; "
        "each the median over 100 images).",
        f"Start-up, {len(skeleton)} starts, with images published throughout: from the start of "
        "the "
        f"process to the engine's `skeleton_info` {np.median(engine):.2f} s "
        f"({engine.min():.2f} to {engine.max():.2f}), to the first skeleton received "
        f"{np.median(skeleton):.2f} s ({skeleton.min():.2f} to {skeleton.max():.2f}).",
    ]
    return "\n\n".join(parts)


def _rate_text(traffic: LoadRun) -> str:
    return f"{traffic.rate:.1f} images a second ({traffic.sent} sent, {traffic.answered} answered)"


def _stages_table(traffic: LoadRun) -> str:
    lines: list[Sequence[str]] = []
    for name in STAGES:
        values = np.percentile(getattr(traffic.stages, name), (50, 95, 99))
        lines.append([name, *(f"{value:.1f}" for value in values), MEANING[name]])
    return markdown(("stage", "p50, ms", "p95, ms", "p99, ms", ""), lines)


def _percentiles(values: np.ndarray, digits: str) -> str:
    return ", ".join(format(value, digits) for value in np.percentile(values, (50, 95, 99)))
