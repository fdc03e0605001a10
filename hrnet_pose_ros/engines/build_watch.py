# SPDX-License-Identifier: Apache-2.0
"""Watching a build that takes minutes, and ending it early."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hrnet_pose_ros.engines.engine import EngineError

# A watch hears something at least this often, seconds.
REPORT_PERIOD = 5.0

_log = logging.getLogger(__name__)


class BuildCancelled(EngineError):
    """The build was given up because its watch said so."""


class BuildWatch:
    """Hears how a build goes on, and may end it. This one logs and never ends a build.

    Both methods are called from the building thread and from another one, at least every
    `REPORT_PERIOD` (5 s) while a plan is built or another process's build is waited for. They
    must return quickly and not raise.
    """

    def report(self, text: str, fraction: float | None) -> None:
        """What is being done, and how much of it is done, in [0, 1]; None where unknown."""
        _log.info("%s%s", text, "" if fraction is None else f", {fraction:.0%}")

    def cancelled(self) -> bool:
        """Whether the build should end now, with `BuildCancelled`."""
        return False


@dataclass
class Progress:
    """What a watch reports next; written by the builder, read by the ticker."""

    text: str
    fraction: float | None = None


@contextmanager
def reporting(
    watch: BuildWatch, progress: Progress, period: float = REPORT_PERIOD
) -> Iterator[None]:
    """Tell the watch about the progress now and every ``period`` seconds, by a thread of its own.

    The builder's own callbacks may stay away for longer than that: one step of a build can take
    minutes.
    """
    done = threading.Event()

    def tick() -> None:
        while True:
            watch.report(progress.text, progress.fraction)
            if done.wait(period):
                return

    ticker = threading.Thread(target=tick, name="build watch", daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
