# SPDX-License-Identifier: Apache-2.0
"""Measurements that wait for the image with the nearest stamp, each of them accounted for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hrnet_pose_ros.fusion.refusals import Refusal, Tally

T = TypeVar("T")

NS = 1_000_000_000
# A stamp that goes back by this much is a jump in time, not a late message (as in the pairing of
# images with detections).
JUMP_NS = NS


@dataclass(frozen=True)
class StampLimits:
    """How old a measurement may be on arrival, and how far ahead of the clock; seconds."""

    max_age: float = 0.5
    max_ahead: float = 0.03

    def check(self, stamp: int, now: int) -> Refusal | None:
        """Return why a stamp is refused at a time of the clock, both in ns; None if it is not."""
        if stamp > now + self.max_ahead * NS:
            return Refusal.IN_FUTURE
        return Refusal.TOO_OLD if stamp < now - self.max_age * NS else None


class StampBuffer(Generic[T]):
    """Measurements of one sensor, sorted by stamp, each of which is used at most once.

    Stamps must increase. One that goes back by 1 s or more (a bag that starts again) refuses all
    that wait and begins anew.
    """

    def __init__(self, limits: StampLimits, size: int = 64) -> None:
        self.tally = Tally()
        self.limits = limits
        self._size = size
        self._waiting: list[tuple[int, T]] = []
        self._last: int | None = None

    @property
    def last_stamp(self) -> int | None:
        """The stamp of the newest measurement that was accepted, ns; None if there was none."""
        return self._last

    def add(self, stamp: int, value: T, now: int) -> Refusal | None:
        """Keep a measurement; return why it was refused, or None."""
        self.tally.received += 1
        reason = self.limits.check(stamp, now)
        if reason is None and self._last is not None and stamp <= self._last:
            if self._last - stamp < JUMP_NS:
                reason = Refusal.LATE
            else:
                self.clear(Refusal.TIME_JUMP)
        if reason is not None:
            self.tally.reasons[reason] += 1
            return reason
        self._waiting.append((stamp, value))
        self._last = stamp
        if len(self._waiting) > self._size:
            self._refuse(1)
        self._count_waiting()
        return None

    def refuse(self, reason: Refusal) -> Refusal:
        """Count a message that could not be made into a measurement."""
        self.tally.count(reason)
        return reason

    def take(
        self, stamp: int, tolerance: float, check: Callable[[T], Refusal | None] = lambda _: None
    ) -> T | None:
        """Return the measurement nearest to a stamp (ns), within ``tolerance`` seconds, or None.

        It and those before it leave the buffer. ``check`` may refuse it, with the reason.
        """
        stamps = [s for s, _ in self._waiting]
        at = bisect_left(stamps, stamp)
        near = [n for n in (at - 1, at) if 0 <= n < len(stamps)]
        best = min(near, key=lambda n: abs(stamps[n] - stamp), default=None)
        if best is None or abs(stamps[best] - stamp) > tolerance * NS:
            self._refuse(bisect_left(stamps, stamp - round(tolerance * NS)))
            self._count_waiting()
            return None
        value = self._waiting[best][1]
        self._refuse(best)
        self._waiting.pop(0)
        self._count_waiting()
        reason = check(value)
        if reason is not None:
            self.tally.reasons[reason] += 1
            return None
        self.tally.used += 1
        return value

    def clear(self, reason: Refusal) -> None:
        """Refuse all that wait, and forget the newest stamp."""
        self._refuse(len(self._waiting), reason)
        self._last = None
        self._count_waiting()

    def _refuse(self, count: int, reason: Refusal = Refusal.NOT_NEEDED) -> None:
        if count:
            del self._waiting[:count]
            self.tally.reasons[reason] += count

    def _count_waiting(self) -> None:
        self.tally.waiting = len(self._waiting)
