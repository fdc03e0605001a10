# SPDX-License-Identifier: Apache-2.0
"""Buffers by stamp: the nearest is used once, everything else is counted under a reason."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_pose_ros.fusion.buffers import StampBuffer, StampLimits
from hrnet_pose_ros.fusion.refusals import Refusal

MS = 1_000_000
T0 = 50_000 * MS


def filled(*stamps: int) -> StampBuffer[int]:
    buffer: StampBuffer[int] = StampBuffer(StampLimits())
    for ms in stamps:
        assert buffer.add(T0 + ms * MS, ms, T0 + ms * MS) is None
    return buffer


def test_the_nearest_is_taken_once_and_older_ones_are_not_needed() -> None:
    buffer = filled(0, 10, 20, 30)
    assert buffer.take(T0 + 21 * MS, 0.05) == 20
    assert buffer.tally.reasons == {Refusal.NOT_NEEDED: 2}
    assert buffer.take(T0 + 21 * MS, 0.05) == 30
    assert buffer.take(T0 + 21 * MS, 0.05) is None
    assert (buffer.tally.received, buffer.tally.used, buffer.tally.waiting) == (4, 2, 0)


def test_out_of_tolerance_is_nothing_and_later_ones_wait() -> None:
    buffer = filled(0, 200)
    assert buffer.take(T0 + 100 * MS, 0.05) is None
    assert buffer.tally.reasons == {Refusal.NOT_NEEDED: 1}
    assert buffer.take(T0 + 190 * MS, 0.05) == 200


def test_old_future_and_late_are_refused() -> None:
    buffer = filled(0)
    assert buffer.add(T0 + 100 * MS, 1, T0) is Refusal.IN_FUTURE
    assert buffer.add(T0 + 1 * MS, 1, T0 + 600 * MS) is Refusal.TOO_OLD
    assert buffer.add(T0, 1, T0) is Refusal.LATE
    assert buffer.add(T0 - 500 * MS, 1, T0 - 500 * MS) is Refusal.LATE


def test_a_jump_back_begins_anew() -> None:
    buffer = filled(5000, 5010)
    assert buffer.add(T0, 7, T0) is None
    assert buffer.tally.reasons == {Refusal.TIME_JUMP: 2}
    assert buffer.take(T0, 0.05) == 7


def test_a_check_refuses_with_its_reason() -> None:
    buffer = filled(0)
    assert buffer.take(T0, 0.05, lambda _: Refusal.NO_EXTRINSICS) is None
    assert buffer.tally.reasons == {Refusal.NO_EXTRINSICS: 1}


ACTION = st.one_of(
    st.tuples(st.just("add"), st.integers(-3000, 3000), st.integers(-700, 700)),
    st.tuples(st.just("take"), st.integers(-3000, 3000), st.just(0)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ACTION, max_size=60))
def test_received_is_used_plus_refused_plus_waiting(actions: list[tuple[str, int, int]]) -> None:
    buffer: StampBuffer[int] = StampBuffer(StampLimits(), size=5)
    given_out = []
    for kind, ms, offset in actions:
        stamp = T0 + ms * MS
        if kind == "add":
            buffer.add(stamp, len(given_out), stamp + offset * MS)
        else:
            taken = buffer.take(stamp, 0.06)
            given_out += [] if taken is None else [taken]
        tally = buffer.tally
        assert tally.received == tally.used + tally.refused + tally.waiting
        assert tally.used == len(given_out)
        assert tally.waiting <= 5
        assert set(tally.reasons) <= set(Refusal)
