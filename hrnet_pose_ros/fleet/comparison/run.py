# SPDX-License-Identifier: Apache-2.0
"""Compares two fleets bag by bag, in a memory that does not grow with them, and writes the report.

report.html         for people: opens offline
bags.*              a row for each bag (`BagRow`), .jsonl and .parquet
persons.*           a row for each lost and gained person in each frame (`PersonRow`)
findings.*          a row for each time that a person is lost, gained or moved (`FindingRow`)
slices.*            a row for all bags, and for each value of each tag (`SliceRow`)
junit.xml           for CI: a test case for each outcome
clips/              an mcap file for each picture of the page
"""

from __future__ import annotations

import heapq
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Generic, Literal, TypeVar
from urllib.parse import quote

from hrnet_pose_ros.fleet.bags import FleetBag
from hrnet_pose_ros.fleet.comparison.bag_comparison import (
    BagComparer,
    BagComparison,
    BagPair,
    pair_up,
)
from hrnet_pose_ros.fleet.comparison.foxglove import VIEWER, viewer_link
from hrnet_pose_ros.fleet.comparison.persons import MOVED_BELOW, PersonFinding
from hrnet_pose_ros.fleet.comparison.pictures import CLIPS, FindingPicture, draw_findings
from hrnet_pose_ros.fleet.comparison.rows import BagRow, FindingRow, PersonRow, SliceRow
from hrnet_pose_ros.fleet.comparison.slices import Slices, chosen_tags
from hrnet_pose_ros.fleet.comparison.tables import TableWriter
from hrnet_pose_ros.fleet.folder import FleetFolder
from hrnet_pose_ros.fleet.storage import joined, last_name
from hrnet_pose_ros.progress import progress
from hrnet_pose_ros.replay.scenario import Scenario
from hrnet_pose_ros.replay.verdict import Outcome, Verdict, fraction_text
from hrnet_pose_ros.replay.verdict_files import JUNIT, write_junit

# What the page shows; everything is in the tables.
SHOWN_BAGS, SHOWN_FINDINGS = 30, 60

Judge = Literal["all", "slices", "bags"]

T = TypeVar("T")


@dataclass(frozen=True)
class CompareOptions:
    """How fleets are compared and shown.

    Attributes
    ----------
    scenario
        The conditions; None: only whether the candidate has every bag of the baseline is judged.
    judge
        What has to meet the scenario: ``all`` bags together; each of the ``slices`` as well; or
        each of the ``bags`` as well.
    slices
        Tags; None: all.
    moved_below
        OKS below which a person is moved, in [0, 1].
    jobs
        Processes.
    pictures
        How many findings are drawn.
    bags_url, viewer
        Where the bags are served under their names, and what opens them.
    cache
        Folder for copies of remote bags; None: the system's.
    """

    scenario: Scenario | None = None
    judge: Judge = "slices"
    slices: Sequence[str] | None = None
    moved_below: float = MOVED_BELOW
    jobs: int = 1
    pictures: int = 12
    bags_url: str = ""
    viewer: str = VIEWER
    cache: Path | None = None


@dataclass
class FleetReport:
    """What the page shows: its size does not depend on that of the fleets.

    Attributes
    ----------
    slices
        The sums, with those of all bags as ``slices.whole``.
    verdict
        On everything that `CompareOptions.judge` says.
    worst_bags
        Rows of the bags with the most lost and moved persons, with their tags.
    not_compared
        The first bags that were not compared.
    findings, finding_count
        The worst, with the tags of their bags, and how many there are.
    """

    slices: Slices
    verdict: Verdict = field(default_factory=lambda: Verdict([]))
    worst_bags: list[tuple[BagRow, Mapping[str, str]]] = field(default_factory=list)
    not_compared: list[BagRow] = field(default_factory=list)
    not_compared_count: int = 0
    findings: list[tuple[FindingRow, Mapping[str, str]]] = field(default_factory=list)
    finding_count: int = 0
    other_bags: int = 0
    pictures: list[FindingPicture] = field(default_factory=list)


