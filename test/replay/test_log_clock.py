# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from hrnet_pose_ros.pipeline.gate import EXPIRY_PERIOD
from hrnet_pose_ros.replay.log_clock import LogClock

FIRST = 1_700_000_000_123_456_789
MS = 1_000_000


def ticks(clock: LogClock, until: int, max_wait: float = 0.3) -> list[tuple[int, float]]:
    """Milliseconds of log time since the first message, and the steady clock, at each tick."""
    return [
        (round((clock.now() - FIRST) / MS), round(clock.steady(), 6))
        for _ in clock.advance(until, max_wait)
    ]


def test_the_expiry_timer_fires_between_two_messages() -> None:
    clock = LogClock()
    assert ticks(clock, FIRST) == []
    assert (clock.now(), clock.steady()) == (FIRST, 0.0)
    assert ticks(clock, FIRST + 49 * MS) == []
    assert ticks(clock, FIRST + 160 * MS) == [(99, 0.099), (149, 0.149)]
    assert (clock.now(), clock.steady()) == (FIRST + 160 * MS, pytest.approx(0.16))


def test_in_a_long_pause_it_fires_until_nothing_can_wait() -> None:
    clock = LogClock()
    ticks(clock, FIRST)
    assert len(ticks(clock, FIRST + 10**13)) == round(0.3 / EXPIRY_PERIOD) + 2
    assert clock.now() == FIRST + 10**13


def test_after_the_last_message_what_waits_has_its_full_time() -> None:
    clock = LogClock()
    ticks(clock, FIRST)
    times = [clock.steady() for _ in clock.run_out(0.3)]
    assert times[0] == EXPIRY_PERIOD and times[-1] > 0.3
