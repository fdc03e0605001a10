# SPDX-License-Identifier: Apache-2.0
"""What the doctor found: the small type that probes give and reports show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class Severity(str, Enum):
    """How bad a finding is. The values are those of the JSON report."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing is wrong
    WARNING = "warning"  # a node runs, but not as well as it could
    ERROR = "error"  # no node runs here with the default parameters


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    name
        What was looked at, in snake case; a key of the JSON report.
    value
        What was found, for people.
    level
        How bad it is.
    advice
        The way out, empty where none is needed.
    details
        The same for programs, in JSON's types.
    """

    name: str
    value: str
    level: Severity = Severity.OK
    advice: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As the report has it, and as a probe's process hands it over."""
        return asdict(self) | {"level": self.level.value, "details": dict(self.details)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Finding:
        """Read back what `to_json` gave."""
        return cls(**(dict(values) | {"level": Severity(values["level"])}))


def size_text(size: float) -> str:
    """Bytes for people: ``17.0 GB``."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
