# SPDX-License-Identifier: Apache-2.0
"""A thread that works off what subscriptions put into its queue, in order, within bounds."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any


class WorkerThread:
    """Runs functions in the order in which other threads submit them.

    Of each kind, a limited number may wait: the oldest one makes room for the newest. Functions
    that are submitted must not raise; those that are called may.

    Examples
    --------
    >>> worker = WorkerThread("example")
    >>> worker.call(lambda: 6 * 7).result()
    42
    >>> worker.stop(1.0)
    True
    """

    def __init__(self, name: str) -> None:
        self._changed = threading.Condition()
        self._queue: deque[tuple[Hashable, Callable[[], Any]]] = deque()
        self._waiting: Counter[Hashable] = Counter()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, kind: Hashable, function: Callable[[], None], most: int) -> int:
        """Queue a function; return how many older ones of its kind it has replaced (0 or 1)."""
        with self._changed:
            replaced = 0
            if self._waiting[kind] >= most:
                oldest = next(n for n, (one, _) in enumerate(self._queue) if one == kind)
                del self._queue[oldest]
                self._waiting[kind] -= 1
                replaced = 1
            self._put(kind, function)
            return replaced

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Queue a function, and return its future; it is cancelled if the thread stops first."""
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except Exception as error:  # raised again for the caller that waits for the result
                future.set_exception(error)

        with self._changed:
            if self._stopping:
                future.cancel()
            else:
                self._put(future, run)
        return future

    def stop(self, timeout: float) -> bool:
        """End the thread after its current work; return False if that takes over ``timeout`` s."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _put(self, kind: Hashable, function: Callable[[], Any]) -> None:
        self._queue.append((kind, function))
        self._waiting[kind] += 1
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    break
                kind, function = self._queue.popleft()
                self._waiting[kind] -= 1
                if not self._waiting[kind]:
                    del self._waiting[kind]
            function()
        for kind, _ in self._queue:
            if isinstance(kind, Future):
                kind.cancel()
        self._queue.clear()
