# SPDX-License-Identifier: Apache-2.0
"""Which of two ways to compute the same is faster, measured in turns on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def alternating_ms(
    first: Callable[[], object], second: Callable[[], object], turns: int = 9
) -> tuple[float, float]:
    """Median milliseconds of two calls, in turns, so that a busy machine slows both alike.

    Each runs once before anything is measured.

    Examples
    --------
    >>> import time
    >>> quick, slow = alternating_ms(lambda: None, lambda: time.sleep(0.002), turns=3)
    >>> quick < slow
    True
    """
    taken = np.empty((turns + 1, 2))
    for turn in taken:
        for place, work in enumerate((first, second)):
            began = time.perf_counter()
            work()
            turn[place] = 1e3 * (time.perf_counter() - began)
    one, other = np.median(taken[1:], axis=0)
    return float(one), float(other)
