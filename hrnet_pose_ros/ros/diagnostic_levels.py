# SPDX-License-Identifier: Apache-2.0
"""Diagnostic levels that do not flicker: a condition holds on after it was last seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

# A condition stays for so many seconds after it was last true: three reports at one a second, so
# that neither a person nor an aggregator misses a fault that comes and goes.
HOLD = 3.0


class Level(IntEnum):
    """The levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Condition:
    """Something that is wrong now. ``key`` names the kind and stays as it is."""

    key: str
    level: Level
    text: str


class Hysteresis:
    """Keeps each condition until it has been absent for `HOLD` seconds."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, Condition]] = {}

    def update(self, now: float, conditions: Iterable[Condition]) -> list[Condition]:
        """The conditions that count at ``now`` (steady seconds), the worst first."""
        for condition in conditions:
            self._seen[condition.key] = (now, condition)
        self._seen = {
            key: (seen, condition)
            for key, (seen, condition) in self._seen.items()
            if now - seen <= HOLD
        }
        held = [condition for _, condition in self._seen.values()]
        return sorted(held, key=lambda condition: (-condition.level, condition.key))


def summary(conditions: list[Condition], fine: str) -> tuple[Level, str]:
    """The level and the text of a status; ``fine`` is the text where nothing is wrong."""
    if not conditions:
        return Level.OK, fine
    return conditions[0].level, "; ".join(condition.text for condition in conditions)
