# SPDX-License-Identifier: Apache-2.0
"""Gives tasks to workers, of whatever kind, until each is done or has failed often enough."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Protocol

from hrnet_pose_ros.fleet.bag_worker import FleetTask, TaskOutcome

# A worker that ends so often while it makes its engine, one time after the other, never will.
MOST_STARTS = 3


class Slot(ABC):
    """A place for one worker after the other: each lost one is replaced."""

    # What the futures raise when the worker is gone.
    lost: tuple[type[BaseException], ...] = ()

    @abstractmethod
    def start(self) -> Future[str]:
        """Start a worker, or a new one; the answer is why it cannot work, or nothing."""

    @abstractmethod
    def submit(self, task: FleetTask) -> Future[TaskOutcome]:
        """Give the worker, which has nothing to do, a task."""

    @abstractmethod
    def why_lost(self, error: BaseException) -> str:
        """What became of the worker, after a future has raised one of `lost`."""

    @abstractmethod
    def stop(self) -> None:
        """End the worker at once."""


class Listener(Protocol):
    """Hears what becomes of each task."""

    def done(self, task: FleetTask, outcome: TaskOutcome) -> None:
        """A task is done."""

    def retried(self, task: FleetTask, outcome: TaskOutcome) -> None:
        """A try failed, and there will be another."""

    def failed(self, task: FleetTask, outcome: TaskOutcome, tries: int) -> None:
        """The last try failed."""


def run_tasks(
    tasks: Iterable[FleetTask], slots: Sequence[Slot], retries: int, listener: Listener
) -> None:
    """Run all tasks; a failed one is tried again, after all others, up to ``retries`` times.

    The loss of a worker is a failed try of its task alone.

    Raises
    ------
    RuntimeError
        A worker cannot work, or is lost each time while it starts: not a matter of a bag.
    """
    waiting = deque((task, 1) for task in tasks)
    running: dict[Future[TaskOutcome], tuple[Slot, FleetTask, int]] = {}
    starting: dict[Future[str], Slot] = {}
    lost_starts: Counter[Slot] = Counter()
    idle: list[Slot] = []
    try:
        for slot in slots[: len(waiting)]:
            starting[slot.start()] = slot
        while waiting or running:
            while waiting and idle:
                slot, (task, number) = idle.pop(), waiting.popleft()
                running[slot.submit(task)] = slot, task, number
            all_futures: list[Future[Any]] = [*running, *starting]
            ended, _ = wait(all_futures, return_when=FIRST_COMPLETED)
            for future in ended:
                if future in starting:
                    slot = starting.pop(future)
                    if not _has_started(slot, future, lost_starts):
                        starting[slot.start()] = slot
                    else:
                        idle.append(slot)
                    continue
                slot, task, number = running.pop(future)
                try:
                    outcome: TaskOutcome = future.result()
                    idle.append(slot)
                except slot.lost as error:
                    outcome = TaskOutcome(slot.why_lost(error))
                    starting[slot.start()] = slot
                if not outcome.reason:
                    listener.done(task, outcome)
                elif number <= retries:
                    listener.retried(task, outcome)
                    waiting.append((task, number + 1))
                else:
                    listener.failed(task, outcome, number)
    finally:
        for slot in slots:
            slot.stop()


def _has_started(slot: Slot, future: Future[str], lost_starts: Counter[Slot]) -> bool:
    try:
        problem = future.result()
    except slot.lost as error:
        lost_starts[slot] += 1
        why = slot.why_lost(error)
        if lost_starts[slot] == MOST_STARTS:
            raise RuntimeError(
                f"a worker ended {MOST_STARTS} times before it could work: {why}"
            ) from None
        return False
    if problem:
        raise RuntimeError(problem)
    lost_starts[slot] = 0
    return True
