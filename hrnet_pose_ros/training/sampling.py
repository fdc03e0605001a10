# SPDX-License-Identifier: Apache-2.0
"""Which crop comes when: a function of the seed and the step, so that a resume needs no memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch


class Draw(NamedTuple):
    """One training crop to make: picture ``number`` of data set ``source``, in the ``place``-th
    position of epoch ``epoch``."""

    source: int
    number: int
    epoch: int
    place: int


class Order:
    """The crops of every epoch.

    An epoch's crops are shared among the data sets by their weights. Each data set is gone
    through in random order until all its persons were drawn, then again in another order.

    Parameters
    ----------
    sizes, weights
        Of the data sets: number of pictures, and how many crops come from each relative to the
        others.
    epoch_crops
        Crops of an epoch.
    """

    def __init__(
        self, sizes: Sequence[int], weights: Sequence[float], epoch_crops: int, seed: int
    ) -> None:
        self.sizes = list(sizes)
        self.seed = seed
        ends = np.round(np.cumsum(weights) / np.sum(weights) * epoch_crops).astype(int)
        self.counts: list[int] = np.diff(ends, prepend=0).tolist()

    def steps_per_epoch(self, batch: int) -> int:
        """Whole batches in an epoch; what does not fill one is left out.

        Raises ValueError where the epoch does not fill a single one.
        """
        steps = sum(self.counts) // batch
        if not steps:
            raise ValueError(
                f"an epoch of {sum(self.counts)} crops does not fill a batch of {batch}: lower "
                "batch or set epoch_crops"
            )
        return steps

    def epoch(self, epoch: int) -> list[Draw]:
        """The draws of an epoch, in order."""
        chosen: list[tuple[int, int]] = []
        for source, count in enumerate(self.counts):
            places = range(epoch * count, (epoch + 1) * count)
            chosen += [(source, number) for number in self._numbers(source, places)]
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(chosen))
        return [
            Draw(source=chosen[at][0], number=chosen[at][1], epoch=epoch, place=place)
            for place, at in enumerate(order.tolist())
        ]

    def _numbers(self, source: int, places: range) -> Iterator[int]:
        size = self.sizes[source]
        rounds: dict[int, np.ndarray] = {}
        for place in places:
            turn = place // size
            if turn not in rounds:
                random = np.random.default_rng((self.seed, 2, source, turn))
                rounds[turn] = random.permutation(size)
            yield int(rounds[turn][place % size])


class StepBatches(torch.utils.data.Sampler[list[Draw]]):
    """The draws of one process in each of ``steps``, which count on over the epochs.

    The processes take turns in a batch: whatever their number, a step has the same crops.
    """

    def __init__(
        self, order: Order, batch: int, steps: range, rank: int = 0, processes: int = 1
    ) -> None:
        if batch % processes:
            raise ValueError(
                f"a batch of {batch} crops cannot be shared by {processes} processes: make it a "
                "multiple of their number"
            )
        self.order, self.batch, self.steps = order, batch, steps
        self.rank, self.processes = rank, processes
        self.steps_per_epoch = order.steps_per_epoch(batch)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[Draw]]:
        draws: list[Draw] = []
        current = -1
        for step in self.steps:
            epoch, number = divmod(step, self.steps_per_epoch)
            if epoch != current:
                draws, current = self.order.epoch(epoch), epoch
            first = number * self.batch
            yield draws[first + self.rank : first + self.batch : self.processes]
