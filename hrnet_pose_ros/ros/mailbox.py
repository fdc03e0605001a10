# SPDX-License-Identifier: Apache-2.0
"""A mailbox with one slot between the subscriptions and the engine thread: the newest item wins."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A one-slot mailbox for one reader; ``put`` never blocks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._woken = False

    def put(self, item: T) -> T | None:
        """Put an item into the slot and return the one that it replaces, if any."""
        with self._changed:
            replaced, self._item = self._item, item
            self._changed.notify()
            return replaced

    def take(self, timeout: float | None = None) -> T | None:
        """Wait for the item and take it; None after ``timeout`` seconds, or when woken."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._woken, timeout)
            item, self._item, self._woken = self._item, None, False
            return item

    def empty(self) -> T | None:
        """Take the item without waiting; None if there is none."""
        with self._changed:
            item, self._item = self._item, None
            return item

    def wake(self) -> None:
        """Make the reader return from ``take`` immediately."""
        with self._changed:
            self._woken = True
            self._changed.notify()
