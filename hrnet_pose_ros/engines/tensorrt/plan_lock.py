# SPDX-License-Identifier: Apache-2.0
"""One builder at a time for each plan, among all processes of a machine."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hrnet_pose_ros.engines.build_watch import (
    REPORT_PERIOD,
    BuildCancelled,
    BuildWatch,
    Progress,
    reporting,
)

_POLL = 0.1  # seconds between two looks at the lock and at the watch


def open_lock(path: Path) -> int:
    """Open a lock file, made where it is missing; OSError where that cannot be done.

    The file stays for ever: removed, two processes could hold two files of the same name.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


@contextmanager
def held(
    descriptor: int, what: str, watch: BuildWatch, period: float = REPORT_PERIOD
) -> Iterator[bool]:
    """Hold an opened lock file, and close it in the end.

    Waits for the process that holds it. The kernel frees the lock when its holder ends in
    whatever way.

    Parameters
    ----------
    descriptor
        From `open_lock`.
    what
        What the holder builds, for messages.
    watch
        Hears about the waiting, and may end it.
    period
        Seconds between two reports.

    Yields
    ------
    Whether somebody else held the lock first.

    Raises
    ------
    BuildCancelled
        The watch ended the waiting.
    """
    try:
        waited = not _taken(descriptor)
        if waited:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            text = f"waiting for process {holder}, which builds '{what}'"
            with reporting(watch, Progress(text), period):
                while not _taken(descriptor):
                    if watch.cancelled():
                        raise BuildCancelled(f"cancelled while {text}")
                    time.sleep(_POLL)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield waited
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
