# SPDX-License-Identifier: Apache-2.0
"""Performance targets of the project with the measured values. They are reported, not asserted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.cpu import ONE_STREAM, CpuResults
from bench.models import W32
from bench.node import NodeResults
from bench.rows import EngineRow, markdown

PERSONS = (10, 20)  # numbers of persons in the image for the speed-up targets
MIN_SPEEDUP_WITHOUT_AMX = 1.2
MIN_SPEEDUP_WITH_AMX = 3.0
MIN_SPEEDUP_OF_W32_WITH_AMX = 6.0
MAX_RATIO_TO_ONE_STREAM = 1.05  # one person; what remains is noise
MAX_OVERHEAD_RATIO = 0.10
MAX_NODE_OVERHEAD_MS = 5.0
MAX_AGE_IN_INFERENCES = 2.0
MAX_MEMORY_GROWTH = 0.02
MAX_STARTUP_S = 3.0
# W32 at 256x192 in float16, 10 persons, or a number that changes with every image.
GPU_MODEL, GPU_INPUT_SIZE = W32, (192, 256)
MAX_GPU_MS = 3.0
MAX_GPU_OVERHEAD_RATIO = 0.15


@dataclass(frozen=True)
class PerformanceTarget:
    """One target: description, limit and measured value as text, and whether it is met."""

    description: str
    required: str
    measured: str
    met: bool


def cpu_targets(results: CpuResults, *, amx: bool) -> Iterator[PerformanceTarget]:
    """The targets of the engines, as far as measured."""
    for model, contender in results.automatic.items():
        required = MIN_SPEEDUP_WITHOUT_AMX
        if amx:
            required = MIN_SPEEDUP_OF_W32_WITH_AMX if model == W32 else MIN_SPEEDUP_WITH_AMX
        for persons in PERSONS:
            row = results.of(model, contender, persons)
            if row is None or row.ratio is None:
                continue
            yield PerformanceTarget(
                f"{model}, {persons} persons, {contender}: speed-up over one crop at a time "
                "with ONNX Runtime",
                f"at least {required:g} ({'with' if amx else 'without'} AMX)",
                f"{row.ratio:.2f}",
                row.ratio >= required,
            )
        row, alone = (results.of(model, name, 1) for name in (contender, contender + ONE_STREAM))
        if row is not None and alone is not None:
            ratio = row.whole.median / alone.whole.median
            yield PerformanceTarget(
                f"{model}, 1 person, {contender}: time relative to an engine with one stream only",
                f"at most {MAX_RATIO_TO_ONE_STREAM:g}",
                f"{ratio:.2f}",
                ratio <= MAX_RATIO_TO_ONE_STREAM,
            )
    rows = [r for r in results.rows if (r.model, r.contender) == (W32, results.automatic.get(W32))]
    if rows:
        worst = max(rows, key=lambda row: row.overhead_ratio)
        yield PerformanceTarget(
            f"{W32}: crops and decoding relative to the network time "
            f"(worst case: {_persons(worst.persons)})",
            f"below {MAX_OVERHEAD_RATIO:.0%}",
            f"{worst.overhead_ratio:.1%}",
            worst.overhead_ratio < MAX_OVERHEAD_RATIO,
        )


def node_targets(results: NodeResults) -> Iterator[PerformanceTarget]:
    """The targets of the node."""
    own = float(np.median(results.nominal.stages.own))
    yield PerformanceTarget(
        "age in the node outside of engine and transport, median",
        f"at most {MAX_NODE_OVERHEAD_MS:g} ms",
        f"{own:.1f} ms",
        own <= MAX_NODE_OVERHEAD_MS,
    )
    inferences = float(np.percentile(results.overload.ages_in_inferences(), 99))
    yield PerformanceTarget(
        f"age without transport, p99, at {_load(results):.1f} times the sustainable rate",
        f"below {MAX_AGE_IN_INFERENCES:g} inference times",
        f"{inferences:.2f}",
        inferences < MAX_AGE_IN_INFERENCES,
    )
    memory = results.memory
    yield PerformanceTarget(
        f"memory growth over {memory.sent} images, after the first 500",
        f"below {MAX_MEMORY_GROWTH:.0%}",
        f"{memory.growth:.2%}",
        memory.growth < MAX_MEMORY_GROWTH,
    )
    first = float(np.median(results.starts.skeleton))
    yield PerformanceTarget(
        "process start to first skeleton, compact model, median",
        f"within {MAX_STARTUP_S:g} s",
        f"{first:.2f} s",
        first <= MAX_STARTUP_S,
    )


def gpu_targets(rows: Iterable[EngineRow]) -> Iterator[PerformanceTarget]:
    """The targets of the TensorRT engine, as far as measured."""
    for row in rows:
        if (row.model, row.input_size) != (GPU_MODEL, GPU_INPUT_SIZE):
            continue
        if row.persons != "10" and not row.changing:
            continue
        name = f"{row.model} on {row.device}, {row.persons} persons"
        yield PerformanceTarget(
            f"{name}: median",
            f"below {MAX_GPU_MS:g} ms",
            f"{row.p50_ms:.2f} ms",
            row.p50_ms < MAX_GPU_MS,
        )
        if row.device_p50_ms is not None and row.copy_fraction is not None:
            # As a graph, where there is one: launched one by one, the device waits between kernels.
            device = row.graph_p50_ms or row.device_p50_ms
            kernels = device - row.copy_fraction * row.device_p50_ms
            beside = 1 - kernels / row.p50_ms
            yield PerformanceTarget(
                f"{name}: everything but the kernels on the device, of the total",
                f"below {MAX_GPU_OVERHEAD_RATIO:.0%}",
                f"{beside:.1%}",
                beside < MAX_GPU_OVERHEAD_RATIO,
            )


def _load(results: NodeResults) -> float:
    return results.overload.rate / results.nominal.sustainable_rate


def _persons(count: int) -> str:
    return "1 person" if count == 1 else f"{count} persons"


def target_table(targets: Iterable[PerformanceTarget]) -> str:
    """The targets as a table in Markdown."""
    return markdown(
        ("target", "required", "measured", ""),
        [
            (t.description, t.required, t.measured, "met" if t.met else "**missed**")
            for t in targets
        ],
    )
