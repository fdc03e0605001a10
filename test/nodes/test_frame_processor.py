# SPDX-License-Identifier: Apache-2.0
"""What becomes of a frame when something fails; the engine is real but for its faults."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from engine_bench import Bench

from hrnet_pose_ros.nodes.pose.diagnostics import EngineState
from hrnet_pose_ros.pipeline import frame_steps
from hrnet_pose_ros.pipeline.drop_reasons import Reason


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, street_frames: list[np.ndarray]) -> Bench:
    bench = Bench(monkeypatch, street_frames[0])
    bench.supervisor.prepare()
    return bench


def test_a_frame_becomes_skeletons(bench: Bench) -> None:
    bench.processor.process(bench.frame())
    assert len(bench.desk.published[0].skeletons) == 1
    assert bench.drops() == {}
    assert len(bench.desk.infos) == 1


def test_a_result_that_became_too_old_is_not_published(bench: Bench) -> None:
    bench.desk.settings = replace(bench.desk.settings, max_age_ms=400.0)
    bench.processor.process(bench.frame(age=1.0))  # before the engine
    bench.engines[0].fault = lambda: time.sleep(0.5)
    bench.processor.process(bench.frame())  # by the engine
    assert bench.desk.published == []
    assert bench.drops() == {"images.too_old": 2}


@pytest.mark.parametrize("reason", [Reason.TIME_JUMP, Reason.ENGINE_NOT_READY])
def test_a_result_of_another_time_is_not_published(bench: Bench, reason: Reason) -> None:
    def jump() -> None:
        bench.desk.reason = reason

    bench.engines[0].fault = jump
    bench.processor.process(bench.frame())
    assert bench.desk.published == []
    assert bench.drops() == {f"images.{reason.value}": 1}


def test_an_unreadable_image_names_topic_field_and_value(bench: Bench) -> None:
    bench.processor.process(bench.frame(step=5))
    assert bench.drops() == {"images.unreadable": 1}
    assert "/image" in bench.desk.complaints[0] and "step is 5" in bench.desk.complaints[0]


def test_without_an_engine_frames_are_counted(bench: Bench) -> None:
    bench.supervisor.release()
    assert bench.engines[0].closed
    bench.processor.process(bench.frame())
    assert bench.drops() == {"images.engine_not_ready": 1}
    assert bench.health.engine_state[0] is EngineState.NONE


def test_any_other_error_costs_one_frame_only(bench: Bench, monkeypatch: Any) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise KeyError("surprise")

    with monkeypatch.context() as patch:
        patch.setattr(frame_steps, "skeleton_array", broken)
        bench.processor.process(bench.frame())
    assert bench.drops() == {"images.unreadable": 1}
    assert "KeyError" in bench.desk.complaints[0]
    bench.processor.process(bench.frame())
    assert len(bench.desk.published) == 1


def test_an_error_after_the_answer_does_not_count_the_image_as_dropped(
    bench: Bench, monkeypatch: Any
) -> None:
    def broken(make: Any) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(bench.desk, "publish_overlay", broken)
    bench.processor.process(bench.frame())
    assert len(bench.desk.published) == 1
    assert bench.drops() == {}
    assert "KeyError" in bench.desk.complaints[0]


def test_smoothed_skeletons_beside_the_raw_ones(bench: Bench) -> None:
    bench.processor.process(bench.frame())
    assert bench.desk.smoothed == []
    bench.desk.settings = replace(bench.desk.settings, smoothing=True)
    for age in (0.2, 0.1, 0.0, 5.0):  # the last is a time jump
        bench.processor.process(bench.frame(age))
    raw, smoothed = bench.desk.published[1:], bench.desk.smoothed
    assert [one.header for one in smoothed] == [one.header for one in raw]
    first, *_, last = range(4)
    for n in (first, last):
        assert smoothed[n].skeletons == raw[n].skeletons
    variances = [
        [k.var_x for k in one.skeletons[0].keypoints] for one in (smoothed[2], raw[2], raw[0])
    ]
    assert variances[1] == variances[2]  # nothing of the filter is in what `skeletons` carry
    assert (np.array(variances[0]) < variances[1]).all()
