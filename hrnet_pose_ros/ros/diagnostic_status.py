# SPDX-License-Identifier: Apache-2.0
"""DiagnosticStatus messages whose level does not flicker: a condition is held for a few seconds.

As with diagnostic_updater, every status of a node has the same ``hardware_id``: the name of the
computer on which the node runs.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

# A condition is held for this many seconds after it was last true, which is three reports at one
# per second, so that neither a person nor an aggregator misses an intermittent fault.
HOLD = 3.0
# The value that diagnostic_updater asks for if there is no hardware to name.
NO_HARDWARE = "none"


class DiagnosticLevel(IntEnum):
    """The levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class DiagnosticCondition:
    """Something that is wrong now. ``key`` identifies the kind of condition and must not change."""

    key: str
    level: DiagnosticLevel
    text: str


class Hysteresis:
    """Keeps each condition until it has been absent for ``hold`` seconds."""

    def __init__(self, hold: float = HOLD) -> None:
        self._hold = hold
        self._seen: dict[str, tuple[float, DiagnosticCondition]] = {}

    def update(
        self, now: float, conditions: Iterable[DiagnosticCondition]
    ) -> list[DiagnosticCondition]:
        """Return the conditions that hold at ``now`` (steady seconds), the worst first."""
        for condition in conditions:
            self._seen[condition.key] = (now, condition)
        self._seen = {
            key: (seen, condition)
            for key, (seen, condition) in self._seen.items()
            if now - seen <= self._hold
        }
        held = [condition for _, condition in self._seen.values()]
        return sorted(held, key=lambda condition: (-condition.level, condition.key))


def summary(conditions: list[DiagnosticCondition], ok_text: str) -> tuple[DiagnosticLevel, str]:
    """Return the level and the text of a status; ``ok_text`` is the text if nothing is wrong."""
    if not conditions:
        return DiagnosticLevel.OK, ok_text
    return conditions[0].level, "; ".join(condition.text for condition in conditions)


def host_hardware_id() -> str:
    """Return the name of this computer, or `NO_HARDWARE` if it has none."""
    return socket.gethostname() or NO_HARDWARE


def diagnostic_status(
    name: str, level: DiagnosticLevel, message: str, values: Mapping[str, str], hardware_id: str
) -> DiagnosticStatus:
    """Make a status; ``name`` starts with the node's name: ``/front/hrnet_pose: input``."""
    return DiagnosticStatus(
        level=bytes([level]),
        name=name,
        message=message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


class StatusLog:
    """Writes each change of a status's level to a node's log.

    Parameters
    ----------
    logger
        The logger of the node.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._levels: dict[str, DiagnosticLevel] = {}

    def report(self, statuses: Iterable[DiagnosticStatus]) -> None:
        """Log the statuses whose level has changed since the last report; at first all are OK."""
        for status in statuses:
            level = DiagnosticLevel(status.level[0])
            if level is self._levels.get(status.name, DiagnosticLevel.OK):
                continue
            self._levels[status.name] = level
            short = status.name.rsplit(": ", 1)[-1]
            if level is DiagnosticLevel.OK:
                self._logger.info(f"{short} is OK again: {status.message}")
            elif level is DiagnosticLevel.WARN:
                self._logger.warning(f"{short}: {status.message}")
            else:
                self._logger.error(f"{short}: {status.message}")


def status_line(state: str, statuses: list[DiagnosticStatus]) -> str:
    """Return one line of JSON: lifecycle ``state``, worst ``level``, and each status by its name.

    Numeric values are numbers in JSON.
    """
    worst = max((status.level[0] for status in statuses), default=int(DiagnosticLevel.OK))
    parts = {
        status.name.rsplit(": ", 1)[-1]: {
            "level": DiagnosticLevel(status.level[0]).name,
            "message": status.message,
            "values": {value.key: _number(value.value) for value in status.values},
        }
        for status in statuses
    }
    return json.dumps({"state": state, "level": DiagnosticLevel(worst).name} | parts)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
