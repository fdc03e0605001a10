# SPDX-License-Identifier: Apache-2.0
"""From incoming messages to frames to process: header check, clock check, pairing, expiry.

The node, the offline replay and ``bag-info`` pass their messages through the same gate, each with
its own clock. `Pairing` does what the synchronisers of message_filters do for other nodes.
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

# A stamp that differs from the clock by more than this comes from another clock.
CLOCK_LIMIT_NS = 10_000_000_000
# A clock that goes back by more than this has jumped: a bag has started again, or the time was set.
CLOCK_JUMP_NS = 10_000_000
# For so many seconds after a jump, messages from before it still arrive.
AFTER_JUMP = 2.0
# Stamps below this (1 March 1973) do not count from 1970: from the start of a camera or computer.
EARLIEST_NS = 100_000_000 * 1_000_000_000
# Period at which `FrameGate.expire` is called, seconds.
EXPIRY_PERIOD = 0.05


class GateClock(Protocol):
    """The clocks that a gate reads."""

    def now(self) -> int:
        """Return the time that stamps are compared with, ns."""

    def steady(self) -> float:
        """Return the time of a monotonic clock, in seconds since an arbitrary start."""


@dataclass(frozen=True)
class PairedFrame:
    """A pair to process, with the times of the stages that it has passed.

    Attributes
    ----------
    arrival
        Seconds from the image's stamp to its arrival, on the clock of the stamps; never negative.
    paired
        Time at which the pair was completed, seconds on the steady clock.
    """

    pair: Pair
    arrival: float
    paired: float


class FrameGate:
    """Takes messages in the order of their arrival and returns the frames that they complete.

    Every message that does not become part of a frame is dropped under exactly one reason. The
    gate starts closed; messages that reach a closed gate are dropped as ``engine_not_ready``. Not
    thread-safe: the caller serialises all calls except `age` and `stale_reason`, which any thread
    may call at any time.
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
            The initial settings for pairing and ages; `apply` changes them.
        transport
            How images arrive, raw or compressed.
        drop
            Called as ``drop(subject, reason)`` for each message that is not used.
        refused
            Also called, with an explanation, for images that cannot be read or are too old, and
            for stamps from another clock.
        check_times
            Whether stamps are compared with the clock (``clock_differs``, ``too_old``).
        """
        self.is_open = False
        self._clock = clock
        self._transport = transport
        self._drop = drop
        self._refused = refused
        self._check_times = check_times
        self._last_now: int | None = None
        self._jump_from, self._jump_time = 0, -AFTER_JUMP  # on the clock; on the steady clock
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
        """Start accepting messages."""
        self.is_open = True

    def close(self) -> None:
        """Stop accepting messages and drop those that wait, as ``engine_not_ready``."""
        self.is_open = False
        self._pairing.clear(Reason.ENGINE_NOT_READY)

    def image(self, message: Any) -> list[PairedFrame]:
        """Take an image message of the transport; its pixels are not read."""
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
        """Take an image or detections with this stamp (ns); ``content`` may be any object."""
        arrived = self._clock.steady()
        if not self.is_open:
            self._drop(subject, Reason.ENGINE_NOT_READY)
            return []
        if self._check_times:
            now = self._clock.now()
            self._watch_clock(now)
            ahead = stamp - now
            if ahead > self._clock_tolerance or ahead < -CLOCK_LIMIT_NS:
                after_jump = arrived - self._jump_time < AFTER_JUMP
                if ahead > 0 and after_jump and stamp <= self._jump_from + self._clock_tolerance:
                    self._drop(subject, Reason.TIME_JUMP)
                else:
                    text = _clock_text(subject, stamp, now)
                    self._refuse(subject, Reason.CLOCK_DIFFERS, text)
                return []
        pairing = self._pairing
        add = pairing.add_image if subject is Subject.IMAGE else pairing.add_detections
        return self._frames(add(stamp, content, arrived))

    def expire(self) -> list[PairedFrame]:
        """Release messages that have waited too long; call it every `EXPIRY_PERIOD` seconds."""
        if self._check_times:
            self._watch_clock(self._clock.now())
        return self._frames(self._pairing.expire(self._clock.steady()))

    def age(self, stamp: int) -> float:
        """Return the age of a stamp (ns) in seconds; 0 if it is slightly in the future."""
        return max(self._clock.now() - stamp, 0) / 1e9

    def stale_reason(self, pair: Pair, age: float) -> Reason | None:
        """Return why a pair of this age (s) must no longer be published; None if it may be."""
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
            arrival = max(age - (paired - pair.image.arrived), 0.0)
            if self._check_times and age > self._max_age:
                text = (
                    f"an image is {age:.3f} s old when it is paired, {arrival:.3f} s of which "
                    f"passed before it arrived; max_age_ms is {self._max_age * 1e3:g}"
                )
                self._refuse(Subject.IMAGE, Reason.TOO_OLD, text)
                continue
            frames.append(PairedFrame(pair, arrival, paired))
        return frames

    def _watch_clock(self, now: int) -> None:
        """Drop what waits if the clock has jumped back: the stamps will follow it."""
        before, self._last_now = self._last_now, now
        if before is not None and now < before - CLOCK_JUMP_NS:
            self._jump_from, self._jump_time = before, self._clock.steady()
            self._pairing.clear()

    def _refuse(self, subject: Subject, reason: Reason, text: str) -> None:
        self._drop(subject, reason)
        if self._refused is not None:
            self._refused(subject, reason, text)


def _clock_text(subject: Subject, stamp: int, now: int) -> str:
    """Return what is wrong with a stamp from another clock, and probably why."""
    if now == 0:
        return (
            f"the stamp of {subject.value} cannot be compared with this node's clock, which is 0: "
            "use_sim_time is set, but no /clock has arrived"
        )
    if stamp == 0:
        return f"the stamp of {subject.value} is 0: their publisher does not set it"
    ahead = stamp - now
    side = "ahead of" if ahead > 0 else "behind"
    text = f"the stamp of {subject.value} is {abs(ahead) / 1e9:.3f} s {side} this node's clock"
    if stamp < 0:
        return f"{text}, and before 1970"
    if stamp < EARLIEST_NS <= now:
        origin = "the start of the camera or its computer"
        return f"{text}: it does not count from 1970, but probably from {origin}"
    return text
