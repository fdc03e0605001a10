# SPDX-License-Identifier: Apache-2.0
"""Runs a fleet: every bag of a manifest is replayed once, wherever there is a worker."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tqdm import tqdm

from hrnet_pose_ros.fleet.bag_worker import FleetTask, TaskOutcome
from hrnet_pose_ros.fleet.bags import FleetBag, Identity
from hrnet_pose_ros.fleet.folder import FleetEntry, FleetFolder
from hrnet_pose_ros.fleet.local_workers import ProcessSlot, threads_of, usable_cores
from hrnet_pose_ros.fleet.recipe import Recipe
from hrnet_pose_ros.fleet.scheduler import Slot, run_tasks
from hrnet_pose_ros.progress import progress

LOOKUPS = 16  # places that are asked at a time what they hold


@dataclass(frozen=True)
class Shard:
    """Part ``index`` of ``count`` equal parts of a fleet; ``index`` counts from 0."""

    index: int = 0
    count: int = 1

    @classmethod
    def of(cls, text: str) -> Shard:
        """Read ``i/n``; ValueError unless it is one of ``0/n`` to ``n-1/n``."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None:
            raise ValueError(f"a shard is i/n, like 0/8; got '{text}'")
        index, count = int(match[1]), int(match[2])
        if index >= count:
            raise ValueError(
                f"there is no shard {text}: the first of {count} is 0/{count}, the last "
                f"{max(count - 1, 0)}/{count}"
            )
        return cls(index, count)

    def share(self, tasks: Sequence[FleetTask]) -> list[FleetTask]:
        """The tasks of this shard: every n-th, in an order that only names and contents decide."""

        def place(task: FleetTask) -> str:
            return hashlib.sha256(f"{task.bag.name}\0{task.identity}".encode()).hexdigest()

        return sorted(tasks, key=place)[self.index :: self.count]


@dataclass
class FleetSummary:
    """How a run ended.

    Attributes
    ----------
    bags, share
        Number of bags in the fleet, and in the shard that was run.
    before, done
        Bags of the shard whose results were there already, and that were made now.
    failed
        Bags that failed, by name, with the reason.
    """

    bags: int
    share: int
    before: int = 0
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """One line for the terminal."""
        here = f", {self.share} of them in this shard" if self.share != self.bags else ""
        before = f" and {self.before} were done before" if self.before else ""
        return (
            f"{self.bags} bags{here}: {self.done} were replayed{before}, {len(self.failed)} failed"
        )


@dataclass(frozen=True)
class FleetPlan:
    """The bags of a fleet with their keys: what `run_fleet` will do."""

    folder: FleetFolder
    recipe: Recipe
    tasks: list[FleetTask]

    @classmethod
    def of(
        cls, bags: Sequence[FleetBag], output: Path, recipe: Recipe, identity: Identity = "stat"
    ) -> FleetPlan:
        """Look at every bag; nothing is written."""
        with ThreadPoolExecutor(LOOKUPS) as pool:
            found = list(pool.map(partial(_task, recipe, identity), bags))
        return cls(FleetFolder(output), recipe, found)

    def same_content(self) -> dict[str, list[str]]:
        """Names of bags with the same content, by its identity: the same people counted twice."""
        names: dict[str, list[str]] = {}
        for task in self.tasks:
            names.setdefault(task.identity, []).append(task.bag.name)
        return {one: found for one, found in names.items() if one and len(found) > 1}


def _task(recipe: Recipe, kind: Identity, bag: FleetBag) -> FleetTask:
    try:
        files = bag.files()
        identity, size = bag.identity(kind, files), sum(file.size for file in files)
    except OSError:  # the worker will say why it cannot be read
        identity, size = "", 0
    return FleetTask(recipe.key(bag.name, identity), bag, identity, kind, size)


def run_fleet(
    plan: FleetPlan,
    *,
    shard: Shard,
    slots: Sequence[Slot],
    retries: int,
) -> FleetSummary:
    """Replay the bags of a shard that have no result yet; write into the plan's folder.

    Parameters
    ----------
    slots
        Of `local_slots` or `ray_slots`.
    retries
        How often a bag that failed is tried again.

    Raises
    ------
    ValueError
        The folder holds something else.
    RuntimeError
        No worker can work here: the engine cannot be made, for example.
    """
    folder = plan.folder
    entries = [
        (FleetEntry(t.bag.name, dict(t.bag.tags), t.key, t.identity), t.bag) for t in plan.tasks
    ]
    folder.begin(plan.recipe.facts(), entries)
    share = shard.share(plan.tasks)
    # The largest first, so that no worker is left alone with it at the end.
    left = sorted(
        (task for task in share if not folder.is_done(task.key)),
        key=lambda task: (-task.size, task.bag.name),
    )
    summary = FleetSummary(len(plan.tasks), len(share), before=len(share) - len(left))
    with progress("fleet", "bag", len(share), initial=summary.before) as bar:
        run_tasks(left, slots, retries, _Recorder(folder, summary, bar))
    return summary


def local_slots(plan: FleetPlan, jobs: int, cache: Path | None) -> list[Slot]:
    """Processes of this machine, which share its cores."""
    threads = threads_of(jobs, plan.recipe.settings.threads, usable_cores())
    return [ProcessSlot(plan.recipe, plan.folder, threads, cache) for _ in range(jobs)]


class _Recorder:
    """Records what becomes of each task: in the folder, the summary and on the terminal."""

    def __init__(self, folder: FleetFolder, summary: FleetSummary, bar: tqdm) -> None:
        self._folder, self._summary, self._bar = folder, summary, bar

    def done(self, task: FleetTask, outcome: TaskOutcome) -> None:
        if outcome.files is not None:
            self._folder.write_times(task.key, outcome.times)
            self._folder.publish_files(outcome.files, task.key)
        self._summary.done += 1
        self._bar.update()

    def retried(self, task: FleetTask, outcome: TaskOutcome) -> None:
        self._say(f"will try again: {task.bag.name}: {outcome.reason}", outcome)

    def failed(self, task: FleetTask, outcome: TaskOutcome, tries: int) -> None:
        self._folder.write_failure(task.key, task.bag.name, outcome.reason, tries)
        self._summary.failed[task.bag.name] = outcome.reason
        self._say(f"failed: {task.bag.name}: {outcome.reason}", outcome)
        self._bar.update()

    def _say(self, text: str, outcome: TaskOutcome) -> None:
        self._bar.write(f"{text}\n{outcome.trace}".rstrip())
