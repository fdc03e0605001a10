# SPDX-License-Identifier: Apache-2.0
"""The demo's progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(what: str, images: int, frames: Iterable[Any] | None = None) -> tqdm:
    """A bar over ``images`` (0: unknown); a line every few seconds where no terminal shows it."""
    interval = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(
        frames,
        desc=what,
        total=images or None,
        unit="image",
        mininterval=interval,
        dynamic_ncols=True,
    )
