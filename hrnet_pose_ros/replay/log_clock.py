# SPDX-License-Identifier: Apache-2.0
"""The log times of a bag as the clock of a `FrameGate`."""

from __future__ import annotations

from collections.abc import Iterator

from hrnet_pose_ros.pipeline.gate import EXPIRY_PERIOD

_FOREVER = 10**18  # ns


class LogClock:
    """A clock that shows the log time of the newest message; see `GateClock`.

    Between two messages it stops whenever the node's expiry timer would fire::

        for _ in clock.advance(message.time, max_wait):
            frames += gate.expire()
        frames += gate.image(message.message)
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._now = 0
        self._steady = 0.0

    def now(self) -> int:
        """The log time, ns."""
        return self._now

    def steady(self) -> float:
        """Seconds since the first message, which a float holds without loss of precision."""
        return self._steady

    def advance(self, until: int, max_wait: float) -> Iterator[None]:
        """Advance to a log time (ns); yields at each tick of the expiry timer on the way.

        The ticks end when nothing that waits at most ``max_wait`` seconds can still be waiting.
        The first call starts the clock.
        """
        if self._first is None:
            self._first = until
        last, end = self._steady, (until - self._first) / 1e9
        count = int(min(end - last, max_wait + 2 * EXPIRY_PERIOD) / EXPIRY_PERIOD)
        for number in range(1, count + 1):
            self._steady = last + number * EXPIRY_PERIOD
            self._now = self._first + round(self._steady * 1e9)
            yield
        self._now, self._steady = until, end

    def run_out(self, max_wait: float) -> Iterator[None]:
        """As `advance`, after the last message: waiting messages get their full waiting time."""
        return self.advance(self._now + _FOREVER, max_wait)
