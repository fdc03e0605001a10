# SPDX-License-Identifier: Apache-2.0
"""The gate of images and detections, on a clock that the test moves."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace as Message
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrnet_pose_ros.pipeline.drop_reasons import Drops, Reason, Subject
from hrnet_pose_ros.pipeline.gate import CLOCK_LIMIT_NS, FrameGate, PairedFrame
from hrnet_pose_ros.pipeline.image_transport import COMPRESSED, RAW, ImageTransport
from hrnet_pose_ros.pipeline.settings import PARAMETERS, Settings

MS = 1_000_000
START = 1_700_000_000_000 * MS


class TestClock:
    """``clock.ms += 5``: both clocks go on by 5 ms."""

    __test__ = False
    ms = 0.0

    def now(self) -> int:
        return START + round(self.ms * MS)

    def steady(self) -> float:
        return 50.0 + self.ms / 1e3


class Entrance:
    """An open gate with what it dropped and refused."""

    def __init__(
        self, transport: ImageTransport = RAW, check_times: bool = True, **changes: Any
    ) -> None:
        self.clock, self.counts = TestClock(), Drops()
        self.refused: list[tuple[Subject, Reason, str]] = []
        self.gate = FrameGate(
            settings(**changes),
            self.clock,
            transport,
            self.counts.add,
            refused=lambda *why: self.refused.append(why),
            check_times=check_times,
        )
        self.gate.open()

    def image(self, ms: float, **fields: Any) -> list[PairedFrame]:
        return self.gate.image(image(ms, **fields))

    def detections(self, ms: float) -> list[PairedFrame]:
        return self.gate.detections(Message(header=header(ms)))

    def pair(self, ms: float) -> list[PairedFrame]:
        return self.image(ms) + self.detections(ms)

    @property
    def drops(self) -> dict[str, int]:
        return self.counts.counts()


def settings(**changes: Any) -> Settings:
    return Settings.of({p.name: p.default for p in PARAMETERS} | changes)


def header(ms: float) -> Any:
    seconds, nanoseconds = divmod(START + round(ms * MS), 10**9)
    return Message(stamp=Message(sec=seconds, nanosec=nanoseconds))


def image(ms: float, **fields: Any) -> Any:
    values = {"height": 4, "width": 4, "step": 12, "encoding": "rgb8", "data": bytes(48)}
    return Message(header=header(ms), **(values | fields))


def test_a_pair_comes_out_with_its_times() -> None:
    entrance = Entrance()
    entrance.clock.ms = 40
    assert entrance.image(10) == []
    entrance.clock.ms = 100
    [frame] = entrance.detections(10)
    assert frame.pair.image.stamp == frame.pair.detections.stamp == START + 10 * MS
    assert frame.arrival == pytest.approx(0.03)  # without the time that it waited for detections
    assert frame.paired - frame.pair.image.arrived == pytest.approx(0.06)
    assert entrance.gate.age(frame.pair.image.stamp) == pytest.approx(0.09)
    assert entrance.drops == {}


def test_a_closed_gate_takes_nothing_and_what_waits_is_counted() -> None:
    entrance = Entrance()
    [frame] = entrance.pair(0)
    assert entrance.gate.stale_reason(frame.pair, 0.0) is None
    entrance.image(10)
    entrance.gate.close()
    assert entrance.pair(20) == []
    assert entrance.drops == {"images.engine_not_ready": 2, "detections.engine_not_ready": 1}
    assert entrance.gate.stale_reason(frame.pair, 0.0) is Reason.ENGINE_NOT_READY
    entrance.gate.open()
    assert entrance.gate.stale_reason(frame.pair, 0.0) is Reason.TIME_JUMP


@pytest.mark.parametrize(
    ("stamp_ms", "words"),
    [
        (31, "of images is 0.031 s ahead of this node's clock"),
        (-CLOCK_LIMIT_NS / MS - 1, "of images is 10.001 s behind this node's clock"),
        (5 - START / MS, "behind this node's clock"),
    ],
)
def test_stamps_of_another_clock(stamp_ms: float, words: str) -> None:
    entrance = Entrance()
    assert entrance.pair(stamp_ms) == []
    assert entrance.drops == {"images.clock_differs": 1, "detections.clock_differs": 1}
    (subject, reason, text), _ = entrance.refused
    assert (subject, reason) == (Subject.IMAGE, Reason.CLOCK_DIFFERS)
    assert words in text


def test_stamps_within_the_limits_pass() -> None:
    entrance = Entrance(max_age_ms=10_000.0)
    assert len(entrance.pair(-9_999)) == 1
    [ahead] = entrance.pair(30)  # clock_tolerance_ms
    assert ahead.arrival == 0


def test_old_pairs_are_dropped_and_old_results_are_stale() -> None:
    entrance = Entrance()
    assert entrance.pair(-501) == []
    assert entrance.drops == {"images.too_old": 1}
    [frame] = entrance.pair(-499)
    assert entrance.gate.stale_reason(frame.pair, 0.499) is None
    assert entrance.gate.stale_reason(frame.pair, 0.501) is Reason.TOO_OLD


def test_a_gate_that_does_not_check_times() -> None:
    entrance = Entrance(check_times=False)
    assert len(entrance.pair(-3_600_000) + entrance.pair(3_600_000)) == 2
    assert entrance.drops == {}


@pytest.mark.parametrize(
    ("transport", "fields", "words"),
    [
        (RAW, {"step": 3}, "step is 3"),
        (COMPRESSED, {"data": b"no picture", "format": "jpeg"}, "is not a complete JPEG or PNG"),
    ],
)
def test_images_that_cannot_be_read(transport: ImageTransport, fields: Any, words: str) -> None:
    entrance = Entrance(transport)
    assert entrance.image(0, **fields) == []
    assert entrance.drops == {"images.unreadable": 1}
    [(subject, reason, text)] = entrance.refused
    assert (subject, reason) == (Subject.IMAGE, Reason.UNREADABLE)
    assert words in text


def test_one_wrong_stamp_changes_nothing_and_a_new_time_makes_older_frames_stale() -> None:
    entrance = Entrance(max_age_ms=10_000.0)
    [frame] = entrance.pair(-10)
    for ms in (-2_000, -1_900):
        assert entrance.image(ms) == []
        assert entrance.gate.stale_reason(frame.pair, 0.01) is None
    assert entrance.drops == {"images.late": 2}
    assert len(entrance.pair(-1_800)) == 1
    assert entrance.gate.stale_reason(frame.pair, 0.01) is Reason.TIME_JUMP


@pytest.mark.parametrize("length", [300, 5_000])
def test_a_clock_that_goes_back_begins_a_new_time_at_once(length: int) -> None:
    """A bag that is repeated with its clock."""
    entrance = Entrance()
    for _ in range(3):
        entrance.clock.ms = 0
        for ms in range(0, length, 100):
            entrance.clock.ms = ms
            assert len(entrance.pair(ms)) == 1
        entrance.clock.ms = length
        entrance.image(length)  # waits for its detections
        entrance.clock.ms = 0
        entrance.gate.expire()
        # What is still on the way was right before.
        assert entrance.image(length) == [] and entrance.detections(length) == []
    assert entrance.drops == {"images.time_jump": 6, "detections.time_jump": 3}
    assert entrance.refused == []


@pytest.mark.parametrize(
    ("now", "stamp", "words"),
    [
        (START, 0, "the stamp of images is 0: their publisher does not set it"),
        (START, 7 * 10**9, "it does not count from 1970, but probably from the start of the"),
        (START, -1, "this node's clock, and before 1970"),
        (START, START + 10**9, "the stamp of images is 1.000 s ahead of this node's clock"),
        (0, START, "use_sim_time is set, but no /clock has arrived"),
    ],
)
def test_a_stamp_of_another_clock_is_explained(now: int, stamp: int, words: str) -> None:
    entrance = Entrance()
    entrance.clock.now = lambda: now  # type: ignore[method-assign]
    assert entrance.gate.admit(Subject.IMAGE, stamp, "image") == []
    [(_, reason, text)] = entrance.refused
    assert reason is Reason.CLOCK_DIFFERS and words in text


def test_an_image_that_is_too_old_is_explained() -> None:
    entrance = Entrance()
    entrance.clock.ms = 700
    entrance.image(0)
    entrance.clock.ms = 750
    assert entrance.detections(0) == []
    [(_, reason, text)] = entrance.refused
    assert reason is Reason.TOO_OLD
    assert "0.750 s old when it is paired, 0.700 s of which passed before it arrived" in text


def test_settings_apply_at_once_and_waiting_ends() -> None:
    entrance = Entrance()
    entrance.gate.apply(settings(whole_image_as_person=True, max_wait_ms=20.0))
    entrance.image(0)
    entrance.clock.ms = 19
    assert entrance.gate.expire() == []
    entrance.clock.ms = 21
    [frame] = entrance.gate.expire()
    assert frame.pair.detections is None and frame.pair.detections_message is None
    entrance.gate.apply(settings(sync_tolerance_ms=5.0, max_age_ms=1.0))
    assert entrance.image(10) == [] and entrance.image(21) == []
    assert entrance.detections(12) == []
    assert entrance.drops == {"images.too_old": 1}


MESSAGES = st.tuples(
    st.sampled_from(["image", "broken image", "detections", "expire", "close", "open"]),
    st.sampled_from([0, 1, 33, 66, 100, 400, 1_500, -2_000, -20_000, 20_000]),  # ms from the clock
    st.sampled_from([0, 5, 60, 700]),  # ms that pass before it
)


@given(st.lists(MESSAGES, max_size=40), st.sampled_from([0.0, 10.0]), st.booleans(), st.booleans())
def test_every_message_is_in_one_frame_or_counted_once(
    messages: list[tuple[str, int, int]], tolerance: float, whole_image: bool, check_times: bool
) -> None:
    entrance = Entrance(
        check_times=check_times,
        sync_tolerance_ms=tolerance,
        whole_image_as_person=whole_image,
    )
    frames, sent = [], Counter()
    for kind, ms, pause in messages:
        entrance.clock.ms += pause
        stamp = entrance.clock.ms - ms
        if kind in ("close", "open", "expire"):
            frames += getattr(entrance.gate, kind)() or []
            continue
        sent["detections" if kind == "detections" else "images"] += 1
        if kind == "detections":
            frames += entrance.detections(stamp)
        else:
            frames += entrance.image(stamp, **({"step": 1} if kind == "broken image" else {}))
    entrance.gate.close()
    used = Counter({"images": len(frames)})
    used["detections"] = sum(frame.pair.detections is not None for frame in frames)
    # A frame that was too old when paired takes its detections with it: those were of use.
    dropped = Counter()
    for name, count in entrance.drops.items():
        dropped[name.partition(".")[0]] += count
    assert used["images"] + dropped["images"] == sent["images"]
    lost = entrance.drops.get("images.too_old", 0)
    assert 0 <= sent["detections"] - used["detections"] - dropped["detections"] <= lost
    assert all(frame.arrival >= 0 for frame in frames)
