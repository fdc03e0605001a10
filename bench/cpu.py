# SPDX-License-Identifier: Apache-2.0
"""Rows of the engines on the CPU: this package's beside one crop at a time, in the same run.

The contenders take turns, round after round, so that a machine that drifts drifts for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.contenders import Contender, OnnxRuntimeEngine
from bench.models import BenchModel
from bench.rows import IMAGE_SIZE, Spread, markdown, scene
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine, Precision, cpu_has_bfloat16
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.model_file import ModelFile

# What the ratios are taken against.
TODAY = "ONNX Runtime float32"
OURS = "OpenVINO "


@dataclass(frozen=True)
class CpuRow:
    """One contender, model and number of persons.

    Attributes
    ----------
    model
        As `BenchModel.name`.
    contender
        As `Contender.name`.
    one_by_one
        As in `Contender`.
    persons
        In the image.
    whole, crops, network, decoding
        Milliseconds of an image: all of it, as a caller sees it, and the three steps.
    ratio
        How many times faster the whole is than the loop of ONNX Runtime; None where that is
        missing.
    """

    model: str
    contender: str
    one_by_one: bool
    persons: int
    whole: Spread
    crops: Spread
    network: Spread
    decoding: Spread
    ratio: float | None = None

    @property
    def beside_network(self) -> float:
        """Crops plus decoding, as a share of the network's time."""
        return (self.crops.median + self.decoding.median) / self.network.median


@dataclass
class CpuResults:
    """All rows, and what was left out with the reasons; ``automatic[model]`` is the contender that
    ``precision: auto`` stands for."""

    rows: list[CpuRow] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    automatic: dict[str, str] = field(default_factory=dict)

    def of(self, model: str, contender: str, persons: int) -> CpuRow | None:
        """One row, where there is one."""
        wanted = (model, contender, persons)
        return next((r for r in self.rows if (r.model, r.contender, r.persons) == wanted), None)


def contenders(model: BenchModel, skipped: list[str]) -> list[Contender]:
    """All that can run here; for the others ``skipped`` is given the reason."""
    found = []
    onnx = ModelFile.read(model.onnx)
    precisions: list[Precision] = ["float32"]
    if cpu_has_bfloat16():
        precisions.append("bfloat16")
    else:
        skipped.append(f"{model.name}, {OURS}bfloat16: this CPU has none")
    for precision in precisions:
        found.append(Contender(OURS + precision, OpenVinoEngine(onnx, precision=precision)))
    if model.int8 is None:
        skipped.append(f"{model.name}, {OURS}int8: {model.why_no_int8}")
    else:
        int8 = OpenVinoEngine(ModelFile.read(model.int8), precision="int8")
        found.append(Contender(OURS + "int8", int8))
    try:
        found.append(Contender(TODAY, OnnxRuntimeEngine(onnx), one_by_one=True))
    except ImportError as error:
        skipped.append(f"{model.name}, {TODAY}: {error}")
    try:
        checkpoint = ModelFile.read(model.checkpoint)
        engine = TorchEngine(checkpoint, input_size=(192, 256), max_batch=1)
        found.append(Contender("PyTorch float32", engine, one_by_one=True))
    except EngineError as error:
        skipped.append(f"{model.name}, PyTorch float32: {error}")
    return found


def automatic(model: BenchModel, *, cpu_has_bfloat16: bool) -> str:
    """The contender that ``precision: auto`` stands for with these weights on this machine.

    Seeded weights see nobody on the bundled crops: for them bfloat16 where the CPU has it, which is
    what trained weights get if they pass the check.
    """
    if model.seeded:
        return OURS + ("bfloat16" if cpu_has_bfloat16 else "float32")
    engine = make_engine(model.onnx, engine="openvino", max_batch=1)
    precision = engine.info.precision
    engine.close()
    return OURS + precision


def cpu_rows(
    model: str, compared: Sequence[Contender], persons: Sequence[int], rounds: int
) -> Iterator[CpuRow]:
    """Measure the contenders for each number of persons."""
    for count in persons:
        frame, boxes = scene(count, IMAGE_SIZE)
        wholes = np.empty((len(compared), rounds))
        steps = np.empty((len(compared), rounds, 3))
        for turn in range(rounds):
            for place, contender in enumerate(compared):
                # Not counted: the threads of the one before may still spin, and caches are cold.
                contender.estimate(frame, boxes)
                began = time.perf_counter()
                contender.estimate(frame, boxes)
                wholes[place, turn] = 1e3 * (time.perf_counter() - began)
                steps[place, turn] = contender.steps(frame, boxes)
        names = [contender.name for contender in compared]
        today = np.median(wholes[names.index(TODAY)]) if TODAY in names else None
        for place, contender in enumerate(compared):
            whole = Spread.of(wholes[place])
            crops, network, decoding = (Spread.of(steps[place, :, step]) for step in range(3))
            yield CpuRow(
                model,
                contender.name,
                contender.one_by_one,
                count,
                whole,
                crops,
                network,
                decoding,
                ratio=None if today is None else float(today / whole.median),
            )


COLUMNS = [
    *("times faster than one crop at a time", "model", "engine", "persons", "whole, ms"),
    *("crops, ms", "network, ms", "decoding, ms", "crops + decoding / network", "persons/s"),
]


def cpu_table(rows: Sequence[CpuRow]) -> str:
    """The rows as a table in Markdown; medians, and the middle half of the whole in brackets."""
    return markdown(COLUMNS, [_cells(row) for row in rows])


def _cells(row: CpuRow) -> list[str]:
    return [
        "" if row.ratio is None else f"{row.ratio:.2f}",
        row.model,
        row.contender + (", one crop at a time" if row.one_by_one else ""),
        str(row.persons),
        str(row.whole),
        f"{row.crops.median:.2f}",
        f"{row.network.median:.2f}",
        f"{row.decoding.median:.2f}",
        f"{row.beside_network:.1%}",
        f"{1e3 * row.persons / row.whole.median:.1f}",
    ]
