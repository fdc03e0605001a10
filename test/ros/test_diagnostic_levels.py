# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hrnet_pose_ros.ros.diagnostic_levels import HOLD, Condition, Hysteresis, Level, summary

OLD = Condition("old", Level.WARN, "too old")
CLOCK = Condition("clock", Level.ERROR, "clock differs")


def test_a_condition_counts_at_once_and_holds() -> None:
    held = Hysteresis()
    assert held.update(0.0, [OLD]) == [OLD]
    assert held.update(HOLD, []) == [OLD]
    assert held.update(HOLD + 0.01, []) == []


def test_one_that_flickers_stays() -> None:
    held = Hysteresis()
    for second in range(20):
        assert held.update(float(second), [OLD] if second % 3 == 0 else []) == [OLD]


def test_the_newest_text_counts() -> None:
    held = Hysteresis()
    held.update(0.0, [OLD])
    newer = Condition("old", Level.WARN, "much too old")
    assert held.update(1.0, [newer]) == [newer]


def test_the_worst_comes_first_and_gives_the_level() -> None:
    conditions = Hysteresis().update(0.0, [OLD, CLOCK])
    assert conditions == [CLOCK, OLD]
    assert summary(conditions, "ok") == (Level.ERROR, "clock differs; too old")
    assert summary([], "ok") == (Level.OK, "ok")
