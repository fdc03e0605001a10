# SPDX-License-Identifier: Apache-2.0
"""How the persons of an image are spread over a processor's cores: in one stream or beside one
another.

One stream takes all threads for one batch. Several streams have fewer threads each and run batches
at the same time, which loses less to synchronisation, and more where the persons do not divide
evenly. Which is faster depends on the network, the processor and the number of persons: measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

# Several streams must save this much of one stream's time: they cost a second copy of the network.
LEAST_GAIN = 0.03


def batch_sizes(count: int, streams: int, max_batch: int) -> list[int]:
    """Sizes of the batches for a number of crops: as few rounds of all streams as fit, then even.

    Parameters
    ----------
    count
        Number of crops, at least 1.
    streams
        Batches that run at the same time.
    max_batch
        Most crops that run at a time, in all streams together (rounded up to as many for each).

    Examples
    --------
    >>> batch_sizes(10, streams=1, max_batch=10)
    [10]
    >>> batch_sizes(10, streams=2, max_batch=10)
    [5, 5]
    >>> batch_sizes(12, streams=1, max_batch=10)
    [6, 6]
    >>> batch_sizes(12, streams=2, max_batch=10)
    [3, 3, 3, 3]
    >>> batch_sizes(3, streams=2, max_batch=10)
    [2, 1]
    """
    rounds = -(-count // (streams * largest_batch(streams, max_batch)))
    batches = min(count, rounds * streams)
    small, larger = divmod(count, batches)
    return [small + 1] * larger + [small] * (batches - larger)


def largest_batch(streams: int, max_batch: int) -> int:
    """The most crops in one batch of each stream, where ``max_batch`` run at a time."""
    return -(-max_batch // streams)


@dataclass(frozen=True)
class Measured:
    """Milliseconds of batches by their size, for one number of streams with all of them busy."""

    streams: int
    by_size: Mapping[int, float]

    def __str__(self) -> str:
        many = f"{self.streams} streams" if self.streams > 1 else "1 stream"
        times = [f"{self.streams * size} in {ms:.1f} ms" for size, ms in self.by_size.items()]
        return f"{many}: persons {', '.join(times)}"

    def of_batch(self, size: int) -> float:
        """A batch's time, interpolated between measured sizes."""
        sizes = sorted(self.by_size)
        return float(np.interp(size, sizes, [self.by_size[one] for one in sizes]))

    def of(self, count: int, max_batch: int) -> float:
        """The time of a number of crops."""
        sizes = batch_sizes(count, self.streams, max_batch)
        return sum(self.of_batch(size) for size in sizes[:: self.streams])


@dataclass(frozen=True)
class BatchLayout:
    """Which number of streams runs which number of crops.

    Attributes
    ----------
    streams
        The number of streams beside 1; 1: there is no other.
    measured
        What was measured, by number of streams; empty where the number was given.
    max_batch
        Most crops that run at a time.
    """

    streams: int = 1
    max_batch: int = 10
    measured: Mapping[int, Measured] = field(default_factory=dict)

    def streams_for(self, count: int) -> int:
        """1 or `streams`, for a number of crops."""
        if count < 2 or self.streams == 1:
            return 1
        if not self.measured:  # as given: wherever each stream has something to do
            return self.streams if count >= self.streams else 1
        one, several = (self.measured[n].of(count, self.max_batch) for n in (1, self.streams))
        return self.streams if several < (1 - LEAST_GAIN) * one else 1

    def sizes_for(self, count: int) -> list[int]:
        """The sizes of the batches for a number of crops."""
        return batch_sizes(count, self.streams_for(count), self.max_batch)

    def counts_of_several(self) -> list[int]:
        """The numbers of crops, up to twice as many as run at a time, that several streams run."""
        return [n for n in range(1, 2 * self.max_batch + 1) if self.streams_for(n) > 1]

    def __str__(self) -> str:
        used = self.counts_of_several()
        if not used:
            return "one stream"
        return f"{self.streams} streams from {used[0]} persons on, one stream below and between"


def candidates(threads: int) -> tuple[int, ...]:
    """Numbers of streams worth measuring beside 1, for a number of threads.

    Examples
    --------
    >>> candidates(1), candidates(2), candidates(8)
    ((), (2,), (2, 8))
    """
    return tuple(sorted({n for n in (2, min(threads, 8)) if 2 <= n <= threads}))


def sizes_to_measure(max_batch: int, streams: int) -> tuple[int, ...]:
    """Sizes of batches to measure for a number of streams, ascending.

    Examples
    --------
    >>> sizes_to_measure(10, 1), sizes_to_measure(10, 2)
    ((1, 2, 4, 10), (1, 2, 5))
    """
    largest = largest_batch(streams, max_batch)
    few = (1, 2, 4) if streams == 1 else (1, 2)
    return tuple(sorted({*(n for n in few if n < largest), largest}))


def measure(
    run: Mapping[int, Callable[[int], float]], max_batch: int, turns: int, budget: float
) -> dict[int, Measured]:
    """Measure numbers of streams in turns, so that a busy machine slows all of them alike.

    Parameters
    ----------
    run
        By number of streams: runs that many batches of a size at once, and returns seconds.
    max_batch
        Most crops that run at a time.
    turns
        Most measurements of each; the median counts.
    budget
        Seconds after which no other turn begins.
    """
    taken: dict[tuple[int, int], list[float]] = {}
    spent = 0.0
    for _ in range(turns):
        for streams, batches in run.items():
            for size in sizes_to_measure(max_batch, streams):
                seconds = batches(size)
                spent += seconds
                taken.setdefault((streams, size), []).append(1e3 * seconds)
        if spent > budget:
            break
    return {
        streams: Measured(
            streams,
            {size: float(np.median(ms)) for (n, size), ms in taken.items() if n == streams},
        )
        for streams in run
    }


def best(measured: Mapping[int, Measured], max_batch: int) -> BatchLayout:
    """The layout that is fastest in all, over 1 to ``max_batch`` persons."""
    layouts = [BatchLayout(streams, max_batch, measured) for streams in measured]

    def total(layout: BatchLayout) -> float:
        return sum(
            measured[layout.streams_for(count)].of(count, max_batch)
            for count in range(1, max_batch + 1)
        )

    chosen = min(layouts, key=total)
    used = chosen.counts_of_several()
    return chosen if used else BatchLayout(1, max_batch, measured)
