# SPDX-License-Identifier: Apache-2.0
"""Compares the results of one bag in two fleets, with the code of ``hrnet_pose compare``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np

from hrnet_pose_ros.fleet.comparison.persons import (
    MOVED_BELOW,
    PersonFinding,
    events_of,
    findings_of,
)
from hrnet_pose_ros.fleet.comparison.rows import BagRow, BagState, PersonRow
from hrnet_pose_ros.fleet.folder import FleetEntry, FleetFolder
from hrnet_pose_ros.replay.answers import read_answers
from hrnet_pose_ros.replay.comparison import compare
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.replay.verdict import Verdict, evaluate_scenario

# Limits of the classes of OKS on the page.
OKS_LIMITS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
PICTURED = 2  # findings of one bag that may be drawn


@dataclass(frozen=True)
class BagPair:
    """One bag and its entries in the two fleets; None where a fleet does not have it."""

    name: str
    tags: Mapping[str, str]
    baseline: FleetEntry | None
    candidate: FleetEntry | None


@dataclass(frozen=True)
class BagComparison:
    """What is known about one bag.

    Attributes
    ----------
    verdict
        On the scenario; None without one, or where the bag was not compared.
    findings
        Worst first; ``worst`` of all but the first few is dropped, which are those to be drawn.
    oks_counts
        int ``[7]``: pairs in the classes between `OKS_LIMITS`.
    oks_sum
        Over the pairs, so that means can be added up.
    """

    pair: BagPair
    row: BagRow
    verdict: Verdict | None = None
    persons: list[PersonRow] = field(default_factory=list)
    findings: list[PersonFinding] = field(default_factory=list)
    oks_counts: np.ndarray = field(default_factory=lambda: np.zeros(len(OKS_LIMITS) + 1, np.int64))
    oks_sum: float = 0.0
    oks_number: int = 0


def pair_up(baseline: FleetFolder, candidate: FleetFolder) -> list[BagPair]:
    """The bags of two fleets by their names, sorted; tags are the candidate's where it has any."""
    ours = {entry.name: entry for entry in baseline.entries()}
    theirs = {entry.name: entry for entry in candidate.entries()}
    pairs = []
    for name in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(name), theirs.get(name)
        tags = (b.tags if b else {}) or (a.tags if a else {})
        pairs.append(BagPair(name, tags, a, b))
    return pairs


class BagComparer:
    """Compares bags; it can be sent to other processes."""

    def __init__(
        self,
        baseline: FleetFolder,
        candidate: FleetFolder,
        scenario: Scenario | None,
        moved_below: float = MOVED_BELOW,
    ) -> None:
        self._baseline, self._candidate = baseline, candidate
        self._scenario, self._moved_below = scenario, moved_below

    def __call__(self, pair: BagPair) -> BagComparison:
        """Compare one bag; what cannot be compared has a state that says so."""
        state, reason = self._state(pair)
        if state != "compared" or pair.baseline is None or pair.candidate is None:
            return BagComparison(pair, BagRow(pair.name, state, reason))
        try:
            return self._compared(pair, pair.baseline, pair.candidate)
        except (ValueError, OSError) as error:
            text = " ".join(str(error).split())
            for folder in (self._baseline, self._candidate):
                text = text.replace(f"{folder.path}/", "")
            return BagComparison(pair, BagRow(pair.name, "not comparable", text))

    def _state(self, pair: BagPair) -> tuple[BagState, str]:
        states, reasons = [], []
        for folder, entry in (
            (self._baseline, pair.baseline),
            (self._candidate, pair.candidate),
        ):
            states.append("absent" if entry is None else folder.state(entry.key))
            reasons.append(folder.reason(entry.key) if states[-1] == "failed" and entry else "")
        baseline, candidate = states
        if baseline == candidate == "failed":
            return "both failed", reasons[1]
        for word, state, reason in (
            ("baseline", baseline, reasons[0]),
            ("candidate", candidate, reasons[1]),
        ):
            if state != "done":
                found = next(one for one in get_args(BagState) if one == f"{word} {state}")
                return found, reason
        return "compared", ""

    def _compared(self, pair: BagPair, a: FleetEntry, b: FleetEntry) -> BagComparison:
        golden = read_answers(self._baseline.skeletons(a.key))
        new = read_answers(self._candidate.skeletons(b.key))
        comparison = compare(golden, new)
        verdict = evaluate_scenario(self._scenario, comparison) if self._scenario else None
        events = events_of(pair.name, comparison, self._moved_below)
        findings = findings_of(events)
        oks = comparison.joined("oks")
        oks = oks[np.isfinite(oks)]
        stamps = [*golden.frames, *new.frames]
        kinds = [event.row.kind for event in events]
        row = BagRow(
            bag=pair.name,
            state="compared",
            verdict="" if verdict is None else "pass" if verdict.success else "fail",
            failed_conditions=", ".join(failed_names(verdict)),
            same_bag=a.bag == b.bag,
            start_ns=min(stamps, default=0),
            seconds=(max(stamps) - min(stamps)) / 1e9 if stamps else 0.0,
            baseline_frames=len(golden.frames),
            candidate_frames=len(new.frames),
            compared_frames=len(comparison.frames),
            missing_frames=len(comparison.missing_frames),
            extra_frames=len(comparison.extra_frames),
            baseline_persons=sum(len(frame.poses) for frame in golden.frames.values()),
            candidate_persons=sum(len(frame.poses) for frame in new.frames.values()),
            matched_persons=sum(len(frame.pairs) for frame in comparison.frames),
            lost=kinds.count("lost"),
            gained=kinds.count("gained"),
            moved=kinds.count("moved"),
            oks_mean=float(oks.mean()) if len(oks) else None,
            oks_lowest=float(oks.min()) if len(oks) else None,
            baseline_model=golden.model,
            candidate_model=new.model,
            baseline_loss=str(self._baseline.result(a.key)["loss"]),
            candidate_loss=str(self._candidate.result(b.key)["loss"]),
        )
        return BagComparison(
            pair,
            row,
            verdict,
            [event.row for event in events if event.row.kind != "moved"],
            _kept_small(findings),
            np.bincount(np.digitize(oks, OKS_LIMITS), minlength=len(OKS_LIMITS) + 1),
            float(oks.sum()),
            len(oks),
        )


def failed_names(verdict: Verdict | None) -> list[str]:
    """The conditions that a verdict fails."""
    return [one.name for one in verdict.outcomes if not one.success] if verdict else []


def _kept_small(findings: list[PersonFinding]) -> list[PersonFinding]:
    """Findings whose frames are dropped, but for the first that can be drawn."""
    left, kept = PICTURED, []
    for finding in findings:
        if finding.worst.frame is not None and left:
            left -= 1
        elif finding.worst.frame is not None:
            finding = replace(finding, worst=replace(finding.worst, frame=None))
        kept.append(finding)
    return kept
