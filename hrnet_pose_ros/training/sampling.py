# SPDX-License-Identifier: Apache-2.0
"""The order of training crops: a function of seed and step, so that resuming needs no state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch


class CropSample(NamedTuple):
    """One training crop to generate: patch ``number`` of data set ``source``, at position ``place``
    of epoch ``epoch``."""

    source: int
    number: int
    epoch: int
    place: int


class CropSchedule:
    """The crops of every epoch.

    The data sets contribute to an epoch in proportion to their weights. Each data set is traversed
    in random order until all of its persons were used, then again in another order.

    Parameters
    ----------
    sizes, weights
        Number of patches of each data set, and the relative number of crops from each.
    epoch_crops
        Crops per epoch.
    """

    def __init__(
        self, sizes: Sequence[int], weights: Sequence[float], epoch_crops: int, seed: int
    ) -> None:
        self.sizes = list(sizes)
        self.seed = seed
        ends = np.round(np.cumsum(weights) / np.sum(weights) * epoch_crops).astype(int)
        self.counts: list[int] = np.diff(ends, prepend=0).tolist()

    def steps_per_epoch(self, batch: int) -> int:
        """Number of complete batches in an epoch; the remainder is dropped.

        Raises ValueError if the epoch is smaller than one batch.
        """
        steps = sum(self.counts) // batch
        if not steps:
            raise ValueError(
                f"an epoch of {sum(self.counts)} crops does not fill a batch of {batch}: lower "
                "batch or set epoch_crops"
            )
        return steps

    def epoch(self, epoch: int) -> list[CropSample]:
        """The samples of an epoch, in order."""
        chosen: list[tuple[int, int]] = []
        for source, count in enumerate(self.counts):
            places = range(epoch * count, (epoch + 1) * count)
            chosen += [(source, number) for number in self._numbers(source, places)]
        order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(chosen))
        return [
            CropSample(source=chosen[at][0], number=chosen[at][1], epoch=epoch, place=place)
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


class StepBatchSampler(torch.utils.data.Sampler[list[CropSample]]):
    """The samples of one process in each of ``steps``, which are numbered across epochs.

    The samples of a batch are interleaved over the processes, so a step has the same crops for any
    number of processes.
    """

    def __init__(
        self, order: CropSchedule, batch: int, steps: range, rank: int = 0, processes: int = 1
    ) -> None:
        if batch % processes:
            raise ValueError(
                f"a batch of {batch} crops cannot be split over {processes} processes: make it a "
                "multiple of that number"
            )
        self.order, self.batch, self.steps = order, batch, steps
        self.rank, self.processes = rank, processes
        self.steps_per_epoch = order.steps_per_epoch(batch)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[CropSample]]:
        samples: list[CropSample] = []
        current = -1
        for step in self.steps:
            epoch, number = divmod(step, self.steps_per_epoch)
            if epoch != current:
                samples, current = self.order.epoch(epoch), epoch
            first = number * self.batch
            yield samples[first + self.rank : first + self.batch : self.processes]
