# SPDX-License-Identifier: Apache-2.0
"""Options with bounds, and a watch that hears something all the time."""

from __future__ import annotations

import logging
import time

import pytest
from tensorrt_fixtures import Heard

from hrnet_pose_ros.engines.build_watch import REPORT_PERIOD, BuildWatch, Progress, reporting
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions


def test_reports_come_at_once_and_then_in_their_period() -> None:
    heard, progress = Heard(), Progress("building")
    with reporting(heard, progress, period=0.1):
        time.sleep(0.25)
        progress.share = 0.5
        time.sleep(0.2)
    count = len(heard.texts)
    assert 3 <= count <= 6
    assert heard.shares[0] is None
    assert heard.shares[-1] == 0.5
    time.sleep(0.2)
    assert len(heard.texts) == count  # nothing after the end
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
