# SPDX-License-Identifier: Apache-2.0
"""The start of rclpy, and what a start that fails says: one line with the way out."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import rclpy
from rclpy.signals import SignalHandlerOptions

# Words in the errors of rclpy, and what helps.
_WAYS_OUT = (
    (
        r"logging director|log director|log file",
        "set ROS_LOG_DIR to a folder that can be written",
    ),
    (
        r"create domain|create node|domain_id|domain id",
        "is ROS_DOMAIN_ID a number from 0 to 232? hrnet_pose doctor checks the middleware",
    ),
)


def start_rclpy() -> None:
    """Call `rclpy.init` without signal handlers.

    What the C libraries print in the meantime appears only if it succeeds: the error that rclpy
    raises says the same in one line.
    """
    with _held_standard_error() as held:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    held.seek(0)
    sys.stderr.write(held.read())
    held.close()


def start_error(error: Exception) -> str:
    """Return the reason why a node cannot be started, in one line, with the way out if known."""
    text = " ".join(str(error).split())
    text = re.sub(r", at /[^,'\"]+:\d+", "", text)  # the place in the sources of rcl
    for words, way_out in _WAYS_OUT:
        if re.search(words, text, re.IGNORECASE):
            return f"{text}; {way_out}"
    return text


@contextmanager
def _held_standard_error() -> Iterator[IO[str]]:
    """Redirect the process's standard error to a file, also for C libraries."""
    sys.stderr.flush()
    held = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  the caller reads it
    original = os.dup(2)
    os.dup2(held.fileno(), 2)
    try:
        yield held
    finally:
        os.dup2(original, 2)
        os.close(original)
