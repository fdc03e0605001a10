# SPDX-License-Identifier: Apache-2.0
"""Checks of the numbers in a scenario."""

from __future__ import annotations

import math


def check_point(name: str, values: tuple[float, ...], length: int) -> None:
    """Raise ValueError unless ``values`` are that many finite numbers."""
    if len(values) != length or not all(map(math.isfinite, values)):
        raise ValueError(f"{name} must be {length} numbers, got {list(values)}")


def check_range(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise ValueError unless ``value`` lies between the limits; NaN does not."""
    if not low <= value <= high:
        limits = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be {limits}, got {value:g}")
