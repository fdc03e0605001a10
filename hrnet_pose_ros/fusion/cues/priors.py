# SPDX-License-Identifier: Apache-2.0
"""What is known of each person's inverse range before a sensor is asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# For each person some pairs of an inverse range and its variance; the most certain knowledge last.
# Either lists, or an array as `padded` returns it.
Priors = Sequence[Sequence[tuple[float, float]]] | np.ndarray
# The camera's errors last and have heavy tails: where its ranges choose among returns, their
# variances are as many times as large.
PRIOR_GROWTH = 2.0


def padded(priors: Priors) -> np.ndarray:
    """Return them as an array ``[N, P, 2]``, NaN for what is not known.

    >>> padded([[(0.1, 1e-4)], []]).tolist()
    [[[0.1, 0.0001]], [[nan, nan]]]
    """
    if isinstance(priors, np.ndarray):
        return priors
    most = max((len(one) for one in priors), default=0)
    table = np.full((len(priors), most, 2), np.nan)
    for person, known in enumerate(priors):
        if known:
            table[person, : len(known)] = known
    return table


def last_known(priors: Priors) -> np.ndarray:
    """Return the last pair of each person, ``[N, 2]``; NaN for who has none."""
    table = padded(priors)
    last = np.full((len(table), 2), np.nan)
    for place in range(table.shape[1]):
        known = np.isfinite(table[:, place, 0])
        last[known] = table[known, place]
    return last
