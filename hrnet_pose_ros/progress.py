# SPDX-License-Identifier: Apache-2.0
"""Progress bars on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(
    what: str,
    unit: str,
    total: int,
    over: Iterable[Any] | None = None,
    *,
    initial: int = 0,
    show: bool = True,
) -> tqdm:
    """A progress bar over ``total`` units (0: unknown), of which ``initial`` are done already.

    Without a terminal it is a line every 5 s; with ``show`` false it is not there.
    """
    interval = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(
        over,
        desc=what,
        total=total or None,
        unit=unit,
        mininterval=interval,
        dynamic_ncols=True,
        initial=initial,
        disable=not show,
    )


def end_bars() -> None:
    """End the bars that an error has interrupted, so that the next output begins on a new line."""
    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()