def compare_fleets(
    baseline: Path, candidate: Path, output: Path, options: CompareOptions
) -> FleetReport:
    """Compare two folders of ``hrnet_pose fleet`` and write the tables, clips and JUnit file.

    Raises
    ------
    ValueError
        A folder is not that of a fleet, they have no bag in common, or there is no such tag.
    OSError
        Something cannot be written.
    """
    ours, theirs = FleetFolder(baseline), FleetFolder(candidate)
    ours.facts(), theirs.facts()  # or it is no fleet
    pairs = pair_up(ours, theirs)
    if not any(pair.baseline and pair.candidate for pair in pairs):
        raise ValueError(
            f"'{baseline}' and '{candidate}' have no bag in common: the first of the one is "
            f"{_first_name(pairs, 'baseline')}, of the other {_first_name(pairs, 'candidate')}"
        )
    tags = sorted({name for pair in pairs for name in pair.tags})
    report = FleetReport(Slices(chosen_tags(tags, options.slices), options.scenario))
    bags = {bag.name: bag for folder in (ours, theirs) for bag in folder.bags()}
    links = _Links(bags, options)
    comparer = BagComparer(ours, theirs, options.scenario, options.moved_below)
    worst_bags: _Worst[tuple[BagRow, Mapping[str, str]]] = _Worst(SHOWN_BAGS)
    findings: _Worst[tuple[FindingRow, Mapping[str, str]]] = _Worst(SHOWN_FINDINGS)
    pictured: _Worst[tuple[BagPair, PersonFinding]] = _Worst(options.pictures)
    output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        tables = {
            name: stack.enter_context(TableWriter(output, name, kind, tags))
            for name, kind in (("bags", BagRow), ("persons", PersonRow), ("findings", FindingRow))
        }
        compared = stack.enter_context(progress("fleet-compare", "bag", len(pairs)))
        for one in _compared(comparer, pairs, options.jobs):
            compared.update()
            report.slices.add(one)
            row, tags_of_bag = one.row, one.pair.tags
            tables["bags"].write(row, tags_of_bag)
            report.other_bags += not row.same_bag
            if row.state != "compared":
                report.not_compared_count += 1
                if len(report.not_compared) < SHOWN_BAGS:
                    report.not_compared.append(row)
            elif row.lost or row.moved or row.verdict == "fail":
                worst_bags.add(row.lost + row.moved, (row, tags_of_bag))
            for person in one.persons:
                tables["persons"].write(person, tags_of_bag)
            for finding in one.findings:
                linked = replace(finding, row=links.linked(finding.row))
                tables["findings"].write(linked.row, tags_of_bag)
                findings.add(linked.row.severity, (linked.row, tags_of_bag))
                if linked.worst.frame is not None:
                    pictured.add(linked.row.severity, (one.pair, linked))
        report.finding_count = tables["findings"].count
    report.worst_bags, report.findings = worst_bags.sorted(), findings.sorted()
    with TableWriter(output, "slices", SliceRow) as table:
        for part in [report.slices.whole, *report.slices.of_tags()]:
            table.write(part.row())
    report.verdict = _verdict(report.slices, options)
    write_junit(output / JUNIT, options.scenario or Scenario("fleet"), report.verdict)
    shutil.rmtree(output / CLIPS, ignore_errors=True)
    report.pictures = draw_findings(
        pictured.sorted(), bags, ours, theirs, output, options.cache or Path(tempfile.gettempdir())
    )
    return report


def _first_name(pairs: Sequence[BagPair], side: str) -> str:
    return next((f"'{pair.name}'" for pair in pairs if getattr(pair, side)), "none")


def _compared(
    comparer: BagComparer, pairs: Sequence[BagPair], jobs: int
) -> Iterator[BagComparison]:
    """Compare bags in their order; of several processes, few are ahead of what is used."""
    if jobs == 1:
        yield from map(comparer, pairs)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting: deque[Future[BagComparison]] = deque()
        for pair in pairs:
            waiting.append(pool.submit(comparer, pair))
            if len(waiting) > 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _verdict(slices: Slices, options: CompareOptions) -> Verdict:
    whole = slices.whole.row()
    outcomes = [
        Outcome(
            "bags",
            not whole.lacking_bags,
            f"{fraction_text(whole.compared_bags, whole.bags)} of the bags were compared; "
            f"{whole.lacking_bags} are lacking in the candidate or not finished",
        )
    ]
    parts = [("all bags", slices.whole.verdict())]
    if options.judge != "all":
        parts += [(f"{one.tag}={one.value}", one.verdict()) for one in slices.of_tags()]
    for name, verdict in parts:
        for outcome in verdict.outcomes if verdict else ():
            outcomes.append(replace(outcome, name=f"{name}: {outcome.name}"))
    if options.judge == "bags" and options.scenario is not None:
        met = whole.compared_bags - whole.failing_bags
        outcomes.append(
            Outcome(
                "each bag",
                not whole.failing_bags,
                f"{fraction_text(met, whole.compared_bags)} of the compared bags meet the "
                "scenario; every one has to",
            )
        )
    return Verdict(outcomes)


class _Links:
    """Links of findings, for bags that have a URL: their own, or one below ``bags_url``."""

    def __init__(self, bags: Mapping[str, FleetBag], options: CompareOptions) -> None:
        self._bags, self._options = bags, options
        self._last: tuple[str, str] = ("", "")  # findings come bag by bag

    def linked(self, row: FindingRow) -> FindingRow:
        """The row with its link."""
        if self._last[0] != row.bag:
            self._last = row.bag, self._file_url(self._bags[row.bag])
        url = self._last[1]
        return replace(
            row, link=viewer_link(self._options.viewer, url, row.start_ns) if url else ""
        )

    def _file_url(self, bag: FleetBag) -> str:
        """The URL of the bag's mcap file; empty without one, and for what viewers cannot open."""
        base = bag.location if bag.location.startswith(("http://", "https://")) else ""
        if self._options.bags_url:
            base = joined(self._options.bags_url, quote(bag.name))
        if not base:
            return ""
        if bag.is_file:
            return base if last_name(base).endswith(".mcap") else ""
        try:
            files = [one.path for one in bag.files() if one.path.endswith(".mcap")]
        except (OSError, ImportError, ValueError):
            return ""
        # Of a split bag, the first: which file has which time, the viewer cannot be told.
        return joined(base, quote(files[0])) if files else ""


class _Worst(Generic[T]):
    """The largest of many, by a value; of equal ones the first."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._heap: list[tuple[float, int, T]] = []

    def add(self, value: float, item: T) -> None:
        """Keep an item if it is among the largest."""
        self._count += 1
        heapq.heappush(self._heap, (value, -self._count, item))
        if len(self._heap) > self._most:
            heapq.heappop(self._heap)

    def sorted(self) -> list[T]:
        """The items, the largest first."""
        return [item for _, _, item in sorted(self._heap, key=lambda one: one[:2], reverse=True)]
