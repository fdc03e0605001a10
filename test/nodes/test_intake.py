# SPDX-License-Identifier: Apache-2.0
"""The intake with a real engine thread and the messages of rclpy, without a node."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ros_robot import header
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.nodes.pose.diagnostics import Health
from hrnet_pose_ros.nodes.pose.frame_processor import Frame
from hrnet_pose_ros.nodes.pose.intake import CLOCK_LIMIT_NS, Intake
from hrnet_pose_ros.pipeline.drop_reasons import Reason
from hrnet_pose_ros.pipeline.settings import PARAMETERS, Settings
from hrnet_pose_ros.ros.engine_thread import EngineThread

MS = 1_000_000
NOW = 1_700_000_000_000 * MS


class Host:
    """A node of which only the clock is needed."""

    image_topic = "/camera/image"

    def __init__(self, **changes: Any) -> None:
        self.settings = Settings.of({p.name: p.default for p in PARAMETERS} | changes)
        self.complaints: list[str] = []

    def now(self) -> int:
        return NOW

    def age(self, stamp: int) -> float:
        return max(NOW - stamp, 0) / 1e9

    def complain(self, kind: str, text: str) -> None:
        self.complaints.append(text)


class Bench:
    """An intake whose frames are kept; `held` keeps the engine thread from taking the next."""

    def __init__(self, **changes: Any) -> None:
        self.host, self.health = Host(**changes), Health()
        self.frames: list[Frame] = []
        self.took, self.held = threading.Semaphore(0), threading.Event()
        self.thread: EngineThread[Frame] = EngineThread(self._process)
        self.intake = Intake(self.host, self.health, self.thread)
        self.held.set()

    def _process(self, frame: Frame) -> None:
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
    one.intake.open()
    yield one
    one.held.set()
    assert one.thread.stop(10)


def image(stamp: int, **fields: Any) -> Image:
    message = Image(header=header(stamp), height=4, width=4, step=12, encoding="rgb8")
    message.data = bytes(48)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_a_pair_comes_out_with_its_age_at_arrival(bench: Bench) -> None:
    bench.pair(NOW - 120 * MS)
    assert bench.took.acquire(timeout=10)
    [frame] = bench.frames
    assert frame.pair.image.stamp == frame.pair.detections.stamp == NOW - 120 * MS
    assert 0 < frame.arrival <= 0.12  # without the time that it waited for its detections
    assert bench.drops() == {}


def test_closed_it_takes_nothing_and_what_waits_is_counted(bench: Bench) -> None:
    bench.held.clear()
    bench.pair(NOW - 40 * MS)
    assert bench.took.acquire(timeout=10)  # the engine is busy with it
    bench.pair(NOW - 30 * MS)
    bench.intake.image(image(NOW - 20 * MS))
    bench.intake.close()
    bench.pair(NOW - 10 * MS)
    not_ready = Reason.ENGINE_NOT_READY.value
    assert bench.drops() == {f"images.{not_ready}": 3, f"detections.{not_ready}": 1}
    assert bench.intake.obsolete(0) is Reason.ENGINE_NOT_READY


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        (NOW + 31 * MS, "of images is 0.031 s ahead of this node's clock"),
        (NOW - CLOCK_LIMIT_NS - MS, "of images is 10.001 s behind this node's clock"),
        (5 * MS, "behind this node's clock"),
    ],
)
def test_stamps_of_another_clock(bench: Bench, stamp: int, words: str) -> None:
    bench.pair(stamp)
    assert bench.drops() == {"images.clock_differs": 1, "detections.clock_differs": 1}
    assert words in bench.host.complaints[0]


def test_a_stamp_a_little_ahead_is_of_age_0(bench: Bench) -> None:
    bench.pair(NOW + 30 * MS)
    assert bench.took.acquire(timeout=10)
    assert bench.frames[0].arrival == 0


def test_old_pairs_and_overwritten_ones(bench: Bench) -> None:
    bench.pair(NOW - 501 * MS)
    assert bench.drops() == {"images.too_old": 1}
    bench.held.clear()
    for age in (30, 20, 10):
        bench.pair(NOW - age * MS)
        if age == 30:
            assert bench.took.acquire(timeout=10)
    assert bench.drops() == {"images.too_old": 1, "images.overwritten": 1}


def test_a_malformed_image_is_unreadable_and_named(bench: Bench) -> None:
    bench.intake.image(image(NOW, step=3))
    assert bench.drops() == {"images.unreadable": 1}
    assert bench.host.complaints[0].startswith("/camera/image: image dropped: ")


def test_compressed_images_where_the_settings_say_so() -> None:
    bench = Bench(image_transport="compressed")
    bench.intake.open()
    bench.intake.image(CompressedImage(header=header(NOW), format="jpeg", data=b"no picture"))
    assert bench.drops() == {"images.unreadable": 1}
    assert bench.thread.stop(10)


def test_a_time_jump_makes_older_frames_obsolete(bench: Bench) -> None:
    bench.pair(NOW - 10 * MS)
    assert bench.took.acquire(timeout=10)
    epoch = bench.frames[0].pair.epoch
    assert bench.intake.obsolete(epoch) is None
    bench.pair(NOW - 2000 * MS)
    assert bench.intake.obsolete(epoch) is Reason.TIME_JUMP


def test_settings_apply_at_once_and_waiting_ends(bench: Bench) -> None:
    changed = {p.name: p.default for p in PARAMETERS} | {"whole_image_as_person": True}
    bench.intake.apply(Settings.of(changed | {"max_wait_ms": 1.0}))
    bench.intake.image(image(NOW))
    threading.Event().wait(0.01)
    bench.intake.expire()
    assert bench.took.acquire(timeout=10)
    assert bench.frames[0].pair.detections is None
