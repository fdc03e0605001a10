# SPDX-License-Identifier: Apache-2.0
"""The node's log: throttled warnings, and forwarding of the package's log records."""

from __future__ import annotations

import logging
import time
from typing import Any

from rclpy.logging import LoggingSeverity

WARNING_PERIOD = 5.0


class ThrottledWarnings:
    """Logs warnings of a node, at most one of each kind every 5 s."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._last: dict[str, float] = {}

    def warn(self, kind: str, text: str) -> None:
        """Log a warning, unless one of its kind was logged recently. Kinds are few and fixed."""
        now = time.monotonic()
        if now - self._last.get(kind, -WARNING_PERIOD) >= WARNING_PERIOD:
            self._last[kind] = now
            self._logger.warning(text)


def forward_package_log(logger: Any) -> None:
    """Forward log records of the package's parts without ROS (engines, models) to a node's log."""

    class Forward(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = self.format(record)
            if record.levelno >= logging.ERROR:
                logger.error(text)
            elif record.levelno >= logging.WARNING:
                logger.warning(text)
            elif record.levelno >= logging.INFO:
                logger.info(text)
            else:
                logger.debug(text)

    package = logging.getLogger("hrnet_pose_ros")
    package.setLevel(
        logging.DEBUG if logger.is_enabled_for(LoggingSeverity.DEBUG) else logging.INFO
    )
    package.handlers = [Forward()]
    package.propagate = False
