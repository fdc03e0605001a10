# SPDX-License-Identifier: Apache-2.0
"""The node's expiry timer in the time of a bag."""

from __future__ import annotations

from collections.abc import Iterator

PERIOD = 0.05  # seconds; as PoseNode's


def ticks(last: float, now: float, max_wait: float) -> Iterator[float]:
    """When the timer fires between two messages at ``last`` and ``now``, seconds.

    It ends when nothing that came until ``last`` can wait any more.
    """
    count = int(min(now - last, max_wait + 2 * PERIOD) / PERIOD)
    for number in range(1, count + 1):
        yield last + number * PERIOD
