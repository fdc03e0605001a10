# SPDX-License-Identifier: Apache-2.0
"""Pairing of images and detections by their stamps.

This module handles stamps (integer nanoseconds) and opaque messages. It uses neither ROS nor a wall
clock: every method is given the steady time at which its message arrived. Not thread-safe: the
caller serialises.

The rules
---------
* Messages with equal stamps are paired at once.
* With a tolerance, a detection message takes the nearest image within the tolerance, but only once
  no nearer image can arrive: when an image newer than the detections has arrived, or ``max_wait``
  has passed. Each message is used once.
* The stamps of a topic must increase. A message whose stamp repeats or goes back is late: it is
  dropped and counted.
* Time jumps back when the caller says so (`Pairing.clear`), because its clock did, or when three
  messages in a row are late and their stamps increase (a short bag that is repeated without its
  clock, a camera that restarts): all waiting messages are dropped and counted, and the third
  message is the first one after the jump. One stamp that is wrong, however far, changes nothing.
* An image that found no detections in time is ``unmatched`` if the detector has answered a newer
  image, and ``no_detections_yet`` if it has not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject

# So many late messages in a row, with increasing stamps, are a new time. A publisher with several
# threads may send two messages in the wrong order; three newer ones after an older are none of it.
JUMP_MESSAGES = 3
# After the image stamps have jumped back, detections that are this far ahead of the newest image
# are from before the jump: no detector can answer an image that the camera has not sent.
STALE_AHEAD_NS = 500_000_000
# Maximum number of waiting images, regardless of max_wait (170 images of 1080p rgb8 take 1 GB).
MAX_WAITING = 64


@dataclass(frozen=True)
class PendingMessage:
    """A message that is waiting for its partner, or was until it was paired."""

    stamp: int
    message: Any
    arrived: float  # steady clock, seconds


@dataclass(frozen=True)
class Pair:
    """An image with its detections; ``detections`` is None for an image that passed without any."""

    image: PendingMessage
    detections: PendingMessage | None
    epoch: int  # Pairing.epoch when the pair was made; a later time jump makes the pair stale

    @property
    def detections_message(self) -> Any | None:
        """The detections message; None if there is none."""
        return None if self.detections is None else self.detections.message


class _StampOrder:
    """The order of the stamps of one topic."""

    def __init__(self) -> None:
        self.last: int | None = None  # of the newest message that was in order
        self._last_late = 0
        self._late_in_row = 0

    def is_next(self, stamp: int) -> bool:
        """Return whether a stamp is in order; then it is the last one."""
        if self.last is not None and stamp <= self.last:
            goes_on = self._late_in_row > 0 and stamp > self._last_late
            self._late_in_row = self._late_in_row + 1 if goes_on else 1
            self._last_late = stamp
            return False
        self.last = stamp
        self._late_in_row = 0
        return True

    def has_jumped(self) -> bool:
        """Return whether the last late messages are those of a new time."""
        return self._late_in_row >= JUMP_MESSAGES


class Pairing:
    """Pairs images and detections by the rules above.

    Parameters
    ----------
    tolerance
        Maximum difference of the stamps of a pair, nanoseconds; 0 requires equal stamps.
    max_wait
        Seconds that a message waits for its partner.
    pass_unpaired_images
        Return images that found no detections as pairs without detections, instead of dropping
        them.
    drop
        Called as ``drop(subject, reason)`` for each message that is not used.
    """

    def __init__(
        self,
        *,
        tolerance: int,
        max_wait: float,
        pass_unpaired_images: bool,
        drop: Callable[[Subject, Reason], None],
    ) -> None:
        self.tolerance = tolerance
        self.max_wait = max_wait
        self.pass_unpaired_images = pass_unpaired_images
        self.epoch = 0
        self._drop = drop
        self._images: deque[PendingMessage] = deque()
        self._detections: deque[PendingMessage] = deque()
        self._image_order, self._detections_order = _StampOrder(), _StampOrder()
        self._images_jumped = False

    def add_image(self, stamp: int, message: Any, now: float) -> list[Pair]:
        """Take an image and return the pairs that it completes, oldest first."""
        if not self._image_order.is_next(stamp):
            if not self._image_order.has_jumped():
                self._drop(Subject.IMAGE, Reason.LATE)
                return []
            self.clear()
            self._images_jumped = True
            self._image_order.is_next(stamp)
        self._images.append(PendingMessage(stamp, message, now))
        return self._pair_waiting(now)

    def add_detections(self, stamp: int, message: Any, now: float) -> list[Pair]:
        """Take a detection message and return the pairs that it completes, oldest first."""
        newest_image = self._image_order.last
        if self._images_jumped and newest_image is not None:
            if stamp > newest_image + STALE_AHEAD_NS:
                self._drop(Subject.DETECTIONS, Reason.TIME_JUMP)
                return []
            self._images_jumped = False
        if not self._detections_order.is_next(stamp):
            if not self._detections_order.has_jumped():
                self._drop(Subject.DETECTIONS, Reason.LATE)
                return []
            self.clear()
            self._detections_order.is_next(stamp)
        self._detections.append(PendingMessage(stamp, message, now))
        return self._pair_waiting(now)

    def expire(self, now: float) -> list[Pair]:
        """Release messages that have waited too long; call it a few times per ``max_wait``."""
        return self._pair_waiting(now)

    def clear(self, reason: Reason = Reason.TIME_JUMP) -> None:
        """Drop all waiting messages for this reason and forget the last stamps."""
        for _ in self._images:
            self._drop(Subject.IMAGE, reason)
        for _ in self._detections:
            self._drop(Subject.DETECTIONS, reason)
        self._images.clear()
        self._detections.clear()
        self._image_order, self._detections_order = _StampOrder(), _StampOrder()
        self._images_jumped = False
        self.epoch += 1

    def _pair_waiting(self, now: float) -> list[Pair]:
        pairs: list[Pair] = []
        while self._detections and self._pair_detections(self._detections[0], now, pairs):
            self._detections.popleft()
        self._release_unpairable_images(now, pairs)
        return pairs

    def _pair_detections(self, detections: PendingMessage, now: float, pairs: list[Pair]) -> bool:
        """Pair or drop the oldest waiting detections; False if they must wait longer."""
        nearest = min(
            self._images, key=lambda image: abs(image.stamp - detections.stamp), default=None
        )
        distance = None if nearest is None else abs(nearest.stamp - detections.stamp)
        if distance != 0:
            newest = self._image_order.last
            newer_came = newest is not None and newest > detections.stamp
            if not newer_came and now - detections.arrived < self.max_wait:
                return False
        if nearest is None or distance is None or distance > self.tolerance:
            self._drop(Subject.DETECTIONS, Reason.UNMATCHED)
            return True
        # Detection stamps increase, so no image older than this one can still be paired.
        while self._images[0] is not nearest:
            self._release(self._images.popleft(), pairs)
        pairs.append(Pair(self._images.popleft(), detections, self.epoch))
        return True

    def _release_unpairable_images(self, now: float, pairs: list[Pair]) -> None:
        while self._images:
            image = self._images[0]
            # Detections that are waiting for a nearer image may still take this one.
            claimed = any(
                abs(image.stamp - waiting.stamp) <= self.tolerance for waiting in self._detections
            )
            served = self._served(image.stamp + self.tolerance)
            expired = now - image.arrived >= self.max_wait
            if len(self._images) <= MAX_WAITING and (claimed or not (served or expired)):
                return
            self._release(self._images.popleft(), pairs)

    def _release(self, image: PendingMessage, pairs: list[Pair]) -> None:
        if self.pass_unpaired_images:
            pairs.append(Pair(image, None, self.epoch))
            return
        served = self._served(image.stamp)
        self._drop(Subject.IMAGE, Reason.UNMATCHED if served else Reason.NO_DETECTIONS_YET)

    def _served(self, stamp: int) -> bool:
        """Return whether the detector has answered an image of this stamp or a newer one."""
        newest = self._detections_order.last
        return newest is not None and newest >= stamp
