# SPDX-License-Identifier: Apache-2.0
"""The doctor's findings for people and for programs, and the verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hrnet_pose_ros.doctor.findings import Finding, Severity
from hrnet_pose_ros.version import VERSION

# Raised when a key of the JSON report goes away or changes its meaning; new keys may come.
SCHEMA = 1

CAN_RUN, CANNOT_RUN = 0, 1

_MARKS = {
    Severity.OK: "ok",
    Severity.NOTE: "note",
    Severity.WARNING: "warning",
    Severity.ERROR: "ERROR",
}
_COLOURS = {Severity.OK: "32", Severity.NOTE: "36", Severity.WARNING: "33", Severity.ERROR: "31;1"}


@dataclass(frozen=True)
class Report:
    """Findings by section, in order."""

    sections: Mapping[str, list[Finding]]

    def of_level(self, level: Severity) -> list[tuple[str, Finding]]:
        """``(section, finding)`` of all findings of a level."""
        return [
            (section, finding)
            for section, findings in self.sections.items()
            for finding in findings
            if finding.level is level
        ]

    @property
    def can_run(self) -> bool:
        """Whether a node could run here with the default parameters."""
        return not self.of_level(Severity.ERROR)

    def code(self, strict: bool) -> int:
        """The exit code; ``strict``: warnings count as errors do."""
        fine = self.can_run and not (strict and self.of_level(Severity.WARNING))
        return CAN_RUN if fine else CANNOT_RUN

    def to_json(self) -> dict[str, Any]:
        """See docs/vehicle.md."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "can_run": self.can_run,
            "errors": [f"{section}.{one.name}" for section, one in self.of_level(Severity.ERROR)],
            "warnings": [
                f"{section}.{one.name}" for section, one in self.of_level(Severity.WARNING)
            ],
            "sections": {
                section: [finding.to_json() for finding in findings]
                for section, findings in self.sections.items()
            },
        }

    def text(self, width: int = 100, colour: bool = False) -> str:
        """The report for people, in lines of up to ``width`` characters."""
        lines = []
        for section, findings in self.sections.items():
            lines.append(section)
            longest = max((len(finding.name) for finding in findings), default=0)
            for finding in findings:
                lines += _lines(finding, longest, width, colour)
            lines.append("")
        return "\n".join([*lines, *self._verdict()])

    def _verdict(self) -> list[str]:
        warnings = len(self.of_level(Severity.WARNING))
        also = f" {warnings} warning{'' if warnings == 1 else 's'}." if warnings else ""
        if self.can_run:
            return [f"A node can run here with the default parameters.{also}"]
        errors = [f"{section}: {one.name}" for section, one in self.of_level(Severity.ERROR)]
        return [f"No node can run here with the default parameters: {', '.join(errors)}.{also}"]


def _lines(finding: Finding, longest: int, width: int, colour: bool) -> list[str]:
    mark = f"{_MARKS[finding.level]:7}"
    indent = " " * (2 + 7 + 2 + longest + 2)
    value = " ".join(finding.value.split())
    lines = _wrapped(value, width, f"  {mark}  {finding.name:{longest}}  ", indent)
    if finding.advice:
        advice = " ".join(finding.advice.split())
        lines += _wrapped(advice, width, f"{indent}-> ", f"{indent}   ")
    if colour:
        painted = f"\033[{_COLOURS[finding.level]}m{mark}\033[0m"
        lines[0] = lines[0].replace(mark.rstrip(), painted.replace(mark, mark.rstrip()), 1)
    return lines


def _wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    """Lines that keep paths and commands whole."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
