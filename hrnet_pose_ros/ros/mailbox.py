# SPDX-License-Identifier: Apache-2.0
"""One slot between the subscriptions and the worker: the newest wins."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A one-slot mailbox for one reader; ``put`` never waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._woken = False

    def put(self, item: T) -> T | None:
        """Leave an item for the reader and return the one that it replaces, if any."""
        with self._changed:
            replaced, self._item = self._item, item
            self._changed.notify()
            return replaced

    def take(self, timeout: float | None = None) -> T | None:
        """Take the item; None after ``timeout`` seconds without one, or when woken."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._woken, timeout)
            item, self._item, self._woken = self._item, None, False
            return item

    def empty(self) -> T | None:
        """Take the item without waiting."""
        with self._changed:
            item, self._item = self._item, None
            return item

    def wake(self) -> None:
        """Make the reader return from ``take`` now."""
        with self._changed:
            self._woken = True
            self._changed.notify()
