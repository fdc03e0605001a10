# SPDX-License-Identifier: Apache-2.0
"""What becomes of a frame when something fails; the engine is real but for its faults."""

from __future__ import annotations

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from engine_bench import Bench

from hrnet_pose_ros.nodes.pose.diagnostics import EngineState
from hrnet_pose_ros.nodes.pose.optional_outputs import OptionalOutputs
from hrnet_pose_ros.pipeline.drop_reasons import Reason
from hrnet_pose_ros.pipeline.image_transport import COMPRESSED
from hrnet_pose_ros.ros.log import ThrottledWarnings


@pytest.fixture
def bench(street_frames: list[np.ndarray]) -> Bench:
    bench = Bench(street_frames[0])
    bench.supervisor.prepare()
    return bench


def test_a_frame_becomes_skeletons(bench: Bench) -> None:
    bench.processor.process(bench.frame())
    assert len(bench.published[0].skeletons) == 1
    assert bench.drops() == {}
    assert len(bench.infos) == 1


def test_a_result_that_became_too_old_is_not_published(bench: Bench) -> None:
    bench.set(max_age_ms=400.0)
    bench.processor.process(bench.frame(age=1.0))  # before the engine
    bench.engines[0].fault = lambda: time.sleep(0.5)
    bench.processor.process(bench.frame())  # by the engine
    assert bench.published == []
    assert bench.drops() == {"images.too_old": 2}


def test_a_result_of_another_time_is_not_published(bench: Bench) -> None:
    def jump() -> None:
        for age in (0.0, 2.0, 1.9, 1.8):
            bench.gate.image(bench.frame(age).pair.image.message)

    bench.engines[0].fault = jump
    bench.processor.process(bench.frame())
    assert bench.published == []
    # The one in the engine, and the one that waited; three that go back are a new time.
    assert bench.drops() == {"images.late": 2, "images.time_jump": 2}


def test_a_result_after_the_node_was_deactivated_is_not_published(bench: Bench) -> None:
    bench.engines[0].fault = bench.gate.close
    bench.processor.process(bench.frame())
    assert bench.published == []
    assert bench.drops() == {f"images.{Reason.ENGINE_NOT_READY.value}": 1}


def test_an_image_that_cannot_be_decoded_is_named(street_frames: list[np.ndarray]) -> None:
    bench = Bench(street_frames[0], transport=COMPRESSED)
    bench.supervisor.prepare()
    picture = cv2.imencode(".png", street_frames[0])[1].tobytes()
    place = picture.index(b"IDAT") + 4
    frame = bench.frame(compressed=picture[:place] + bytes(100) + picture[place + 100 :])
    COMPRESSED.check(frame.pair.image.message)  # the gate looks at headers only
    bench.processor.process(frame)
    assert bench.drops() == {"images.unreadable": 1}
    [warning] = bench.warnings
    assert warning.startswith("/image, stamp ") and "OpenCV cannot decode it" in warning


def test_without_an_engine_frames_are_counted(bench: Bench) -> None:
    bench.supervisor.release()
    assert bench.engines[0].closed
    bench.processor.process(bench.frame())
    assert bench.drops() == {"images.engine_not_ready": 1}
    assert bench.health.engine_state[0] is EngineState.NONE


def surprise() -> None:
    raise KeyError("surprise")


def test_any_other_error_costs_one_frame_only(bench: Bench) -> None:
    bench.publishers.skeletons.fault = surprise
    bench.processor.process(bench.frame())
    bench.publishers.skeletons.fault = lambda: None
    assert bench.drops() == {"images.unreadable": 1}
    assert "KeyError" in bench.warnings[0]
    bench.processor.process(bench.frame())
    assert len(bench.published) == 1


def test_an_error_after_the_answer_does_not_count_the_image_as_dropped(bench: Bench) -> None:
    bench.publishers.overlay.subscribers = 1
    bench.publishers.overlay.fault = surprise
    bench.processor.process(bench.frame())
    assert len(bench.published) == 1
    assert bench.drops() == {}
    assert "KeyError" in bench.warnings[0]


def test_annotations_only_while_subscribed(bench: Bench) -> None:
    pytest.importorskip("foxglove_msgs.msg")
    bench.process()
    assert bench.publishers.annotations.heard == []
    bench.publishers.annotations.subscribers = 1
    bench.process()
    [drawn], skeleton = bench.publishers.annotations.heard, bench.published[-1].skeletons[0]
    assert drawn.points[0].timestamp == bench.published[-1].header.stamp
    assert [text.text for text in drawn.texts] == [skeleton.id]
    corner = drawn.points[0].points[0]
    assert (corner.x, corner.y) == (300.5, 200.5)  # of the box, from the image's corner
    assert bench.warnings == []


def test_the_node_does_without_foxglove_msgs(bench: Bench) -> None:
    publishers = replace(bench.publishers, annotations=None)
    outputs = OptionalOutputs(publishers, ThrottledWarnings(bench))
    bench.processor._optional_outputs = outputs
    bench.process()
    assert len(bench.published) == 1 and bench.warnings == []


def test_smoothed_skeletons_beside_the_raw_ones(bench: Bench) -> None:
    bench.processor.process(bench.frame())
    assert bench.publishers.skeletons_smoothed.heard == []
    bench.set(smoothing=True)
    # All made before the first is processed, however slow that is. The last is a time jump.
    for frame in [bench.frame(age) for age in (0.2, 0.1, 0.0, 5.0)]:
        bench.processor.process(frame)
    raw, smoothed = bench.published[1:], bench.publishers.skeletons_smoothed.heard
    assert [one.header for one in smoothed] == [one.header for one in raw]
    first, *_, last = range(4)
    for n in (first, last):
        assert smoothed[n].skeletons == raw[n].skeletons
    variances = [
        [k.var_x for k in one.skeletons[0].keypoints] for one in (smoothed[2], raw[2], raw[0])
    ]
    assert variances[1] == variances[2]  # nothing of the filter is in what `skeletons` carry
    assert (np.array(variances[0]) < variances[1]).all()
