# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from hrnet_pose_ros.ros.diagnostic_status import (
    HOLD,
    DiagnosticCondition,
    DiagnosticLevel,
    Hysteresis,
    diagnostic_status,
    host_hardware_id,
    summary,
)

OLD = DiagnosticCondition("old", DiagnosticLevel.WARN, "too old")
CLOCK = DiagnosticCondition("clock", DiagnosticLevel.ERROR, "clock differs")


def test_a_condition_counts_at_once_and_holds() -> None:
    held = Hysteresis()
    assert held.update(0.0, [OLD]) == [OLD]
    assert held.update(HOLD, []) == [OLD]
    assert held.update(HOLD + 0.01, []) == []
    assert Hysteresis(hold=0.0).update(0.1, []) == []


def test_one_that_flickers_stays() -> None:
    held = Hysteresis()
    for second in range(20):
        assert held.update(float(second), [OLD] if second % 3 == 0 else []) == [OLD]


def test_the_newest_text_counts() -> None:
    held = Hysteresis()
    held.update(0.0, [OLD])
    newer = DiagnosticCondition("old", DiagnosticLevel.WARN, "much too old")
    assert held.update(1.0, [newer]) == [newer]


def test_the_worst_comes_first_and_gives_the_level() -> None:
    conditions = Hysteresis().update(0.0, [OLD, CLOCK])
    assert conditions == [CLOCK, OLD]
    assert summary(conditions, "ok") == (DiagnosticLevel.ERROR, "clock differs; too old")
    assert summary([], "ok") == (DiagnosticLevel.OK, "ok")


def test_a_status_has_the_hardware_id_of_this_computer() -> None:
    assert host_hardware_id() == socket.gethostname() != ""
    status = diagnostic_status("/node: x", DiagnosticLevel.WARN, "old", {"a": "1"}, "vehicle7")
    assert status == DiagnosticStatus(
        level=DiagnosticStatus.WARN,
        name="/node: x",
        message="old",
        hardware_id="vehicle7",
        values=[KeyValue(key="a", value="1")],
    )
