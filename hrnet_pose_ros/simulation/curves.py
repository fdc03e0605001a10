# SPDX-License-Identifier: Apache-2.0
"""Smooth functions of time on a uniform grid."""

from __future__ import annotations

import numpy as np


def blur(values: np.ndarray, deviation: float) -> np.ndarray:
    """Values ``[G, …]`` convolved with a Gaussian along the first axis.

    ``deviation`` is its standard deviation in grid steps; beyond the ends, the last value goes on.

    >>> blur(np.ones(5), 2.0).round(6).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    reach = int(4 * deviation + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel /= kernel.sum()
    columns = values.reshape(len(values), -1).astype(np.float64)
    padded = np.pad(columns, ((reach, reach), (0, 0)), mode="edge")
    smooth = [np.convolve(column, kernel, mode="valid") for column in padded.T]
    return np.stack(smooth, axis=1).reshape(values.shape)


def smooth_step(x: np.ndarray) -> np.ndarray:
    """From 0 at 0 to 1 at 1, with slope 0 at both; constant beyond."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


class Curve:
    """A function ``[C]`` of time through values ``[G, C]`` at ``start + step * [0 … G-1]``.

    Cubic between the grid's times, with a continuous derivative; constant beyond the ends.
    """

    def __init__(self, start: float, step: float, values: np.ndarray) -> None:
        self._start, self._step = start, step
        self._values = np.asarray(values, np.float64)
        self._slopes = np.gradient(self._values, axis=0)

    def __call__(self, times: np.ndarray | float) -> np.ndarray:
        """Values ``[T, C]`` at times ``[T]``, or ``[C]`` at one time."""
        x, a, b, left, right = self._between(times)
        return (
            (1 + 2 * x) * (1 - x) ** 2 * a
            + x * x * (3 - 2 * x) * b
            + x * (1 - x) ** 2 * left
            + x * x * (x - 1) * right
        )

    def rates(self, times: np.ndarray | float) -> np.ndarray:
        """The derivative, per unit of time, in the same shape."""
        x, a, b, left, right = self._between(times)
        rates = 6 * x * (x - 1) * (a - b) + (1 - x) * (1 - 3 * x) * left + x * (3 * x - 2) * right
        return rates / self._step

    def _between(self, times: np.ndarray | float) -> tuple[np.ndarray, ...]:
        """Where between two grid points (0 to 1), and the values and slopes at both."""
        last = len(self._values) - 1
        place = np.clip((np.asarray(times, np.float64) - self._start) / self._step, 0, last)
        low = np.minimum(place.astype(int), last - 1)
        x = (place - low)[..., None]
        values, slopes = self._values, self._slopes
        return x, values[low], values[low + 1], slopes[low], slopes[low + 1]
