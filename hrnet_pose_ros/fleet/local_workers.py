# SPDX-License-Identifier: Apache-2.0
"""Workers of a fleet as processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hrnet_pose_ros.fleet.bag_worker import BagWorker, FleetTask, TaskOutcome
from hrnet_pose_ros.fleet.folder import FleetFolder
from hrnet_pose_ros.fleet.recipe import Recipe
from hrnet_pose_ros.fleet.scheduler import Slot

CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(cpu_limit: Path = CPU_LIMIT) -> int:
    """Cores that this process may use: by affinity (SLURM), and by the container's limit."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = cpu_limit.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup of version 2, or the limit is "max"
        return cores


def threads_of(jobs: int, threads: int, cores: int) -> int:
    """CPU threads of each of ``jobs`` workers: ``threads``, or for 0 its part of the cores."""
    return threads or max(1, cores // jobs)


class ProcessSlot(Slot):
    """A process with a worker. The pool has this one process: if it dies, it alone is lost."""

    lost = (BrokenProcessPool,)

    def __init__(
        self, recipe: Recipe, folder: FleetFolder, threads: int, cache: Path | None
    ) -> None:
        self._arguments = recipe, folder.path, threads, cache
        self._context = _RememberingContext()
        self._pool: ProcessPoolExecutor | None = None
        self._answer: Future[Any] = Future()

    def start(self) -> Future[str]:
        self.stop()
        self._pool = ProcessPoolExecutor(1, self._context, _begin, self._arguments)
        # Ctrl-C goes to all processes of a terminal. It is for this one, which ends its workers:
        # they inherit that it is blocked, until `_begin` ignores it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            answer: Future[str] = self._pool.submit(_start)  # which starts the process
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._answer = answer
        return answer

    def submit(self, task: FleetTask) -> Future[TaskOutcome]:
        assert self._pool is not None
        answer: Future[TaskOutcome] = self._pool.submit(_run, task)
        self._answer = answer
        return answer

    def why_lost(self, error: BaseException) -> str:
        assert self._pool is not None
        self._pool.shutdown()  # joins the process, so that its exit code is known
        code = self._context.process.exitcode if self._context.process else None
        if code is None or code >= 0:
            return f"the worker process ended with exit code {code}"
        name = signal.Signals(-code).name
        hint = ": out of memory?" if name == "SIGKILL" else ""
        return f"the worker process was ended by {name}{hint}"

    def stop(self) -> None:
        if self._pool is None:
            return
        if self._context.process is not None and not self._answer.done():
            self._context.process.kill()
        self._pool.shutdown(cancel_futures=True)
        self._pool = None


class _RememberingContext(SpawnContext):
    """Processes that inherit nothing of this one; the last one is remembered."""

    process: SpawnProcess | None = None

    def Process(self, *arguments: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]
        self.process = SpawnProcess(*arguments, **options)
        return self.process


# In the worker's process.
_worker: BagWorker
_folder: FleetFolder


def _begin(recipe: Recipe, folder: Path, threads: int, cache: Path | None) -> None:
    global _worker, _folder
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaves behind
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker, _folder = BagWorker(recipe, threads, cache), FleetFolder(folder)


def _end_with_parent() -> None:
    """End this process when the fleet is gone: a pool's processes would wait for tasks for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _start() -> str:
    return _worker.start()


def _run(task: FleetTask) -> TaskOutcome:
    with _folder.scratch() as scratch:
        outcome = _worker.run(task, scratch)
        if not outcome.reason:
            _folder.write_times(task.key, outcome.times)
            _folder.publish(scratch / task.key, task.key)
    return outcome
