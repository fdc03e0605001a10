# SPDX-License-Identifier: Apache-2.0
"""The criteria of the proof, and the tables about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.guard_proof.proof import HARMLESS, RideResult

# Limits of the criteria; those of the times are nav2's.
FALSE_STOP_RIDES = 0.01
TIME_TO_STOP, TIME_TO_RESUME = 0.6, 0.6  # s
HOLD_STOP, FALSE_STOP = 0.90, 0.05
ANSWER_MS = 5.0


@dataclass(frozen=True)
class Criterion:
    """One criterion: what was measured, in words, and whether it holds (None: nothing to say)."""

    name: str
    measured: str
    limit: str
    holds: bool | None


@dataclass(frozen=True)
class Summary:
    """Criteria and tables of all rides, in a fixed order."""

    results: tuple[RideResult, ...]

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """All of them. Times of the computation come last: they depend on the machine."""
        results = self.results
        failed = [one for one in results if one.outcome == "failed"]
        free = [one for one in results if one.kind == "free" and one.dropout == "none"]
        false = sum(one.false_stop for one in free)
        to_stop = [value for one in results for value in one.times.to_stop]
        to_resume = [value for one in results for value in one.times.to_resume]
        held, hold = _sums(results, "held", "hold")
        wrong, clear = _sums(results, "false", "clear")
        cpu = np.array([value for one in results for value in one.cpu_ms])
        wall = np.array([value for one in results for value in one.wall_ms])
        return (
            Criterion(
                f"rides with a contact above {HARMLESS:g} m/s that the ideal brake avoids",
                f"{len(failed)} of {len(results)}",
                "0",
                not failed,
            ),
            _fraction("false stops, of free rides", false, len(free), most=FALSE_STOP_RIDES),
            _percentile("time to stop, 95th percentile", to_stop, TIME_TO_STOP),
            _fraction("hold stop", held, hold, least=HOLD_STOP),
            _percentile("time to resume, 95th percentile", to_resume, TIME_TO_RESUME),
            _fraction("false stop, of the time", wrong, clear, most=FALSE_STOP),
            Criterion(
                "from command to limited command, 99th percentile",
                f"{np.percentile(cpu, 99):.2f} ms of the processor, {np.percentile(wall, 99):.2f} "
                f"ms of the clock ({len(cpu)} commands)"
                if len(cpu)
                else "no commands",
                f"{ANSWER_MS:g} ms of the processor",
                bool(np.percentile(cpu, 99) <= ANSWER_MS) if len(cpu) else None,
            ),
        )

    @property
    def holds(self) -> bool:
        """Whether no criterion fails."""
        return all(one.holds is not False for one in self.criteria)

    def outcomes(self) -> list[list[str]]:
        """By kind of ride: how many, and their outcomes; the last row is all together."""
        rows = []
        for kind in [*sorted({one.kind for one in self.results}), ""]:
            mine = [one for one in self.results if kind in ("", one.kind)]
            count = Counter(one.outcome for one in mine)
            outcomes = ("no contact", "harmless", "failed", "unavoidable", "unseen")
            rows.append([kind or "all", str(len(mine)), *(str(count[one]) for one in outcomes)])
        return rows

    def dropouts(self) -> list[list[str]]:
        """By dropout: how many rides, and how many failed or could not be avoided."""
        rows = []
        for kind in sorted({one.dropout for one in self.results}):
            mine = [one for one in self.results if one.dropout == kind]
            count = Counter(one.outcome for one in mine)
            outcomes = ("failed", "unavoidable", "unseen")
            rows.append([kind, str(len(mine)), *(str(count[one]) for one in outcomes)])
        return rows

    def listed(self) -> list[RideResult]:
        """The rides with a contact above the harmless speed, failures first."""
        order = ("failed", "unseen", "unavoidable")
        found = [one for one in self.results if one.outcome in order]
        return sorted(found, key=lambda one: (order.index(one.outcome), one.number))

    def errors(self) -> list[list[str]]:
        """By source: errors of the people with a skeleton, medians and 95th percentiles."""
        rows = []
        for source in sorted({one.source for one in self.results}):
            mine = [error for one in self.results if one.source == source for error in one.errors]
            if not mine:
                continue
            values = np.array(mine)
            along, beside = np.abs(values[:, 2]), np.abs(values[:, 3])
            rows.append(
                [
                    source,
                    str(len(mine)),
                    _spread(100 * along),
                    f"{100 * np.median(values[:, 4]):.1f}",
                    _spread(100 * beside),
                    f"{100 * np.median(values[:, 5]):.1f}",
                    _spread(values[:, 6], 2),
                    f"{np.nanmedian(values[:, 7]):.2f}",
                    f"{np.median(values[:, 8]):.1f}",
                ]
            )
        return rows

    def json(self) -> dict[str, Any]:
        """For report.json."""
        return {
            "holds": self.holds,
            "criteria": [vars(one) for one in self.criteria],
            "rides": [one.line() for one in self.results],
        }


ERROR_HEAD = [
    "people from",
    "values",
    "range error, % (p50, p95)",
    "claimed, %",
    "beside, % (p50, p95)",
    "claimed, %",
    "velocity error, m/s (p50, p95)",
    "claimed, m/s",
    "squared Mahalanobis distance, p50",
]
OUTCOME_HEAD = [
    "rides",
    "number",
    "no contact",
    f"contact up to {HARMLESS:g} m/s",
    "failed",
    "ideal brake fails too",
    "could not be seen",
]


def _sums(results: Sequence[RideResult], part: str, whole: str) -> tuple[int, int]:
    return (
        sum(getattr(one.times, part) for one in results),
        sum(getattr(one.times, whole) for one in results),
    )


def _fraction(
    name: str, part: int, whole: int, *, least: float | None = None, most: float | None = None
) -> Criterion:
    limit = f"at least {least:g}" if least is not None else f"at most {most:g}"
    if not whole:
        return Criterion(name, "no such rides", limit, None)
    value = part / whole
    holds = value >= least if least is not None else most is not None and value <= most
    return Criterion(name, f"{value:.4f} ({part} of {whole})", limit, holds)


def _percentile(name: str, values: Sequence[float], most: float) -> Criterion:
    limit = f"at most {most:g} s"
    if not values:
        return Criterion(name, "none", limit, None)
    value = float(np.percentile(values, 95))
    text = f"{value:.2f} s (median {np.median(values):.2f}, {len(values)} times)"
    return Criterion(name, text, limit, value <= most + 1e-9)


def _spread(values: np.ndarray, digits: int = 1) -> str:
    """Median and 95th percentile of those that are known: a velocity may not be."""
    values = values[np.isfinite(values)]
    if not len(values):
        return "none"
    low, high = np.percentile(values, (50, 95))
    return f"{low:.{digits}f}, {high:.{digits}f}"
