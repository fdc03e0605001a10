# SPDX-License-Identifier: Apache-2.0
"""The assignment problem: which pairs of two sets together have the largest gain.

`scipy.optimize.linear_sum_assignment` solves the same problem; here it is written in NumPy, because
nodes run where SciPy is not installed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def best_pairs(gains: ArrayLike) -> np.ndarray:
    """Return the pairs with the largest sum of gains; each row and each column is used once.

    Only pairs with a gain above 0 are made, so rows and columns may be left over.

    Parameters
    ----------
    gains
        float ``[M, N]``, finite.

    Returns
    -------
    int64 ``[K, 2]``: rows and columns, sorted by row.

    Raises
    ------
    ValueError
        ``gains`` is not a finite matrix.

    Examples
    --------
    The largest gain alone, 9, would leave only 1 for the other row:

    >>> from hrnet_pose_ros.fusion.assignment import best_pairs
    >>> best_pairs([[9, 8], [7, 1], [-1, -1]]).tolist()
    [[0, 1], [1, 0]]
    """
    matrix = np.asarray(gains, np.float64)
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise ValueError(f"gains must be a finite matrix [M, N], got shape {matrix.shape}")
    positive = matrix > 0
    if not positive.any():
        return np.zeros((0, 2), np.int64)
    rows, columns = np.flatnonzero(positive.any(axis=1)), np.flatnonzero(positive.any(axis=0))
    # A row may also take a column without gain: one of the last, which every row has.
    cost = np.zeros((len(rows), len(columns) + len(rows)))
    cost[:, : len(columns)] = -np.maximum(matrix[np.ix_(rows, columns)], 0)
    chosen = _cheapest_columns(cost)
    real = chosen < len(columns)
    pairs = np.stack([rows[real], columns[chosen[real]]], axis=1)
    return pairs[positive[pairs[:, 0], pairs[:, 1]]]


def _cheapest_columns(cost: np.ndarray) -> np.ndarray:
    """Return a column for each row of ``[M, N]``, M <= N, with the smallest sum of costs.

    The Hungarian method with shortest augmenting paths (Jonker and Volgenant, Computing 38, 1987).
    Every row first takes its cheapest column if that is free, which is all that most rows need.
    """
    rows, columns = cost.shape
    cheapest = cost.argmin(axis=1)
    row_price = cost[np.arange(rows), cheapest]
    # The search begins at an additional column, which belongs to the row to place.
    column_price = np.zeros(columns + 1)
    row_of = np.full(columns + 1, -1)
    left = []
    for row, column in enumerate(cheapest.tolist()):
        if row_of[column] < 0:
            row_of[column] = row
        else:
            left.append(row)
    for row in left:
        row_of[-1], column = row, columns
        distance = np.full(columns + 1, np.inf)
        previous = np.zeros(columns + 1, np.int64)
        visited = np.zeros(columns + 1, bool)
        while row_of[column] >= 0:
            visited[column] = True
            here = row_of[column]
            reduced = np.full(columns + 1, np.inf)
            reduced[:-1] = cost[here] - row_price[here] - column_price[:-1]
            shorter = ~visited & (reduced < distance)
            distance[shorter], previous[shorter] = reduced[shorter], column
            column = int(np.where(visited, np.inf, distance).argmin())
            step = distance[column]
            row_price[row_of[visited]] += step
            column_price[visited] -= step
            distance[~visited] -= step
        while column != columns:
            row_of[column] = row_of[previous[column]]
            column = int(previous[column])
        row_of[-1] = -1
    chosen = np.zeros(rows, np.int64)
    taken = np.flatnonzero(row_of >= 0)
    chosen[row_of[taken]] = taken
    return chosen
