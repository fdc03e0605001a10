# SPDX-License-Identifier: Apache-2.0
"""Callbacks that do not raise: an exception in one would end the executor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from hrnet_pose_ros.ros.log import ThrottledWarnings


def guarded(
    callback: Callable[..., None], warnings: ThrottledWarnings, stopping: threading.Event
) -> Callable[..., None]:
    """Wrap a callback so that an exception is logged, unless the node is stopping."""

    def guard(*arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception as error:
            if not stopping.is_set():
                warnings.warn(
                    callback.__name__, f"{callback.__name__}: {type(error).__name__}: {error}"
                )

    return guard
