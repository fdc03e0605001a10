# SPDX-License-Identifier: Apache-2.0
"""Checks a new run against a scenario: one outcome per condition, with measured value and limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_pose_ros.replay.answers import Answers
from hrnet_pose_ros.replay.comparison import Comparison
from hrnet_pose_ros.replay.scenario import (
    SEVERITIES,
    AgeCondition,
    ChangeCondition,
    ContinuityCondition,
    CountCondition,
    DiagnosticsCondition,
    DropCondition,
    OksCondition,
    Scenario,
)

AGE_PERCENTILE = 95
# What the conditions on a count say about it, and the kinds of scores, by condition.
COUNTED = {
    "missed_skeletons": "golden skeletons are missed",
    "extra_skeletons": "(relative to the golden skeletons) are extra skeletons",
    "missing_frames": "golden frames are missing",
    "extra_frames": "(relative to the golden frames) are extra frames",
}
SCORES = {"person_score_change": "person", "keypoint_score_change": "key point"}


@dataclass(frozen=True)
class Outcome:
    """The outcome of one condition.

    ``success`` is also true if the condition does not apply, because the required data was not
    recorded or no person could be compared. ``summary`` gives the measured value and the limit.
    Of a condition on a fraction, ``count`` of ``total`` is that fraction, so that the outcomes of
    several runs can be added up (`pooled_verdict`).
    """

    name: str
    success: bool
    summary: str
    applies: bool = True
    count: int = 0
    total: int = 0

    @property
    def word(self) -> str:
        """``pass``, ``fail`` or ``not applicable``."""
        if not self.applies:
            return "not applicable" if self.success else "fail"
        return "pass" if self.success else "fail"


@dataclass(frozen=True)
class Verdict:
    """All outcomes of a scenario, in the scenario's order."""

    outcomes: list[Outcome]

    @property
    def success(self) -> bool:
        """Whether every condition is met."""
        return all(outcome.success for outcome in self.outcomes)


def evaluate_scenario(scenario: Scenario, comparison: Comparison) -> Verdict:
    """Evaluate every condition of the scenario on a comparison."""
    return Verdict(
        [
            _CHECKS[name](name, condition, comparison)
            for name, condition in scenario.conditions().items()
        ]
    )


def _oks(name: str, condition: OksCondition, comparison: Comparison) -> Outcome:
    values = comparison.joined("oks")
    values = values[np.isfinite(values)]
    if not len(values):
        return _nothing_to_compare(name, comparison)
    good = int((values >= condition.at_least).sum())
    note = f" (lowest {values.min():.4f}, mean {values.mean():.4f})"
    return oks_outcome(name, condition, good, len(values), note)


def _missed_skeletons(name: str, condition: CountCondition, comparison: Comparison) -> Outcome:
    if not comparison.frames:
        return _nothing_to_compare(name, comparison)
    missed = sum(frame.missed for frame in comparison.frames)
    return counted(name, condition, missed, comparison.golden_persons, COUNTED[name])


def _extra_skeletons(name: str, condition: CountCondition, comparison: Comparison) -> Outcome:
    extra = sum(frame.extra for frame in comparison.frames)
    return counted(name, condition, extra, comparison.golden_persons, COUNTED[name])


def _missing_frames(name: str, condition: CountCondition, comparison: Comparison) -> Outcome:
    missing, total = len(comparison.missing_frames), len(comparison.golden.frames)
    return counted(name, condition, missing, total, COUNTED[name])


def _extra_frames(name: str, condition: CountCondition, comparison: Comparison) -> Outcome:
    extra, total = len(comparison.extra_frames), len(comparison.golden.frames)
    return counted(name, condition, extra, total, COUNTED[name])


def _id_continuity(name: str, condition: ContinuityCondition, comparison: Comparison) -> Outcome:
    again = sum(frame.seen_again for frame in comparison.frames)
    kept = sum(frame.kept_ids for frame in comparison.frames)
    if not again:
        seen = Counter(one for f in comparison.golden.frames.values() for one in f.ids if one)
        twice = sum(count > 1 for count in seen.values())
        summary = f"no person was matched twice; {twice} ids occur more than once in the golden bag"
        return Outcome(name, twice == 0, summary, applies=twice > 0, total=twice)
    return continuity_outcome(name, condition, kept, again)


def _change(attribute: str) -> Callable[[str, ChangeCondition, Comparison], Outcome]:
    def check(name: str, condition: ChangeCondition, comparison: Comparison) -> Outcome:
        changes = comparison.joined(attribute)
        if not len(changes):
            return _nothing_to_compare(name, comparison)
        small = int((np.abs(changes) <= condition.at_most).sum())  # NaN is not small
        note = f" (mean change {changes.mean():+.4f}, largest {np.abs(changes).max():.4f})"
        return change_outcome(name, condition, small, len(changes), note)

    return check


def _age_p95(name: str, condition: AgeCondition, comparison: Comparison) -> Outcome:
    golden, new = age_p95(comparison.golden), age_p95(comparison.new)
    if new is None:
        return _not_recorded(
            name, condition.required, "ages", "an offline replay does not measure times"
        )
    beside = "not recorded" if golden is None else f"{golden:.4f} s"
    return Outcome(
        name,
        new <= condition.at_most_s,
        f"95 % of the skeletons are published within {new:.4f} s of the image stamp; "
        f"at most {condition.at_most_s:g} s is allowed (golden: {beside})",
    )


