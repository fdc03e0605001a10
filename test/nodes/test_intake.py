# SPDX-License-Identifier: Apache-2.0
"""The intake with a real engine thread and the messages of rclpy, without a node."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ros_robot import header
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.nodes.pose.diagnostics import Health
from hrnet_pose_ros.nodes.pose.intake import MessageIntake, refusal_warnings
from hrnet_pose_ros.pipeline.drop_reasons import Reason
from hrnet_pose_ros.pipeline.gate import FrameGate, PairedFrame
from hrnet_pose_ros.pipeline.image_transport import RAW
from hrnet_pose_ros.pipeline.settings import PARAMETERS, Settings
from hrnet_pose_ros.ros.engine_thread import EngineThread
from hrnet_pose_ros.ros.log import ThrottledWarnings

MS = 1_000_000
NOW = 1_700_000_000_000 * MS


class StoppedClock:
    """The ROS clock stands; the steady one is real."""

    def now(self) -> int:
        return NOW

    def steady(self) -> float:
        return time.monotonic()


class Logger:
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


class Bench:
    """An intake whose frames are kept; `held` keeps the engine thread from taking the next."""

    def __init__(self) -> None:
        self.health, self.logger = Health(), Logger()
        self.frames: list[PairedFrame] = []
        self.took, self.held = threading.Semaphore(0), threading.Event()
        self.thread: EngineThread[PairedFrame] = EngineThread(self._process)
        self.gate = FrameGate(
            Settings.of({p.name: p.default for p in PARAMETERS}),
            StoppedClock(),
            RAW,
            self.health.drops.add,
            refused=refusal_warnings(ThrottledWarnings(self.logger), "/camera/image"),
        )
        self.intake = MessageIntake(self.gate, self.health, self.thread)
        self.intake.open()
        self.held.set()

    def _process(self, frame: PairedFrame) -> None:
        self.frames.append(frame)
        self.took.release()
        self.held.wait(30)

    def pair(self, stamp: int) -> None:
        self.intake.image(image(stamp))
        self.intake.detections(Detection2DArray(header=header(stamp)))

    def drops(self) -> dict[str, int]:
        return self.health.drops.counts()


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench()
    yield one
    one.held.set()
    assert one.thread.stop(10)


def image(stamp: int, **fields: Any) -> Image:
    message = Image(header=header(stamp), height=4, width=4, step=12, encoding="rgb8")
    message.data = bytes(48)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_a_pair_goes_to_the_engine_thread(bench: Bench) -> None:
    bench.pair(NOW - 120 * MS)
    assert bench.took.acquire(timeout=60)
    [frame] = bench.frames
    assert frame.pair.image.stamp == frame.pair.detections.stamp == NOW - 120 * MS
    assert 0 < frame.arrival <= 0.12
    assert bench.drops() == {}


def test_closed_it_takes_nothing_and_what_waits_is_counted(bench: Bench) -> None:
    bench.held.clear()
    bench.pair(NOW - 40 * MS)
    assert bench.took.acquire(timeout=60)  # the engine is busy with it
    bench.pair(NOW - 30 * MS)
    bench.intake.image(image(NOW - 20 * MS))
    bench.intake.close()
    bench.pair(NOW - 10 * MS)
    not_ready = Reason.ENGINE_NOT_READY.value
    assert bench.drops() == {f"images.{not_ready}": 3, f"detections.{not_ready}": 1}
    assert bench.gate.stale_reason(bench.frames[0].pair, 0.0) is Reason.ENGINE_NOT_READY


def test_frames_that_the_engine_has_no_time_for_overwrite_each_other(bench: Bench) -> None:
    bench.held.clear()
    for age in (30, 20, 10):
        bench.pair(NOW - age * MS)
        if age == 30:
            assert bench.took.acquire(timeout=60)
    assert bench.drops() == {"images.overwritten": 1}


def test_messages_at_fault_are_named_in_the_log(bench: Bench) -> None:
    bench.intake.image(image(NOW, step=3))
    bench.pair(NOW + 60_000 * MS)
    assert bench.drops() == {
        "detections.clock_differs": 1,
        "images.clock_differs": 1,
        "images.unreadable": 1,
    }
    unreadable, *clocks = bench.logger.warnings
    assert unreadable.startswith("/camera/image: image dropped: step is 3")
    assert clocks == [
        f"the stamp of {subject} is 60.000 s ahead of this node's clock; dropped"
        for subject in ("images", "detections")
    ]


def test_settings_apply_at_once_and_waiting_ends(bench: Bench) -> None:
    changed = {p.name: p.default for p in PARAMETERS} | {"whole_image_as_person": True}
    bench.intake.apply(Settings.of(changed | {"max_wait_ms": 1.0}))
    bench.intake.image(image(NOW))
    threading.Event().wait(0.01)
    bench.intake.expire()
    assert bench.took.acquire(timeout=60)
    assert bench.frames[0].pair.detections is None
