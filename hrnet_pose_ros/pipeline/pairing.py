# SPDX-License-Identifier: Apache-2.0
"""Which detections belong to which image.

Knows stamps (integer nanoseconds) and opaque messages; no ROS, no wall clock: every method takes
the steady time at which its message arrived. Not thread-safe: the caller serialises.

The rules
---------
* Equal stamps are a pair at once.
* With a tolerance, a detection message takes the nearest image within it, but only when no nearer
  image can come any more: once an image newer than the detections has arrived, or ``max_wait`` has
  passed. Each message is used once.
* Stamps of one topic rise. One that repeats or goes back by less than a second is late: dropped and
  counted. One that goes back by a second or more is a time jump (a bag that starts again): all that
  waits is cleared and counted, and the message is the first of the new time.
* An image that waited in vain is ``unmatched`` when the detector has served a newer image, and
  ``no_detections_yet`` when it has not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject

JUMP_NS = 1_000_000_000
# After a jump of the images, detections that are this far ahead of the newest image are still those
# of the old time: no detector can serve an image that the camera has not sent.
STALE_AHEAD_NS = 500_000_000
# Images kept at most, whatever max_wait says (1 GB of 1080p rgb8 would be 170).
MAX_WAITING = 64


@dataclass(frozen=True)
class Waiting:
    """One message that has not found its partner yet."""

    stamp: int
    message: Any
    arrived: float  # steady clock, seconds


@dataclass(frozen=True)
class Pair:
    """An image with its detections; ``detections`` is None where an image goes on without any."""

    image: Waiting
    detections: Waiting | None
    epoch: int  # Pairing.epoch when the pair was made: a later jump makes the pair stale

    @property
    def detections_message(self) -> Any | None:
        """The message of the detections, if there are any."""
        return None if self.detections is None else self.detections.message


class Pairing:
    """See the rules above.

    Parameters
    ----------
    tolerance
        Nanoseconds by which the stamps of a pair may differ; 0: exactly equal stamps only.
    max_wait
        Seconds that a message waits for its partner.
    pass_unpaired_images
        Images that waited in vain come out as pairs without detections instead of being dropped.
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
        self._images: deque[Waiting] = deque()
        self._detections: deque[Waiting] = deque()
        self._last_image: int | None = None
        self._last_detections: int | None = None
        self._images_jumped = False

    def add_image(self, stamp: int, message: Any, now: float) -> list[Pair]:
        """Take an image and return the pairs that it completes, oldest first."""
        if self._last_image is not None:
            back = self._last_image - stamp
            if back >= JUMP_NS:
                self.clear()
                self._images_jumped = True
            elif back >= 0:
                self._drop(Subject.IMAGE, Reason.LATE)
                return []
        self._last_image = stamp
        self._images.append(Waiting(stamp, message, now))
        return self._settle(now)

    def add_detections(self, stamp: int, message: Any, now: float) -> list[Pair]:
        """Take a detection message and return the pairs that it completes, oldest first."""
        if self._images_jumped and self._last_image is not None:
            if stamp > self._last_image + STALE_AHEAD_NS:
                self._drop(Subject.DETECTIONS, Reason.TIME_JUMP)
                return []
            self._images_jumped = False
        if self._last_detections is not None:
            back = self._last_detections - stamp
            if back >= JUMP_NS:
                self.clear()
            elif back >= 0:
                self._drop(Subject.DETECTIONS, Reason.LATE)
                return []
        self._last_detections = stamp
        self._detections.append(Waiting(stamp, message, now))
        return self._settle(now)

    def expire(self, now: float) -> list[Pair]:
        """Let go of what has waited too long; to be called a few times in ``max_wait``."""
        return self._settle(now)

    def clear(self, reason: Reason = Reason.TIME_JUMP) -> None:
        """Forget everything that is keyed by time: what waits is dropped for the reason."""
        for _ in self._images:
            self._drop(Subject.IMAGE, reason)
        for _ in self._detections:
            self._drop(Subject.DETECTIONS, reason)
        self._images.clear()
        self._detections.clear()
        self._last_image = self._last_detections = None
        self._images_jumped = False
        self.epoch += 1

    def _settle(self, now: float) -> list[Pair]:
        pairs: list[Pair] = []
        while self._detections and self._settle_detections(self._detections[0], now, pairs):
            self._detections.popleft()
        self._release_hopeless_images(now, pairs)
        return pairs

    def _settle_detections(self, detections: Waiting, now: float, pairs: list[Pair]) -> bool:
        """Pair or drop the oldest waiting detections; False when they must go on waiting."""
        nearest = min(
            self._images, key=lambda image: abs(image.stamp - detections.stamp), default=None
        )
        distance = None if nearest is None else abs(nearest.stamp - detections.stamp)
        if distance != 0:
            newer_came = self._last_image is not None and self._last_image > detections.stamp
            if not newer_came and now - detections.arrived < self.max_wait:
                return False
        if nearest is None or distance is None or distance > self.tolerance:
            self._drop(Subject.DETECTIONS, Reason.UNMATCHED)
            return True
        # Detections rise, so no image older than this one can still find any.
        while self._images[0] is not nearest:
            self._release(self._images.popleft(), pairs)
        pairs.append(Pair(self._images.popleft(), detections, self.epoch))
        return True

    def _release_hopeless_images(self, now: float, pairs: list[Pair]) -> None:
        while self._images:
            image = self._images[0]
            # Detections that wait for a nearer image to come may still take this one.
            claimed = any(
                abs(image.stamp - waiting.stamp) <= self.tolerance for waiting in self._detections
            )
            served = (
                self._last_detections is not None
                and self._last_detections >= image.stamp + self.tolerance
            )
            expired = now - image.arrived >= self.max_wait
            if len(self._images) <= MAX_WAITING and (claimed or not (served or expired)):
                return
            self._release(self._images.popleft(), pairs)

    def _release(self, image: Waiting, pairs: list[Pair]) -> None:
        if self.pass_unpaired_images:
            pairs.append(Pair(image, None, self.epoch))
            return
        served = self._last_detections is not None and self._last_detections >= image.stamp
        self._drop(Subject.IMAGE, Reason.UNMATCHED if served else Reason.NO_DETECTIONS_YET)
