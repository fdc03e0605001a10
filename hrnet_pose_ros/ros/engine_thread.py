# SPDX-License-Identifier: Apache-2.0
"""The thread that makes, uses and closes the engine; it takes frames from a mailbox, and calls."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from hrnet_pose_ros.ros.mailbox import Mailbox

FrameT = TypeVar("FrameT")


class EngineThread(Generic[FrameT]):
    """Runs ``process(frame)`` for the newest frame, and functions submitted by other threads.

    Functions run between frames, in order. ``process`` must not raise.
    """

    def __init__(self, process: Callable[[FrameT], None]) -> None:
        self._process = process
        self._mailbox: Mailbox[FrameT] = Mailbox()
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def put(self, frame: FrameT) -> FrameT | None:
        """Put a frame into the mailbox and return the older one that it replaced, if any."""
        return self._mailbox.put(frame)

    def discard(self) -> FrameT | None:
        """Remove and return a frame that the thread has not started to process, if any."""
        return self._mailbox.empty()

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Run a function on the thread; its future is cancelled if the thread stops first."""
        future: Future[Any] = Future()
        self._calls.append((function, future))
        self._mailbox.wake()
        if self._stopping.is_set():
            self._cancel_calls()
        return future

    def stop(self, timeout: float) -> bool:
        """End the thread after its current work; return False if that takes over ``timeout`` s."""
        self._stopping.set()
        self._mailbox.wake()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            frame = self._mailbox.take()
            while self._calls and not self._stopping.is_set():
                function, future = self._calls.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(function())
                except Exception as error:  # raised again for the caller that waits for the result
                    future.set_exception(error)
            if frame is not None and not self._stopping.is_set():
                self._process(frame)
        self._cancel_calls()

    def _cancel_calls(self) -> None:
        while self._calls:
            self._calls.popleft()[1].cancel()
