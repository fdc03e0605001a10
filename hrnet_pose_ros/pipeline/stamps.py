# SPDX-License-Identifier: Apache-2.0
"""Conversion of stamps between seconds with nanoseconds and integer nanoseconds."""

from __future__ import annotations

from typing import Any

NS_PER_S = 1_000_000_000


def nanoseconds(stamp: Any) -> int:
    """Return a builtin_interfaces/Time as integer nanoseconds; a float is not precise enough."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def stamp_of(message: Any) -> int:
    """Return the stamp in a message's header, nanoseconds."""
    return nanoseconds(message.header.stamp)


def time_fields(stamp: int) -> dict[str, int]:
    """Return ``sec`` and ``nanosec``, the arguments of a Time message, of integer nanoseconds.

    >>> time_fields(1_500_000_001)
    {'sec': 1, 'nanosec': 500000001}
    """
    seconds, rest = divmod(stamp, NS_PER_S)
    return {"sec": seconds, "nanosec": rest}


def seconds_text(stamp: int) -> str:
    """Return integer nanoseconds as seconds with nine decimals, for logs and file names.

    >>> seconds_text(1_500_000_001)
    '1.500000001'
    """
    return f"{stamp // NS_PER_S}.{stamp % NS_PER_S:09d}"
