# SPDX-License-Identifier: Apache-2.0
"""What becomes of a frame when something fails; the engine is real but for its faults."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ros_robot import header
from sensor_msgs.msg import Image

from hrnet_pose_ros.engines.engine import EngineInfo, PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.ros import frame_processor
from hrnet_pose_ros.ros.drops import Reason
from hrnet_pose_ros.ros.frame_processor import Frame, FrameProcessor
from hrnet_pose_ros.ros.health import EngineState, Health
from hrnet_pose_ros.ros.pairing import Pair, Waiting
from hrnet_pose_ros.ros.parameters import PARAMETERS, Settings
from hrnet_pose_ros.ros.person_detector_node import detection_array


class FailingEngine(PoseEngine):
    """The bundled engine; `fault` is called before each estimate and may raise."""

    def __init__(self, engine: PoseEngine) -> None:
        self._engine = engine
        self.fault: Callable[[], Any] = lambda: None
        self.closed = False

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def estimate(self, frame: np.ndarray, boxes: np.ndarray) -> Poses:
        self.fault()
        return self._engine.estimate(frame, boxes)

    def close(self) -> None:
        self.closed = True
        self._engine.close()


class Desk:
    """Outputs that keep what they are given."""

    def __init__(self) -> None:
        self.settings = Settings.of({p.name: p.default for p in PARAMETERS} | {"max_age_ms": 1e4})
        self.camera_info = None
        self.image_topic = "/image"
        self.published: list[Any] = []
        self.smoothed: list[Any] = []
        self.infos: list[EngineInfo] = []
        self.complaints: list[str] = []
        self.reason: Reason | None = None

    def age(self, stamp: int) -> float:
        return max(time.time_ns() - stamp, 0) / 1e9

    def obsolete(self, epoch: int) -> Reason | None:
        return self.reason

    def publish_skeletons(self, message: Any) -> None:
        self.published.append(message)

    def publish_smoothed(self, make: Callable[[], Any]) -> None:
        self.smoothed.append(make())

    def publish_overlay(self, make: Callable[[], Any]) -> None: ...

    def publish_markers(self, make: Callable[[], Any]) -> None: ...

    def engine_changed(self, info: EngineInfo) -> None:
        self.infos.append(info)

    def complain(self, kind: str, text: str) -> None:
        self.complaints.append(text)


class Bench:
    """A processor with a desk, and the engines that it made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, frame: np.ndarray) -> None:
        self.desk, self.health = Desk(), Health()
        self.engines: list[FailingEngine] = []
        self._pixels = frame

        def make(*arguments: Any, **options: Any) -> FailingEngine:
            self.engines.append(FailingEngine(make_engine("hrnet_w16_small", precision="float32")))
            return self.engines[-1]

        monkeypatch.setattr(frame_processor, "make_engine", make)
        monkeypatch.setattr(frame_processor, "FIRST_RETRY", 0.05)
        self.processor = FrameProcessor(self.desk, self.health)
        self.processor.prepare()

    def frame(self, age: float = 0.0, **fields: Any) -> Frame:
        stamp = time.time_ns() - round(age * 1e9)
        height, width = self._pixels.shape[:2]
        image = Image(header=header(stamp), height=height, width=width, step=3 * width)
        image.encoding, image.data = "rgb8", self._pixels.tobytes()
        for name, value in fields.items():
            setattr(image, name, value)
        detections = detection_array(header(stamp), [[300.0, 200.0, 60.0, 150.0]], [0.9], ["a"])
        now = time.monotonic()
        return Frame(Pair(Waiting(stamp, image, now), Waiting(stamp, detections, now), 0), 0.0, now)

    def drops(self) -> dict[str, int]:
        return self.health.drops.counts()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, street_frames: list[np.ndarray]) -> Bench:
    return Bench(monkeypatch, street_frames[0])


def fail() -> None:
    raise RuntimeError("out of memory")


def test_a_frame_becomes_skeletons(bench: Bench) -> None:
    bench.processor.process(bench.frame())
    assert len(bench.desk.published[0].skeletons) == 1
    assert bench.drops() == {}
    assert len(bench.desk.infos) == 1


def test_an_engine_that_fails_is_reported_closed_and_made_again(bench: Bench) -> None:
    broken = bench.engines[0]
    broken.fault = fail
    bench.processor.process(bench.frame())
    assert bench.health.engine_state == (EngineState.FAILED, "out of memory")
    assert broken.closed and bench.desk.published == []
    assert "out of memory" in bench.desk.complaints[0]
    bench.processor.process(bench.frame())  # too soon for another
    assert bench.drops() == {"images.engine_not_ready": 2}
    time.sleep(0.06)
    bench.processor.process(bench.frame())
    assert len(bench.engines) == 2 and len(bench.desk.published) == 1
    assert bench.health.engine_state[0] is EngineState.READY
    assert len(bench.desk.infos) == 2  # the latched info is published again


def test_an_engine_that_cannot_be_made_again_is_tried_less_often(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.engines[0].fault = fail
    bench.processor.process(bench.frame())
    made = []

    def make(*arguments: Any, **options: Any) -> PoseEngine:
        made.append(time.monotonic())
        raise RuntimeError("no device")

    monkeypatch.setattr(frame_processor, "make_engine", make)
    begin = time.monotonic()
    while len(made) < 4 and time.monotonic() - begin < 5:
        bench.processor.process(bench.frame())
        time.sleep(0.005)
    gaps = np.diff(made)
    assert len(made) == 4 and (gaps > 0.05).all() and gaps[2] > 1.5 * gaps[0]
    assert bench.health.engine_state == (EngineState.FAILED, "no device")
    assert bench.desk.published == []


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
    bench.processor.release()
    assert bench.engines[0].closed
    bench.processor.process(bench.frame())
    assert bench.drops() == {"images.engine_not_ready": 1}
    assert bench.health.engine_state[0] is EngineState.NONE


def test_any_other_error_costs_one_frame_only(bench: Bench, monkeypatch: Any) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise KeyError("surprise")

    with monkeypatch.context() as patch:
        patch.setattr(frame_processor, "skeleton_array", broken)
        bench.processor.process(bench.frame())
    assert bench.drops() == {"images.unreadable": 1}
    assert "KeyError" in bench.desk.complaints[0]
    bench.processor.process(bench.frame())
    assert len(bench.desk.published) == 1


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
