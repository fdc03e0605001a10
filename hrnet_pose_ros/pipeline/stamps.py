# SPDX-License-Identifier: Apache-2.0
"""Stamps: the message's seconds and nanoseconds, and one integer of nanoseconds."""

from __future__ import annotations

from typing import Any

NS_PER_S = 1_000_000_000


def nanoseconds(stamp: Any) -> int:
    """A builtin_interfaces/Time as integer nanoseconds; a float could not hold it."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def stamp_of(message: Any) -> int:
    """The stamp in a message's header, nanoseconds."""
    return nanoseconds(message.header.stamp)


def time_fields(stamp: int) -> dict[str, int]:
    """``sec`` and ``nanosec`` of integer nanoseconds: the arguments of a Time message.

    >>> time_fields(1_500_000_001)
    {'sec': 1, 'nanosec': 500000001}
    """
    seconds, rest = divmod(stamp, NS_PER_S)
    return {"sec": seconds, "nanosec": rest}


def seconds_text(stamp: int) -> str:
    """Integer nanoseconds in seconds with all nine places, as logs and file names show them.

    >>> seconds_text(1_500_000_001)
    '1.500000001'
    """
    return f"{stamp // NS_PER_S}.{stamp % NS_PER_S:09d}"
