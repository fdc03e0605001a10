# SPDX-License-Identifier: Apache-2.0
"""Reports the progress of a long engine build in the log and in diagnostics, and can cancel it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.nodes.pose.diagnostics import Health

# Seconds between two log lines with the same text. The builder reports at least every 5 s; this is
# slightly less, so that no such report is skipped.
LOG_PERIOD = 4.5

_log = logging.getLogger(__name__)


class BuildProgress(BuildWatch):
    """Forwards reports to diagnostics and the log; ends a build on `cancel` or with the node.

    Attributes
    ----------
    reported
        Whether a build has been reported since this was last set to False.
    """

    def __init__(
        self,
        health: Health,
        stopping: threading.Event,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """See the class.

        Parameters
        ----------
        stopping
            Set when the node ends; nothing is built from then on.
        steady
            The steady clock, seconds.
        """
        self.reported = False
        self._health = health
        self._stopping = stopping
        self._steady = steady
        self._cancelled = threading.Event()
        self._logged: tuple[float, str] = (-LOG_PERIOD, "")

    def report(self, text: str, fraction: float | None) -> None:
        """See `BuildWatch`. Every report goes to diagnostics, and one every 5 s to the log."""
        self.reported = True
        line = self._health.building(text, fraction)
        now = self._steady()
        if text != self._logged[1] or now - self._logged[0] >= LOG_PERIOD:
            self._logged = (now, text)
            _log.info("%s", line)

    def cancelled(self) -> bool:
        """See `BuildWatch`."""
        return self._cancelled.is_set() or self._stopping.is_set()

    def cancel(self) -> None:
        """Cancel the current build, and every build that starts before `allow` is called."""
        self._cancelled.set()

    def allow(self) -> None:
        """Allow builds again."""
        self._cancelled.clear()
