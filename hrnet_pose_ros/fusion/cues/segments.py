# SPDX-License-Identifier: Apache-2.0
"""Groups of elements of different sizes in one flat array, so that all are worked on at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Segments:
    """G groups, one after the other in an array of E elements.

    A loop over the persons of an image takes longer in the interpreter than all of the arithmetic.

    Attributes
    ----------
    sizes
        int64 ``[G]``: how many elements each group has.

    Examples
    --------
    >>> groups = Segments(np.array([2, 0, 3]))
    >>> groups.sum(np.array([1, 2, 10, 20, 30])).tolist()
    [3.0, 0.0, 60.0]
    """

    sizes: np.ndarray

    @cached_property
    def starts(self) -> np.ndarray:
        """int64 ``[G]``: where each group begins."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def group(self) -> np.ndarray:
        """int64 ``[E]``: the group of each element."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of values ``[E]``, float64 ``[G]``."""
        return np.bincount(self.group, values, len(self.sizes))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the means of values ``[E]``, float64 ``[G]``; no group may be empty."""
        return self.sum(values) / self.sizes

    def any(self, mask: np.ndarray) -> np.ndarray:
        """Return for which groups an element of a mask ``[E]`` is true, bool ``[G]``."""
        found = np.zeros(len(self.sizes), bool)
        found[self.group[mask]] = True
        return found

    def min(self, values: np.ndarray) -> np.ndarray:
        """Return the least of values ``[E]``, ``[G]``; no group may be empty."""
        return np.minimum.reduceat(values, self.starts) if len(self.sizes) else values[:0]

    def max(self, values: np.ndarray) -> np.ndarray:
        """Return the largest of values ``[E]``, ``[G]``; no group may be empty."""
        return np.maximum.reduceat(values, self.starts) if len(self.sizes) else values[:0]

    @classmethod
    def between(cls, first: np.ndarray, last: np.ndarray) -> tuple[Segments, np.ndarray]:
        """Return a group for each of the ranges ``first[g] <= n < last[g]``, and all n, ``[E]``.

        >>> Segments.between(np.array([3, 7]), np.array([5, 8]))[1].tolist()
        [3, 4, 7]
        """
        groups = cls(np.maximum(last - first, 0))
        numbers = np.arange(int(groups.sizes.sum()))
        return groups, numbers + np.repeat(first - groups.starts, groups.sizes)
