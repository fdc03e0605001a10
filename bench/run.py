# SPDX-License-Identifier: Apache-2.0
"""``make bench``: measure this machine and write docs/benchmarks.md.

Do not run anything else at the same time, because it would distort the measurements.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.benchmarks_page import Results, all_targets, write_report
from bench.cpu import OURS, automatic, contenders, cpu_rows, cpu_table
from bench.models import COMPACT, W32, BenchModel, compact_model, w32_model
from bench.node import measure_node
from bench.performance_targets import target_table
from bench.rows import table
from bench.starts import start_rows, start_table
from hrnet_pose_ros.engines.openvino_network import cpu_has_bfloat16

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "demo_output" / "bench"
PARTS = ("compact", "w32", "node", "gpu")


@dataclass(frozen=True)
class BenchmarkSize:
    """Number of rounds, starts of an engine, persons, images, starts of the node and GPU calls that
    are measured."""

    rounds: int
    engine_starts: int
    persons: Sequence[int]
    images: int
    memory_images: int
    node_starts: int
    gpu_repetitions: int


FULL = BenchmarkSize(11, 5, (1, 5, 10, 20), 300, 5000, 7, 300)
QUICK = BenchmarkSize(2, 1, (1, 10), 40, 750, 1, 20)


def main() -> None:
    """Measure, print the tables and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="run for a few minutes to check that everything works; the page is written to "
        "demo_output/bench, and its measurements are not reliable",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        metavar="PART",
        help=f"measure only these parts: {', '.join(PARTS)}; the page is written to "
        "demo_output/bench",
    )
    parser.add_argument(
        "--persons",
        type=int,
        nargs="+",
        metavar="N",
        help=f"numbers of persons for the CPU (default {' '.join(map(str, FULL.persons))}); the "
        "page is written to demo_output/bench",
    )
    parser.add_argument(
        "--w32-checkpoint",
        type=Path,
        metavar="FILE.pth",
        help="weights of W32 at 256x192 (default: random weights, which are equally fast)",
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE.md", help="output page (default docs/benchmarks.md)"
    )
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    if options.persons and min(options.persons) < 1:
        parser.error(f"--persons must be numbers from 1 on, got {min(options.persons)}")
    if options.persons:
        size = replace(size, persons=tuple(options.persons))
    whole = not options.quick and not options.persons and set(options.only) == set(PARTS)
    folder = ROOT / "docs" if whole else FOLDER
    page = options.page or folder / "benchmarks.md"

    FOLDER.mkdir(parents=True, exist_ok=True)
    results = Results(size.rounds)
    for part in options.only:
        print(f"[bench] {part}", flush=True)
        if part in ("compact", "w32"):
            _cpu(part, options.w32_checkpoint, size, results)
        elif part == "node":
            _node(size, results)
        else:
            _gpu(size, results)
    write_report(results, page, page.parent / "images" / "cost_against_persons.svg")
    for reason in results.cpu.skipped + results.skipped:
        print(f"[bench] not measured: {reason}")
    print(target_table(all_targets(results)))
    print(f"[bench] wrote {page}")


def _cpu(part: str, checkpoint: Path | None, size: BenchmarkSize, results: Results) -> None:
    try:
        model: BenchModel = (
            compact_model(FOLDER) if part == "compact" else w32_model(FOLDER, checkpoint)
        )
    except ImportError as error:
        results.skipped.append(f"{W32 if part == 'w32' else COMPACT}: {error}")
        return
    results.models.append(model)
    results.cpu.automatic[model.name] = automatic(model, cpu_has_bfloat16=cpu_has_bfloat16())
    compared = contenders(model, results.cpu.skipped)
    for row in cpu_rows(model.name, compared, size.persons, size.rounds):
        results.cpu.rows.append(row)
        print(cpu_table([row]).splitlines()[-1], flush=True)
    for contender in compared:
        contender.engine.close()
    precision = results.cpu.automatic[model.name].removeprefix(OURS)
    starts = list(start_rows(model.name, model.onnx, precision, size.engine_starts))
    results.starts += starts
    print(start_table(starts), flush=True)


def _node(size: BenchmarkSize, results: Results) -> None:
    try:
        results.node = measure_node(
            COMPACT,
            images=size.images,
            memory_images=size.memory_images,
            starts=size.node_starts,
        )
    except RuntimeError as error:
        results.skipped.append(f"the node: {error}")


def _gpu(size: BenchmarkSize, results: Results) -> None:
    from hrnet_pose_ros.engines.tensorrt.engine import why_no_tensorrt

    missing = why_no_tensorrt()
    if missing:
        results.skipped.append(f"the TensorRT engine: {missing}")
        return
    from bench.gpu import gpu_rows

    for row in gpu_rows(FOLDER, size.gpu_repetitions):
        results.gpu.append(row)
        print(table([row]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
