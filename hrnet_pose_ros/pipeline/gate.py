# SPDX-License-Identifier: Apache-2.0
"""From messages that arrive to frames worth processing: header check, clock check, pairing, expiry.

The node, the offline replay and ``bag-info`` send their messages through the same gate; each brings
a clock of its own. What message_filters' synchronisers do for other nodes is `Pairing` here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject
from hrnet_pose_ros.pipeline.image_transport import ImageTransport
from hrnet_pose_ros.pipeline.images import ImageError
from hrnet_pose_ros.pipeline.pairing import Pair, Pairing
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.stamps import stamp_of

# A stamp this far from the clock belongs to another clock.
CLOCK_LIMIT_NS = 10_000_000_000
# `FrameGate.expire` is called this often, seconds.
EXPIRY_PERIOD = 0.05


class GateClock(Protocol):
    """The time of a gate."""

    def now(self) -> int:
        """The clock that stamps are compared with, ns."""

    def steady(self) -> float:
        """A clock that only goes forward, seconds since whenever."""


@dataclass(frozen=True)
class PairedFrame:
    """A pair that is worth processing, with the times of its stages so far.

    Attributes
    ----------
    arrival
        Seconds from the image's stamp to its arrival, by the clock of stamps; never negative.
    paired
        When it became a pair, seconds on the steady clock.
    """

    pair: Pair
    arrival: float
    paired: float


class FrameGate:
    """Takes messages in the order of their arrival and returns the frames that they complete.

    Every message that does not become part of a frame is counted under one reason. It begins
    closed; what comes to a closed gate is dropped as ``engine_not_ready``. Not thread-safe: the
    caller serialises, all but `age` and `stale_reason`, which another thread may ask at any time.
    """

    def __init__(
        self,
        settings: Settings,
        clock: GateClock,
        transport: ImageTransport,
        drop: Callable[[Subject, Reason], None],
        *,
        refused: Callable[[Subject, Reason, str], None] | None = None,
        check_times: bool = True,
    ) -> None:
        """See the class.

        Parameters
        ----------
        settings
            Those that pairing and ages depend on; `apply` changes them.
        transport
            How images come.
        drop
            Called as ``drop(subject, reason)`` for each message that is not used.
        refused
            Called as well, with a text that says why, for messages at fault: images that cannot be
            read, and stamps of another clock.
        check_times
            Whether stamps are compared with the clock (``clock_differs``, ``too_old``).
        """
        self.is_open = False
        self._clock = clock
        self._transport = transport
        self._drop = drop
        self._refused = refused
        self._check_times = check_times
        self._pairing = Pairing(tolerance=0, max_wait=1.0, pass_unpaired_images=False, drop=drop)
        self.apply(settings)

    def apply(self, settings: Settings) -> None:
        """Use these settings from now on."""
        self._pairing.tolerance = round(settings.sync_tolerance_ms * 1e6)
        self._pairing.max_wait = settings.max_wait_ms / 1e3
        self._pairing.pass_unpaired_images = settings.whole_image_as_person
        self._clock_tolerance = settings.clock_tolerance_ms * 1e6
        self._max_age = settings.max_age_ms / 1e3

    def open(self) -> None:
        """Begin to take messages."""
        self.is_open = True

    def close(self) -> None:
        """Take nothing more; what waits for its partner is dropped as ``engine_not_ready``."""
        self.is_open = False
        self._pairing.clear(Reason.ENGINE_NOT_READY)

    def image(self, message: Any) -> list[PairedFrame]:
        """Take an image message of the transport; its pixels are not looked at."""
        try:
            self._transport.check(message)
        except ImageError as error:
            self._refuse(Subject.IMAGE, Reason.UNREADABLE, str(error))
            return []
        return self.admit(Subject.IMAGE, stamp_of(message), message)

    def detections(self, message: Any) -> list[PairedFrame]:
        """Take a Detection2DArray."""
        return self.admit(Subject.DETECTIONS, stamp_of(message), message)

    def admit(self, subject: Subject, stamp: int, content: Any) -> list[PairedFrame]:
        """Take an image or detections by their stamp (ns), whatever ``content`` stands for them."""
        arrived = self._clock.steady()
        if not self.is_open:
            self._drop(subject, Reason.ENGINE_NOT_READY)
            return []
        if self._check_times:
            ahead = stamp - self._clock.now()
            if ahead > self._clock_tolerance or ahead < -CLOCK_LIMIT_NS:
                side = "ahead of" if ahead > 0 else "behind"
                distance = f"{abs(ahead) / 1e9:.3f} s {side} this node's clock"
                text = f"a stamp of {subject.value} is {distance}"
                self._refuse(subject, Reason.CLOCK_DIFFERS, text)
                return []
        pairing = self._pairing
        add = pairing.add_image if subject is Subject.IMAGE else pairing.add_detections
        return self._frames(add(stamp, content, arrived))

    def expire(self) -> list[PairedFrame]:
        """Let go of what has waited long enough; to be called every `EXPIRY_PERIOD` seconds."""
        return self._frames(self._pairing.expire(self._clock.steady()))

    def age(self, stamp: int) -> float:
        """Seconds from a stamp (ns) to the clock; 0 for a stamp in its near future."""
        return max(self._clock.now() - stamp, 0) / 1e9

    def stale_reason(self, pair: Pair, age: float) -> Reason | None:
        """Why a pair of that age (s) may not be published any more, if it may not."""
        if not self.is_open:
            return Reason.ENGINE_NOT_READY
        if pair.epoch != self._pairing.epoch:
            return Reason.TIME_JUMP
        return Reason.TOO_OLD if age > self._max_age else None

    def _frames(self, pairs: list[Pair]) -> list[PairedFrame]:
        if not pairs:
            return []
        frames = []
        paired = self._clock.steady()
        for pair in pairs:
            age = self.age(pair.image.stamp)
            if self._check_times and age > self._max_age:
                self._drop(Subject.IMAGE, Reason.TOO_OLD)
                continue
            arrival = max(age - (paired - pair.image.arrived), 0.0)
            frames.append(PairedFrame(pair, arrival, paired))
        return frames

    def _refuse(self, subject: Subject, reason: Reason, text: str) -> None:
        self._drop(subject, reason)
        if self._refused is not None:
            self._refused(subject, reason, text)
