# SPDX-License-Identifier: Apache-2.0
"""The node's log: warnings that repeat are throttled, and the package's own records come along."""

from __future__ import annotations

import logging
import time
from typing import Any

WARNING_PERIOD = 5.0


class ThrottledWarnings:
    """Warnings of a node, each kind at most every 5 s."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._said: dict[str, float] = {}

    def warn(self, kind: str, text: str) -> None:
        """Say it, unless one of its kind was said a moment ago. Kinds are few and fixed."""
        now = time.monotonic()
        if now - self._said.get(kind, -WARNING_PERIOD) >= WARNING_PERIOD:
            self._said[kind] = now
            self._logger.warning(text)


def forward_package_log(logger: Any) -> None:
    """Bring the records that the package's ROS-free parts log (engines, models) to a node's log."""

    class Forward(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = self.format(record)
            if record.levelno >= logging.ERROR:
                logger.error(text)
            elif record.levelno >= logging.WARNING:
                logger.warning(text)
            else:
                logger.info(text)

    package = logging.getLogger("hrnet_pose_ros")
    package.setLevel(logging.INFO)
    package.handlers = [Forward()]
    package.propagate = False
