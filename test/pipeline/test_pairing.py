# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject
from hrnet_pose_ros.pipeline.pairing import MAX_WAITING, Pair, Pairing

MS = 1_000_000
S = 1_000_000_000


class Track:
    """A Pairing with its drops written down; stamps in ms, messages are their own stamps."""

    def __init__(self, tolerance_ms: float = 0, max_wait: float = 0.3, whole: bool = False) -> None:
        self.drops: Counter[tuple[str, str]] = Counter()
        self.pairing = Pairing(
            tolerance=round(tolerance_ms * MS),
            max_wait=max_wait,
            pass_unpaired_images=whole,
            drop=lambda subject, reason: self.drops.update([(subject.value, reason.value)]),
        )

    def image(self, ms: float, now: float = 0.0) -> list[tuple[float, float | None]]:
        return _stamps(self.pairing.add_image(round(ms * MS), ms, now))

    def detections(self, ms: float, now: float = 0.0) -> list[tuple[float, float | None]]:
        return _stamps(self.pairing.add_detections(round(ms * MS), ms, now))

    def expire(self, now: float) -> list[tuple[float, float | None]]:
        return _stamps(self.pairing.expire(now))


def _stamps(pairs: list[Pair]) -> list[tuple[float, float | None]]:
    return [
        (p.image.message, None if p.detections is None else p.detections.message) for p in pairs
    ]


def test_equal_stamps_pair_at_once_whatever_comes_first() -> None:
    track = Track()
    assert track.image(100) == []
    assert track.detections(100) == [(100, 100)]
    assert track.detections(200) == []
    assert track.image(200) == [(200, 200)]
    assert not track.drops


def test_each_message_is_used_once() -> None:
    track = Track(tolerance_ms=50)
    track.image(100)
    assert track.detections(100) == [(100, 100)]
    assert track.detections(110) == []
    assert track.image(400) == []
    assert track.drops == {("detections", "unmatched"): 1}


def test_slow_detector_leaves_images_between_unmatched() -> None:
    track = Track()
    for ms in (0, 33, 66, 100):
        track.image(ms)
    assert track.detections(0) == [(0, 0)]
    assert track.detections(100) == [(100, 100)]
    assert track.drops == {("images", "unmatched"): 2}


def test_images_newer_than_the_detector_are_not_unmatched() -> None:
    track = Track()
    track.detections(0, now=0.0)
    track.image(0, now=0.0)
    track.image(33, now=0.03)
    track.expire(now=0.5)
    assert track.drops == {("images", "no_detections_yet"): 1}


def test_detections_without_image_wait_and_are_counted() -> None:
    track = Track()
    track.detections(100, now=0.0)
    track.expire(now=0.29)
    assert not track.drops
    track.expire(now=0.31)
    assert track.drops == {("detections", "unmatched"): 1}


@pytest.mark.parametrize(
    ("tolerance", "expected"),
    [
        (0, []),  # exact only
        (9, []),  # too narrow
        (10, [(100, 110)]),  # at the edge
        (40, [(100, 110)]),  # the nearer of two
    ],
)
def test_nearest_image_once_a_newer_one_has_come(tolerance: float, expected: list) -> None:
    track = Track(tolerance_ms=tolerance)
    track.image(100)
    assert track.detections(110) == []  # an image of 110 may still come
    assert track.image(133) == expected


def test_nearest_image_after_max_wait() -> None:
    track = Track(tolerance_ms=20)
    track.image(100, now=0.0)
    track.detections(110, now=0.1)
    assert track.expire(now=0.35) == []  # the image stays as long as detections near it wait
    assert track.expire(now=0.41) == [(100, 110)]
    assert not track.drops


@pytest.mark.parametrize("back_ms", [0, 1, 500, 999.9])
def test_stamp_that_repeats_or_goes_back_a_little_is_late(back_ms: float) -> None:
    track = Track()
    track.image(5000)
    track.image(5000 - back_ms)
    track.detections(5000)
    track.detections(5000 - back_ms)
    assert track.drops == {("images", "late"): 1, ("detections", "late"): 1}


