# SPDX-License-Identifier: Apache-2.0
"""Checks of the numbers in a scenario."""

from __future__ import annotations

import math


def check_point(name: str, values: tuple[float, ...], length: int) -> None:
    """Raise ValueError unless ``values`` are that many finite numbers."""
    if len(values) != length or not all(map(math.isfinite, values)):
        raise ValueError(f"{name} must be {length} numbers, got {list(values)}")


def check_range(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise ValueError unless ``value`` lies between the limits; NaN and infinity do not."""
    if not low <= value <= high or value == math.inf:
        finite = " and finite" if value == math.inf else ""
        limits = f"at least {low:g}{finite}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be {limits}, got {value:g}")


def check_finite(name: str, value: float | None) -> None:
    """Raise ValueError if ``value`` is NaN or infinite; None is not given, which is fine."""
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value:g}")
