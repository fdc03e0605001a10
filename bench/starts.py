# SPDX-License-Identifier: Apache-2.0
"""What choosing the number of streams costs when an engine is made: seconds and memory.

Each start has a process of its own: memory that one engine leaves behind would count for the next.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.rows import Spread, markdown
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine, resident_bytes

ROOT = Path(__file__).resolve().parent.parent
# Values of the parameter `streams`: measured, as it ships, beside one stream.
STREAMS = (1, 0)


@dataclass(frozen=True)
class StartRow:
    """Starts of the OpenVINO engine of one model.

    Attributes
    ----------
    model, precision
        As in the other tables.
    streams
        The parameter's value; 0: chosen by measurement.
    ready_s
        Seconds until the engine is made and every number of persons has run.
    resident_mb
        Memory of the process then, in MB.
    chosen
        What was chosen, and by how many of the starts.
    """

    model: str
    precision: str
    streams: int
    ready_s: Spread
    resident_mb: Spread
    chosen: str


def start_rows(model: str, onnx: Path, precision: str, starts: int) -> Iterator[StartRow]:
    """Measure each of `STREAMS`, in turns.

    Raises RuntimeError where a start fails; the message has the last line of its errors.
    """
    found: dict[int, list[dict]] = {streams: [] for streams in STREAMS}
    for _ in range(starts):
        for streams, measured in found.items():
            measured.append(_start(onnx, precision, streams))
    for streams, measured in found.items():
        layouts = Counter(one["chosen"] for one in measured)
        yield StartRow(
            model,
            precision,
            streams,
            ready_s=Spread.of(np.array([one["ready"] for one in measured])),
            resident_mb=Spread.of(np.array([one["resident"] for one in measured])),
            chosen=", ".join(f"{text} ({n} of {starts})" for text, n in layouts.most_common()),
        )


def _start(onnx: Path, precision: str, streams: int) -> dict:
    command = [sys.executable, "-m", "bench.starts", str(onnx), precision, str(streams)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise RuntimeError(f"'{' '.join(command)}' failed: {last}")
    figures: dict = json.loads(done.stdout.splitlines()[-1])
    return figures


def start_table(rows: list[StartRow]) -> str:
    """The rows as a table in Markdown."""
    head = ("model", "precision", "streams", "ready after, s", "resident, MB", "chosen")
    lines = [
        [
            row.model,
            row.precision,
            str(row.streams or "0, measured"),
            str(row.ready_s),
            f"{row.resident_mb.median:.0f}",
            row.chosen,
        ]
        for row in rows
    ]
    return markdown(head, lines)


def main() -> None:
    """Make one engine, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("onnx", type=Path)
    parser.add_argument("precision")
    parser.add_argument("streams", type=int)
    options = parser.parse_args()
    began = time.perf_counter()
    engine = make_engine(
        options.onnx, engine="openvino", precision=options.precision, streams=options.streams
    )
    ready = time.perf_counter() - began
    assert isinstance(engine, OpenVinoEngine)
    figures = {"ready": ready, "resident": resident_bytes() / 1e6, "chosen": str(engine.layout)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
