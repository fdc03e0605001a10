# SPDX-License-Identifier: Apache-2.0
"""What the project wants to reach, beside what was measured. Nothing is asserted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.cpu import CpuResults
from bench.models import W32
from bench.node import NodeResults
from bench.rows import markdown

PERSONS = 10  # in the image, where the ratio is judged
RATIO_WITH_AMX, RATIO_WITHOUT = 3.0, 1.2
BESIDE_NETWORK = 0.10
OWN_MS = 5.0
INFERENCES = 2.0
MEMORY_GROWTH = 0.02
FIRST_SKELETON = 3.0


@dataclass(frozen=True)
class PerformanceTarget:
    """One target: words, its bound and the figure as text, and whether it is met."""

    what: str
    wanted: str
    measured: str
    met: bool


def cpu_targets(results: CpuResults, *, amx: bool) -> Iterator[PerformanceTarget]:
    """Those of the engines; none for what was not measured."""
    wanted = RATIO_WITH_AMX if amx else RATIO_WITHOUT
    for model, contender in results.automatic.items():
        row = results.of(model, contender, PERSONS)
        if row is not None and row.ratio is not None:
            yield PerformanceTarget(
                f"{model}, {PERSONS} persons, {contender}: times faster than one crop at a time "
                "through ONNX Runtime",
                f"at least {wanted:g} ({'with' if amx else 'without'} AMX)",
                f"{row.ratio:.2f}",
                row.ratio >= wanted,
            )
    rows = [r for r in results.rows if (r.model, r.contender) == (W32, results.automatic.get(W32))]
    if rows:
        worst = max(rows, key=lambda row: row.beside_network)
        yield PerformanceTarget(
            f"{W32}: crops and decoding, of the network's time "
            f"(the largest: {_persons(worst.persons)})",
            f"below {BESIDE_NETWORK:.0%}",
            f"{worst.beside_network:.1%}",
            worst.beside_network < BESIDE_NETWORK,
        )


def node_targets(results: NodeResults) -> Iterator[PerformanceTarget]:
    """Those of the node."""
    own = float(np.median(results.calm.stages.own))
    yield PerformanceTarget(
        "the node's part of the age outside engine and transport, median",
        f"at most {OWN_MS:g} ms",
        f"{own:.1f} ms",
        own <= OWN_MS,
    )
    inferences = float(np.percentile(results.overload.ages_in_inferences(), 99))
    yield PerformanceTarget(
        f"age without transport, p99, at {_load(results):.1f} times the sustainable rate",
        f"below {INFERENCES:g} inference times",
        f"{inferences:.2f}",
        inferences < INFERENCES,
    )
    memory = results.memory
    yield PerformanceTarget(
        f"growth of memory over {memory.sent} images, after the first 500",
        f"below {MEMORY_GROWTH:.0%}",
        f"{memory.growth:.2%}",
        memory.growth < MEMORY_GROWTH,
    )
    first = float(np.median(results.starts.skeleton))
    yield PerformanceTarget(
        "start of the process to the first skeleton, compact model, median",
        f"within {FIRST_SKELETON:g} s",
        f"{first:.2f} s",
        first <= FIRST_SKELETON,
    )


def _load(results: NodeResults) -> float:
    return results.overload.rate / results.calm.sustainable_rate


def _persons(count: int) -> str:
    return "1 person" if count == 1 else f"{count} persons"


def target_table(targets: Iterable[PerformanceTarget]) -> str:
    """The targets as a table in Markdown."""
    return markdown(
        ("target", "wanted", "measured", ""),
        [(t.what, t.wanted, t.measured, "met" if t.met else "**missed**") for t in targets],
    )
