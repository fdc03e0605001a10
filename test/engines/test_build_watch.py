# SPDX-License-Identifier: Apache-2.0
"""Options with bounds, and a watch that hears something all the time."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest
from tensorrt_fixtures import Heard

from hrnet_pose_ros.engines.build_watch import REPORT_PERIOD, BuildWatch, Progress, reporting
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions


def test_reports_come_at_once_and_then_in_their_period() -> None:
    times, enough = [], threading.Semaphore(0)

    class Timed(Heard):
        def report(self, text: str, fraction: float | None) -> None:
            super().report(text, fraction)
            times.append(time.monotonic())
            enough.release()

    heard, progress = Timed(), Progress("building")
    with reporting(heard, progress, period=0.1):
        assert all(enough.acquire(timeout=60) for _ in range(2))
        progress.fraction = 0.5
        assert all(enough.acquire(timeout=60) for _ in range(2))
    count = len(times)
    assert heard.fractions[0] is None and heard.fractions[-1] == 0.5
    assert min(np.diff(times)) >= 0.1
    time.sleep(0.2)
    assert len(times) == count  # nothing after the end
    assert REPORT_PERIOD == 5


def test_the_plain_watch_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        BuildWatch().report("building", None)
        BuildWatch().report("building", 0.256)
    assert [record.message for record in caplog.records] == ["building", "building, 26%"]
    assert BuildWatch().cancelled() is False


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"device": -1}, "device must be the index of a CUDA device, got -1"),
        ({"image_size": (0, 720)}, r"image_size .* got \(0, 720\)"),
        ({"image_size": (1280, 99999)}, "1 to 16384 px"),
        ({"max_persons": 0}, "max_persons must be from 1 to 1000, got 0"),
        ({"typical_persons": 0}, r"typical_persons must be from 1 to max_persons \(20\), got 0"),
        ({"typical_persons": 21}, "got 21"),
        ({"workspace_mib": -1}, "workspace_mib must be at least 0"),
        ({"optimization_level": 6}, "optimization_level must be from 0 to 5, got 6"),
    ],
)
def test_options_out_of_range(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TensorRtOptions(**wrong)
