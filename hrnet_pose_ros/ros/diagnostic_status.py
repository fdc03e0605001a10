# SPDX-License-Identifier: Apache-2.0
"""DiagnosticStatus messages whose level does not flicker: a condition outlasts its cause a little.

As with diagnostic_updater, every status of a node has the same ``hardware_id``: the name of the
computer that the node runs on.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

# A condition stays for so many seconds after it was last true: three reports at one a second, so
# that neither a person nor an aggregator misses a fault that comes and goes.
HOLD = 3.0
# What diagnostic_updater asks for where there is no hardware to name.
NO_HARDWARE = "none"


class DiagnosticLevel(IntEnum):
    """The levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class DiagnosticCondition:
    """Something that is wrong now. ``key`` names the kind and stays as it is."""

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
        """The conditions that count at ``now`` (steady seconds), the worst first."""
        for condition in conditions:
            self._seen[condition.key] = (now, condition)
        self._seen = {
            key: (seen, condition)
            for key, (seen, condition) in self._seen.items()
            if now - seen <= self._hold
        }
        held = [condition for _, condition in self._seen.values()]
        return sorted(held, key=lambda condition: (-condition.level, condition.key))


def summary(conditions: list[DiagnosticCondition], fine: str) -> tuple[DiagnosticLevel, str]:
    """The level and the text of a status; ``fine`` is the text where nothing is wrong."""
    if not conditions:
        return DiagnosticLevel.OK, fine
    return conditions[0].level, "; ".join(condition.text for condition in conditions)


def host_hardware_id() -> str:
    """The name of this computer, or `NO_HARDWARE` where it has none."""
    return socket.gethostname() or NO_HARDWARE


def diagnostic_status(
    name: str, level: DiagnosticLevel, message: str, values: Mapping[str, str], hardware_id: str
) -> DiagnosticStatus:
    """Make a status; ``name`` begins with the node's: ``/front/hrnet_pose: input``."""
    return DiagnosticStatus(
        level=bytes([level]),
        name=name,
        message=message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
