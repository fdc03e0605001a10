# SPDX-License-Identifier: Apache-2.0
"""Shared code of the benchmarks: scene, timing, medians and tables, and the GPU row."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

IMAGE_SIZE = (1280, 720)


@dataclass(frozen=True)
class Spread:
    """Median and interquartile range of measurements."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        """The quartiles of at least one value."""
        return cls(*(float(value) for value in np.percentile(values, (25, 50, 75))))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


@dataclass(frozen=True)
class EngineRow:
    """The measurement of one engine, model and number of persons.

    Attributes
    ----------
    device, engine, model, precision
        See `EngineInfo`.
    input_size
        (width, height) of a crop.
    persons
        Number of persons in the image, in words.
    p50_ms, p99_ms
        Milliseconds of ``PoseEngine.estimate``: image and boxes in, poses out.
    bytes_moved
        Bytes copied to the device and back per image; None for engines on the CPU.
    copy_fraction
        Fraction of the device time spent on copies, in [0, 1]; None for engines on the CPU.
    graph_p50_ms
        As ``device_p50_ms``, but as the engine runs it: as a CUDA graph; None if not measured.
    device_p50_ms
        Copies and kernels, launched one by one and measured with device events, without the copy
        into pinned memory; None for engines on the CPU.
    mean_persons
        Persons per image, for the rate.
    changing
        Whether the number of persons differs from image to image.
    """

    device: str
    engine: str
    model: str
    precision: str
    input_size: tuple[int, int]
    persons: str
    p50_ms: float
    p99_ms: float
    bytes_moved: int | None = None
    copy_fraction: float | None = None
    device_p50_ms: float | None = None
    graph_p50_ms: float | None = None
    mean_persons: float = 0.0
    changing: bool = False


COLUMNS = [
    *("device", "engine", "model", "precision", "input", "persons", "p50, ms", "p99, ms"),
    *("persons/s", "moved, MB", "copies", "device p50, ms", "as a CUDA graph, ms"),
]


def table(rows: list[EngineRow]) -> str:
    """The rows as a table in Markdown."""
    return markdown(COLUMNS, [_cells(row) for row in rows])


def _cells(row: EngineRow) -> list[str]:
    width, height = row.input_size
    return [
        row.device,
        row.engine,
        row.model,
        row.precision,
        f"{height}x{width}",
        row.persons,
        f"{row.p50_ms:.2f}",
        f"{row.p99_ms:.2f}",
        f"{1e3 * row.mean_persons / row.p50_ms:.0f}",
        "" if row.bytes_moved is None else f"{row.bytes_moved / 1e6:.2f}",
        "" if row.copy_fraction is None else f"{row.copy_fraction:.0%}",
        "" if row.device_p50_ms is None else f"{row.device_p50_ms:.2f}",
        "" if row.graph_p50_ms is None else f"{row.graph_p50_ms:.2f}",
    ]


def timed(work: Callable[[], object], repetitions: int, warm_up: int = 20) -> np.ndarray:
    """Duration of each call in milliseconds, after warm-up calls."""
    for _ in range(warm_up):
        work()
    taken = np.empty(repetitions)
    for index in range(repetitions):
        began = time.perf_counter()
        work()
        taken[index] = 1e3 * (time.perf_counter() - began)
    return taken


def scene(persons: int, image_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A frame of noise with person-sized boxes; the same for each call."""
    width, height = image_size
    random = np.random.default_rng(persons)
    frame = random.integers(0, 256, (height, width, 3), np.uint8)
    tall = random.uniform(0.15, 0.6, persons) * height
    boxes = np.stack(
        [
            random.uniform(0, 0.9 * width, persons),
            random.uniform(0, 0.4 * height, persons),
            0.4 * tall,
            tall,
        ],
        axis=1,
    )
    return frame, boxes.astype(np.float32)
