# SPDX-License-Identifier: Apache-2.0
"""The verdict on many runs together, as if they were one: the outcomes of each are added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hrnet_pose_ros.replay.scenario import (
    ChangeCondition,
    Condition,
    ContinuityCondition,
    CountCondition,
    OksCondition,
    Scenario,
)
from hrnet_pose_ros.replay.verdict import (
    COUNTED,
    Outcome,
    Verdict,
    change_outcome,
    continuity_outcome,
    counted,
    fraction_text,
    oks_outcome,
)


@dataclass
class _Sum:
    """The outcomes of one condition: their fractions added up, and the runs that met it."""

    count: int = 0
    total: int = 0
    applied: int = 0
    met: int = 0
    failed_without: int = 0  # runs that fail because what is required was not recorded


class PooledVerdict:
    """Adds the outcomes of runs to one verdict; what it holds does not grow with their number.

    A condition on a fraction is judged on all persons or frames together: a long run counts for
    more than a short one. The conditions that only a recording of the node has data for (ages,
    drops, diagnostics) are met if every run meets them.

    Examples
    --------
    >>> from hrnet_pose_ros.replay.scenario import Scenario
    >>> from hrnet_pose_ros.replay.verdict import counted
    >>> scenario = Scenario.of({"name": "all", "missing_frames": {"fraction": 0.01}})
    >>> pooled = PooledVerdict(scenario)
    >>> for missing, frames in ((2, 100), (0, 900)):
    ...     condition = scenario.missing_frames
    ...     one = counted("missing_frames", condition, missing, frames, "")
    ...     pooled.add(Verdict([one]))
    >>> print(pooled.verdict().outcomes[0].summary)
    2 of 1000 (0.2 %) golden frames are missing; allowed: at most 1 %
    """

    def __init__(self, scenario: Scenario) -> None:
        self._conditions: Mapping[str, Condition] = scenario.conditions()
        self._sums = {name: _Sum() for name in self._conditions}

    def add(self, verdict: Verdict) -> None:
        """Add the verdict of one run on the same scenario."""
        for outcome in verdict.outcomes:
            one = self._sums[outcome.name]
            one.count += outcome.count
            one.total += outcome.total
            one.applied += outcome.applies
            one.met += outcome.applies and outcome.success
            one.failed_without += not outcome.applies and not outcome.success

    def verdict(self) -> Verdict:
        """The verdict on all runs that were added."""
        return Verdict(
            [_pooled(name, self._conditions[name], one) for name, one in self._sums.items()]
        )


def _pooled(name: str, condition: Any, one: _Sum) -> Outcome:
    if isinstance(condition, CountCondition):
        return counted(name, condition, one.count, one.total, COUNTED[name])
    if isinstance(condition, (OksCondition, ChangeCondition, ContinuityCondition)):
        if not one.total:
            return Outcome(name, True, "no skeletons could be compared", applies=False)
        if isinstance(condition, OksCondition):
            return oks_outcome(name, condition, one.count, one.total)
        if isinstance(condition, ChangeCondition):
            return change_outcome(name, condition, one.count, one.total)
        return continuity_outcome(name, condition, one.count, one.total)
    if one.failed_without:
        summary = f"required, but not recorded in {one.failed_without} runs"
        return Outcome(name, False, summary, applies=False)
    if not one.applied:
        return Outcome(name, True, "not recorded in any run; not required", applies=False)
    return Outcome(
        name,
        one.met == one.applied,
        f"{fraction_text(one.met, one.applied)} of the runs meet it; every run has to",
        count=one.met,
        total=one.applied,
    )
