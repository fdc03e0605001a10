# SPDX-License-Identifier: Apache-2.0
"""The benchmark's table, its scene and its clock."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bench.rows import EngineRow, scene, table, timed

CPU = EngineRow(
    *("EPYC", "openvino", "hrnet_w32", "float32", (192, 256), "5"),
    p50_ms=50,
    p99_ms=60.123,
    mean_persons=5,
)
GPU = EngineRow(
    *("Orin", "tensorrt", "hrnet_w32", "float16", (288, 384), "1 to 20, changing"),
    p50_ms=2.5,
    p99_ms=3,
    bytes_moved=2_770_000,
    copy_fraction=0.125,
    device_p50_ms=2.25,
    graph_p50_ms=None,
    mean_persons=10,
)


def test_table_of_rows_from_different_devices() -> None:
    head, rule, cpu, gpu = table([CPU, GPU]).splitlines()
    assert head.startswith("| device | engine | model |")
    assert {line.count("|") for line in (head, rule, cpu, gpu)} == {14}
    expected = "| EPYC | openvino | hrnet_w32 | float32 | 256x192 | 5 | 50.00 | 60.12 | 100 |"
    assert cpu == f"{expected}  |  |  |  |"
    assert "| 384x288 | 1 to 20, changing | 2.50 | 3.00 | 4000 | 2.77 | 12% | 2.25 |  |" in gpu


@pytest.mark.parametrize("persons", [1, 40])
def test_scene_is_the_same_every_time(persons: int) -> None:
    frame, boxes = scene(persons, (1280, 720))
    assert frame.shape == (720, 1280, 3)
    assert frame.dtype == np.uint8
    assert boxes.shape == (persons, 4)
    assert (boxes[:, 2:] > 20).all()
    assert (boxes[:, 0] < 1280).all()
    assert np.array_equal(boxes, scene(persons, (1280, 720))[1])


def test_first_calls_do_not_count() -> None:
    calls = []

    def work() -> None:
        calls.append(len(calls))
        if len(calls) > 3:
            time.sleep(0.01)

    taken = timed(work, repetitions=4, warm_up=3)
    assert len(calls) == 7
    assert len(taken) == 4
    assert (taken >= 10).all()
