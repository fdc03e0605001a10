# SPDX-License-Identifier: Apache-2.0
"""What comes in: each image and each detection is checked, counted, paired by its stamp.

Called from the subscriptions' callbacks, on any thread; nothing is decoded here.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

from hrnet_pose_ros.nodes.pose.diagnostics import Health
from hrnet_pose_ros.nodes.pose.frame_processor import Frame
from hrnet_pose_ros.pipeline.drop_reasons import Reason, Subject
from hrnet_pose_ros.pipeline.images import ImageError, check_compressed, check_image
from hrnet_pose_ros.pipeline.pairing import Pair, Pairing
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pipeline.stamps import stamp_of
from hrnet_pose_ros.ros.engine_thread import EngineThread

# A stamp this far from the node's clock belongs to another clock.
CLOCK_LIMIT_NS = 10_000_000_000


class Host(Protocol):
    """What the intake asks of its node."""

    settings: Settings
    image_topic: str

    def now(self) -> int:
        """The node's clock, ns."""

    def age(self, stamp: int) -> float:
        """Seconds from a stamp (ns) to the node's clock; never negative."""

    def complain(self, kind: str, text: str) -> None:
        """Warn in the log, each kind now and then."""


class Intake:
    """Hands pairs to the engine thread while it is open; else everything counts as dropped."""

    def __init__(self, node: Host, health: Health, engine_thread: EngineThread[Frame]) -> None:
        self.is_open = False
        self._node = node
        self._health = health
        self._engine_thread = engine_thread
        self._lock = threading.Lock()
        self._pairing = Pairing(
            tolerance=0, max_wait=1.0, pass_unpaired_images=False, drop=health.drops.add
        )
        self.apply(node.settings)

    def apply(self, settings: Settings) -> None:
        """Pair by these settings from now on."""
        with self._lock:
            self._pairing.tolerance = round(settings.sync_tolerance_ms * 1e6)
            self._pairing.max_wait = settings.max_wait_ms / 1e3
            self._pairing.pass_unpaired_images = settings.whole_image_as_person

    def open(self) -> None:
        """Begin to take messages."""
        self.is_open = True

    def close(self) -> None:
        """Take nothing more; what waits for its partner or for the engine counts as dropped."""
        self.is_open = False
        if self._engine_thread.discard() is not None:
            self._health.drops.add(Subject.IMAGE, Reason.ENGINE_NOT_READY)
        with self._lock:
            self._pairing.clear(Reason.ENGINE_NOT_READY)

    def obsolete(self, epoch: int) -> Reason | None:
        """Why a frame of that epoch may not be published any more, if it may not."""
        if not self.is_open:
            return Reason.ENGINE_NOT_READY
        return None if epoch == self._pairing.epoch else Reason.TIME_JUMP

    def image(self, message: Any) -> None:
        """Take an Image, or a CompressedImage where those are what the settings say."""
        self._health.received(Subject.IMAGE.value, time.monotonic())
        compressed = self._node.settings.image_transport == "compressed"
        try:
            (check_compressed if compressed else check_image)(message)
        except ImageError as error:
            self._health.drops.add(Subject.IMAGE, Reason.UNREADABLE)
            self._node.complain("image", f"{self._node.image_topic}: image dropped: {error}")
            return
        self._take(message, Subject.IMAGE)

    def detections(self, message: Any) -> None:
        """Take a Detection2DArray."""
        self._health.received(Subject.DETECTIONS.value, time.monotonic())
        self._take(message, Subject.DETECTIONS)

    def expire(self) -> None:
        """Give up, or hand over, what has waited long enough; to be called now and then."""
        with self._lock:
            pairs = self._pairing.expire(time.monotonic())
        self._hand_over(pairs)

    def _take(self, message: Any, subject: Subject) -> None:
        arrived = time.monotonic()
        stamp = stamp_of(message)
        if not self.is_open:
            self._health.drops.add(subject, Reason.ENGINE_NOT_READY)
            return
        ahead = stamp - self._node.now()
        if ahead > self._node.settings.clock_tolerance_ms * 1e6 or ahead < -CLOCK_LIMIT_NS:
            self._health.drops.add(subject, Reason.CLOCK_DIFFERS)
            self._node.complain(
                f"clock of {subject.value}",
                f"a stamp of {subject.value} is {abs(ahead) / 1e9:.3f} s "
                f"{'ahead of' if ahead > 0 else 'behind'} this node's clock; dropped",
            )
            return
        with self._lock:
            add = (
                self._pairing.add_image
                if subject is Subject.IMAGE
                else self._pairing.add_detections
            )
            pairs = add(stamp, message, arrived)
        self._hand_over(pairs)

    def _hand_over(self, pairs: list[Pair]) -> None:
        paired = time.monotonic()
        for pair in pairs:
            age = self._node.age(pair.image.stamp)
            if age > self._node.settings.max_age_ms / 1e3:
                self._health.drops.add(Subject.IMAGE, Reason.TOO_OLD)
                continue
            arrival = max(age - (paired - pair.image.arrived), 0.0)
            if self._engine_thread.put(Frame(pair, arrival, paired)) is not None:
                self._health.drops.add(Subject.IMAGE, Reason.OVERWRITTEN)
