# SPDX-License-Identifier: Apache-2.0
"""Adds the comparisons of bags up: all of them, and those with the same value of a tag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hrnet_pose_ros.fleet.comparison.bag_comparison import (
    OKS_LIMITS,
    BagComparison,
    failed_names,
)
from hrnet_pose_ros.fleet.comparison.rows import LACKING, SliceRow
from hrnet_pose_ros.replay.pooled_verdict import PooledVerdict
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.replay.verdict import Verdict

# Columns of `SliceRow` that are sums over those of `BagRow`.
SUMMED = (
    *("baseline_frames", "baseline_persons", "candidate_persons", "matched_persons"),
    *("lost", "gained", "moved"),
)


class Slice:
    """The sums of some bags; what it holds does not grow with their number."""

    def __init__(self, tag: str, value: str, scenario: Scenario | None) -> None:
        self.tag, self.value = tag, value
        self._pooled = PooledVerdict(scenario) if scenario else None
        self._sums = dict.fromkeys(SUMMED, 0)
        self._bags = self._compared = self._lacking = self._failing = 0
        self._seconds = self._oks_sum = 0.0
        self._oks_number = 0
        self.oks_counts = np.zeros(len(OKS_LIMITS) + 1, np.int64)

    def add(self, one: BagComparison) -> None:
        """Add a bag."""
        self._bags += 1
        self._compared += one.row.state == "compared"
        self._lacking += one.row.state in LACKING
        self._failing += one.row.verdict == "fail"
        self._seconds += one.row.seconds
        for name in SUMMED:
            self._sums[name] += getattr(one.row, name)
        self._oks_sum += one.oks_sum
        self._oks_number += one.oks_number
        self.oks_counts += one.oks_counts
        if self._pooled is not None and one.verdict is not None:
            self._pooled.add(one.verdict)

    def verdict(self) -> Verdict | None:
        """On all bags together; None without a scenario, or where no bag was compared."""
        return self._pooled.verdict() if self._pooled is not None and self._compared else None

    def row(self) -> SliceRow:
        """The sums."""
        verdict = self.verdict()
        return SliceRow(
            tag=self.tag,
            value=self.value,
            verdict="" if verdict is None else "pass" if verdict.success else "fail",
            failed_conditions=", ".join(failed_names(verdict)),
            bags=self._bags,
            compared_bags=self._compared,
            lacking_bags=self._lacking,
            failing_bags=self._failing,
            hours=self._seconds / 3600,
            oks_mean=self._oks_sum / self._oks_number if self._oks_number else None,
            **self._sums,
        )


class Slices:
    """All bags together (`whole`), and those of each value of the chosen tags."""

    def __init__(self, tags: Sequence[str], scenario: Scenario | None) -> None:
        self._tags, self._scenario = tags, scenario
        self.whole = Slice("", "", scenario)
        self._slices: dict[tuple[str, str], Slice] = {}

    def add(self, one: BagComparison) -> None:
        """Add a bag to all bags, and to those with its tags."""
        self.whole.add(one)
        for tag in self._tags:
            value = one.pair.tags.get(tag, "")
            place = (tag, value)
            if place not in self._slices:
                self._slices[place] = Slice(tag, value, self._scenario)
            self._slices[place].add(one)

    def of_tags(self) -> list[Slice]:
        """The slices, in the order of the tags, then by value."""
        order = {tag: number for number, tag in enumerate(self._tags)}
        found = sorted(self._slices.items(), key=lambda item: (order[item[0][0]], item[0][1]))
        return [one for _, one in found]


def chosen_tags(known: Iterable[str], wanted: Sequence[str] | None) -> list[str]:
    """The tags to slice by: the wanted ones, or all.

    Raises ValueError if a wanted tag is not known.
    """
    names = sorted(set(known))
    for name in wanted or ():
        if name not in names:
            raise ValueError(
                f"no bag has the tag '{name}'; the tags are {', '.join(names) or 'none'}"
            )
    return names if wanted is None else list(dict.fromkeys(wanted))
