# SPDX-License-Identifier: Apache-2.0
"""CPU benchmark: the engines of this package against one crop at a time, in the same run.

The contenders run alternately, round after round, so that drift of the machine affects all of them.
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
from hrnet_pose_ros.engines.openvino_engine import OpenVinoEngine, Precision
from hrnet_pose_ros.engines.openvino_network import cpu_has_bfloat16
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.model_file import ModelFile

# The baseline of all ratios.
BASELINE = "ONNX Runtime float32"
OURS = "OpenVINO "
ONE_STREAM = ", one stream"


@dataclass(frozen=True)
class CpuRow:
    """The measurement of one contender, model and number of persons.

    Attributes
    ----------
    model
        See `BenchModel.name`.
    contender
        See `Contender.name`.
    one_by_one
        See `Contender`.
    persons
        Number of persons in the image.
    whole, crops, network, decoding
        Milliseconds per image: in total, as a caller sees it, and for the three steps.
    ratio
        Speed-up of the total over the loop with ONNX Runtime; None if that was not measured.
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
    def overhead_ratio(self) -> float:
        """Time of crops plus decoding, relative to the network time."""
        return (self.crops.median + self.decoding.median) / self.network.median


@dataclass
class CpuResults:
    """All rows, and skipped measurements with the reasons; ``automatic[model]`` is the contender
    that ``precision: auto`` selects."""

    rows: list[CpuRow] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    automatic: dict[str, str] = field(default_factory=dict)

    def of(self, model: str, contender: str, persons: int) -> CpuRow | None:
        """The row with these keys, or None."""
        key = (model, contender, persons)
        return next((r for r in self.rows if (r.model, r.contender, r.persons) == key), None)


def contenders(model: BenchModel, skipped: list[str]) -> list[Contender]:
    """All contenders that can run here; the reasons for the others are added to ``skipped``."""
    found = []
    onnx = ModelFile.read(model.onnx)
    precisions: list[Precision] = ["float32"]
    if cpu_has_bfloat16():
        precisions.append("bfloat16")
    else:
        skipped.append(f"{model.name}, {OURS}bfloat16: this CPU does not support it")
    for precision in precisions:
        # As it ships, and as it was without streams.
        for name, streams in ((OURS + precision, 0), (OURS + precision + ONE_STREAM, 1)):
            ours = OpenVinoEngine(onnx, precision=precision, streams=streams)
            ours.warm_up()
            print(f"{name}: {ours.layout}", flush=True)
            found.append(Contender(name, ours))
    if model.int8 is None:
        skipped.append(f"{model.name}, {OURS}int8: {model.why_no_int8}")
    else:
        int8 = OpenVinoEngine(ModelFile.read(model.int8), precision="int8", streams=0)
        int8.warm_up()
        found.append(Contender(OURS + "int8", int8))
    try:
        found.append(Contender(BASELINE, OnnxRuntimeEngine(onnx), one_by_one=True))
    except ImportError as error:
        skipped.append(f"{model.name}, {BASELINE}: {error}")
    try:
        checkpoint = ModelFile.read(model.checkpoint)
        engine = TorchEngine(checkpoint, input_size=(192, 256), max_batch=1)
        found.append(Contender("PyTorch float32", engine, one_by_one=True))
    except EngineError as error:
        skipped.append(f"{model.name}, PyTorch float32: {error}")
    return found


def automatic(model: BenchModel, *, cpu_has_bfloat16: bool) -> str:
    """The contender that ``precision: auto`` selects with these weights on this machine.

    Random weights find nobody on the bundled crops. For them, this is bfloat16 if the CPU supports
    it, which is what trained weights get if they pass the check.
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
                # Not measured: threads of the previous contender may still spin, and caches are
                # cold.
                contender.estimate(frame, boxes)
                began = time.perf_counter()
                contender.estimate(frame, boxes)
                wholes[place, turn] = 1e3 * (time.perf_counter() - began)
                steps[place, turn] = contender.steps(frame, boxes)
        names = [contender.name for contender in compared]
        baseline = np.median(wholes[names.index(BASELINE)]) if BASELINE in names else None
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
                ratio=None if baseline is None else float(baseline / whole.median),
            )


COLUMNS = [
    *("times faster than one crop at a time", "model", "engine", "persons", "total, ms"),
    *("crops, ms", "network, ms", "decoding, ms", "crops + decoding / network", "persons/s"),
]


def cpu_table(rows: Sequence[CpuRow]) -> str:
    """The rows as a table in Markdown; medians, with the interquartile range of the total."""
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
        f"{row.overhead_ratio:.1%}",
        f"{1e3 * row.persons / row.whole.median:.1f}",
    ]