@pytest.mark.parametrize("length", [500, 10_000])
def test_a_repeated_bag_goes_on_with_the_third_image(length: int) -> None:
    track = Track()
    for ms in range(0, length, 100):
        track.image(ms)
        assert track.detections(ms) == [(ms, ms)]
    track.image(length)
    epoch = track.pairing.epoch
    for ms in range(0, length, 100):  # second round
        track.image(ms)
        assert track.detections(ms) == ([(ms, ms)] if ms >= 200 else [])
    assert track.pairing.epoch == epoch + 1
    late = {("images", "late"): 2, ("detections", "late"): 2}
    assert track.drops == {("images", "time_jump"): 1} | late


def test_with_the_callers_word_it_goes_on_at_once() -> None:
    track = Track()
    assert track.image(500) == [] and track.detections(400) == []
    track.pairing.clear()
    assert track.image(0) == []
    assert track.detections(0) == [(0, 0)]


@pytest.mark.parametrize("back_ms", [0, 1, 500, 1_000, 5_000, 10_000])
@pytest.mark.parametrize("in_row", [1, 2])
def test_a_wrong_stamp_changes_nothing(back_ms: int, in_row: int) -> None:
    track = Track()
    for ms in range(20_000, 21_000, 100):
        track.image(ms)
        for number in range(in_row):  # also of two publishers, one of them behind
            track.image(ms - back_ms + number)
            track.detections(ms - 50 - back_ms - 100 + number)
    late = track.drops[("images", "late")]
    # Stamps that go on from the last one in order are in order.
    assert late == 10 * in_row or back_ms < in_row
    assert track.pairing.epoch == 0
    assert track.detections(20_900) == [(20_900, 20_900)]


def test_detections_of_before_the_jump_do_not_meet_images_after_it() -> None:
    track = Track()
    track.image(9_900)
    track.image(10_000)
    for ms in (0, 33, 66):
        track.image(ms)
    assert track.detections(9_900) == []  # late answer of the detector to the old round
    assert track.detections(10_000) == []
    track.image(99)
    assert track.detections(66) == [(66, 66)]
    assert track.detections(99) == [(99, 99)]
    jump = {("images", "time_jump"): 2, ("detections", "time_jump"): 2}
    assert track.drops == jump | {("images", "late"): 2}


def test_whole_images_pass_without_detections() -> None:
    track = Track(whole=True)
    track.image(0, now=0.0)
    assert track.expire(now=0.31) == [(0, None)]
    track.image(100, now=1.0)
    track.image(200, now=1.1)
    assert track.detections(200, now=1.2) == [(100, None), (200, 200)]
    assert not track.drops


def test_memory_is_bounded() -> None:
    track = Track(max_wait=1e9)
    for ms in range(1000):
        track.image(ms)
    assert track.drops == {("images", "no_detections_yet"): 1000 - MAX_WAITING}


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 3_000), st.floats(0, 0.2)), min_size=1, max_size=60
    ),
    st.sampled_from([0.0, 15.0, 200.0]),
    st.booleans(),
)
def test_every_message_is_used_once_or_dropped_once(
    messages: list[tuple[bool, int, float]], tolerance: float, whole: bool
) -> None:
    track = Track(tolerance_ms=tolerance, whole=whole)
    now, pairs = 0.0, []
    for is_image, ms, wait in messages:
        now += wait
        pairs += track.image(ms, now) if is_image else track.detections(ms, now)
    pairs += track.expire(now + 10)
    images = sum(is_image for is_image, _, _ in messages)
    dropped = Counter()
    for (subject, _), count in track.drops.items():
        dropped[subject] += count
    assert dropped["images"] + len(pairs) == images
    used = sum(d is not None for _, d in pairs)
    assert dropped["detections"] + used == len(messages) - images
    for image, detections in pairs:
        assert detections is None or abs(image - detections) <= tolerance


def test_reasons_of_images_and_detections_are_those_of_the_design() -> None:
    assert {Subject.IMAGE.value, Subject.DETECTIONS.value} == {"images", "detections"}
    assert Reason.NO_DETECTIONS_YET.value == "no_detections_yet"