def _drop_fraction(name: str, condition: DropCondition, comparison: Comparison) -> Outcome:
    drops = comparison.new.drops()
    if drops is None or not drops[0]:
        return _not_recorded(name, condition.required, "drops", "there are no input diagnostics")
    received, dropped = drops
    before = comparison.golden.drops()
    beside = "not recorded" if before is None else fraction_text(before[1], before[0])
    return Outcome(
        name,
        dropped <= condition.fraction * received,
        f"{fraction_text(dropped, received)} of the received images were dropped; "
        f"at most {percent_text(condition.fraction)} is allowed (golden: {beside})",
    )


def _diagnostics(name: str, condition: DiagnosticsCondition, comparison: Comparison) -> Outcome:
    statuses = [one for one in comparison.new.statuses if condition.node in one.name]
    if not statuses:
        reason = f"there is no status of '{condition.node}'"
        return _not_recorded(name, condition.required, "diagnostics", reason)
    worst = max(statuses, key=lambda one: one.level)  # the first of the worst
    level = SEVERITIES[worst.level] if worst.level < len(SEVERITIES) else str(worst.level)
    shown = f": '{worst.name}' reported '{worst.text}'" if worst.level else ""
    return Outcome(
        name,
        worst.level <= SEVERITIES.index(condition.at_most),
        f"the highest level of {len(statuses)} statuses is {level}; "
        f"at most {condition.at_most} is allowed{shown}",
    )


_CHECKS: dict[str, Callable[[str, Any, Comparison], Outcome]] = {
    "oks": _oks,
    "missed_skeletons": _missed_skeletons,
    "extra_skeletons": _extra_skeletons,
    "missing_frames": _missing_frames,
    "extra_frames": _extra_frames,
    "id_continuity": _id_continuity,
    "person_score_change": _change("person_score_changes"),
    "keypoint_score_change": _change("keypoint_score_changes"),
    "age_p95": _age_p95,
    "drop_fraction": _drop_fraction,
    "diagnostics": _diagnostics,
}


def age_p95(answers: Answers) -> float | None:
    """The 95th percentile of the ages in seconds; None if none was recorded."""
    ages = np.array([frame.age for frame in answers.frames.values()], np.float64)
    ages = ages[np.isfinite(ages)]
    return float(np.percentile(ages, AGE_PERCENTILE)) if len(ages) else None


def counted(name: str, limits: CountCondition, count: int, total: int, what: str) -> Outcome:
    """The outcome of a count and its limits."""
    allowed = []
    success = True
    if limits.count is not None:
        allowed.append(str(limits.count))
        success &= count <= limits.count
    if limits.fraction is not None:
        allowed.append(percent_text(limits.fraction))
        success &= count <= limits.fraction * total
    summary = f"{fraction_text(count, total)} {what}; allowed: at most {' and '.join(allowed)}"
    return Outcome(name, success, summary, count=count, total=total)


def oks_outcome(
    name: str, condition: OksCondition, good: int, total: int, note: str = ""
) -> Outcome:
    """The outcome of how many matched skeletons have a sufficient OKS."""
    what = f"of the matched skeletons have an OKS of at least {condition.at_least:g}"
    return _at_least(name, condition.fraction, good, total, what, note)


def change_outcome(
    name: str, condition: ChangeCondition, small: int, total: int, note: str = ""
) -> Outcome:
    """The outcome of how many scores change only a little."""
    what = f"of the {SCORES[name]} scores change by at most {condition.at_most:g}"
    return _at_least(name, condition.fraction, small, total, what, note)


def continuity_outcome(name: str, condition: ContinuityCondition, kept: int, again: int) -> Outcome:
    """The outcome of how many persons keep their id."""
    what = "of the persons seen again keep their id"
    return _at_least(name, condition.fraction, kept, again, what)


def _at_least(
    name: str, fraction: float, count: int, total: int, what: str, note: str = ""
) -> Outcome:
    required = f"at least {percent_text(fraction)} is required"
    return Outcome(
        name,
        count >= fraction * total,
        f"{fraction_text(count, total)} {what}; {required}{note}",
        count=count,
        total=total,
    )


def _nothing_to_compare(name: str, comparison: Comparison) -> Outcome:
    """Outcome without a matched person: a failure only if the golden run has persons."""
    persons = sum(len(frame.poses) for frame in comparison.golden.frames.values())
    summary = f"no skeletons could be compared; the golden bag has {persons}"
    missed = persons if name in COUNTED else 0
    return Outcome(name, persons == 0, summary, applies=persons > 0, count=missed, total=persons)


def _not_recorded(name: str, required: bool, what: str, reason: str) -> Outcome:
    wish = "required" if required else "not required"
    summary = f"the new bag has no {what} ({reason}); they are {wish}"
    return Outcome(name, not required, summary, applies=False)


def fraction_text(count: int, total: int) -> str:
    """``3 of 4 (75 %)``."""
    return f"{count} of {total} ({percent_text(count / total)})" if total else f"{count} of 0"


def percent_text(fraction: float) -> str:
    """``75 %`` of 0.75."""
    return f"{100 * fraction:.4g} %"
