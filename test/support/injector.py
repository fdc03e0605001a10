# SPDX-License-Identifier: Apache-2.0
"""Sends good and bad messages to one node, and knows what each of them must be counted as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ros_robot import NodeUnderTest, Robot, header
from sensor_msgs.msg import CompressedImage
from vision_msgs.msg import Detection2DArray

from hrnet_pose_ros.msg import SkeletonArray
from hrnet_pose_ros.pipeline.drop_reasons import Reason

# A person in `Injector.frame`.
PERSON = [100.0, 50.0, 60.0, 150.0]


@dataclass(frozen=True)
class Counts:
    """What a node says that it has received, dropped (``{"images.late": 3}``) and published."""

    received: Counter[str]
    dropped: Counter[str]
    published: int

    @property
    def dropped_images(self) -> int:
        return sum(n for key, n in self.dropped.items() if key.startswith("images."))


class Injector:
    """A camera and a detector whose every message is in ``sent`` and every fault in ``expected``.

    Attributes
    ----------
    frame
        RGB ``[H, W, 3]`` with a person at `PERSON`.
    """

    def __init__(self, robot: Robot, node: NodeUnderTest, frame: np.ndarray) -> None:
        self.robot, self.node, self.frame = robot, node, frame
        self.expected: Counter[str] = Counter()
        self.sent = Counter({"images": 0, "detections": 0})

    # --- sending ---------------------------------------------------------------------------------

    def image(
        self,
        stamp: int | None = None,
        reason: Reason | None = None,
        frame: np.ndarray | None = None,
        **fields: Any,
    ) -> int:
        """Publish an image, by default of now; returns its stamp.

        ``reason`` is what it must be dropped for, None where it must be answered; ``fields``
        replace those of the message.
        """
        stamp = self.robot.now() if stamp is None else stamp
        self.robot.send_image(self.frame if frame is None else frame, stamp, **fields)
        self._note("images", reason)
        return stamp

    def picture(
        self, data: bytes, stamp: int | None = None, reason: Reason | None = None, kind: str = ""
    ) -> int:
        """The same for a CompressedImage of that format."""
        stamp = self.robot.now() if stamp is None else stamp
        self.robot.compressed.publish(
            CompressedImage(header=header(stamp), format=kind or "jpeg", data=data)
        )
        self._note("images", reason)
        return stamp

    def detections(
        self,
        stamp: int,
        boxes: Sequence[list[float]] = (PERSON,),
        reason: Reason | None = None,
        **fields: Any,
    ) -> None:
        """Publish detections of persons; ``reason`` as for images."""
        self.robot.send_detections(list(boxes), stamp, **fields)
        self._note("detections", reason)

    def messages(self, stamp: int, image: CompressedImage, detections: Detection2DArray) -> int:
        """Publish these messages with that stamp, which must be answered; returns the stamp."""
        for message in (image, detections):
            message.header.stamp = header(stamp).stamp
        self.robot.compressed.publish(image)
        self.robot.detections.publish(detections)
        self.sent.update(("images", "detections"))
        return stamp

    def persons(self, reason: Reason, count: int = 1) -> None:
        """Of the detections sent, so many persons must be left out for the reason."""
        self.expected[f"persons.{reason.value}"] += count

    def _note(self, subject: str, reason: Reason | None) -> None:
        self.sent[subject] += 1
        if reason is not None:
            self.expected[f"{subject}.{reason.value}"] += 1

    # --- what must come of it --------------------------------------------------------------------

    def good(
        self,
        frame: np.ndarray | None = None,
        boxes: Sequence[list[float]] = (PERSON,),
        **fields: Any,
    ) -> SkeletonArray:
        """Publish an image with its detections and return the answer; the node lives."""
        stamp = self.image(frame=frame, **fields)
        self.detections(stamp, boxes)
        return self.answer_to(stamp)

    def answer_to(self, stamp: int) -> SkeletonArray:
        """The skeletons of the image with that stamp."""
        return self.robot.answer_to(stamp)

    def counts(self) -> Counts:
        """As of the node's last diagnostics."""
        values = self.robot.values()
        received = Counter({topic: int(values.get(f"received.{topic}", 0)) for topic in self.sent})
        dropped = Counter(
            {k.removeprefix("dropped."): int(v) for k, v in values.items() if "dropped." in k}
        )
        return Counts(received, dropped, int(values.get("published", 0)))

    def wait_until_received(self) -> None:
        """Topics overtake each other: for the next message to come after those sent before."""
        self.robot.wait(lambda: self.counts().received == self.sent, what=f"{self.sent}")

    def all_accounted_for(self) -> Counts | None:
        """The counts once all has arrived and each image is published or dropped, else None."""
        counts = self.counts()
        whole = counts.published + counts.dropped_images == self.sent["images"]
        return counts if whole and counts.received == self.sent else None

    def reckon(self) -> None:
        """Hold each reason's count to the number injected, exactly, and lose no image."""
        self.robot.wait(
            lambda: (c := self.all_accounted_for()) and c.dropped == self.expected,
            fail=False,
        )
        counts = self.counts()
        assert dict(counts.dropped) == {k: n for k, n in self.expected.items() if n}
        assert counts.received == self.sent
        assert counts.published == self.sent["images"] - counts.dropped_images
        assert self.node.process.poll() is None and "Traceback" not in self.node.log

    def max_wait(self, milliseconds: float) -> None:
        """Set how long the node lets messages wait for their partners."""
        assert self.robot.set_parameters(max_wait_ms=milliseconds)[0].successful


def close(injectors: Sequence[Injector]) -> None:
    """The last reckoning: nothing else waited in the nodes, uncounted."""
    for injector in injectors:
        injector.max_wait(1.0)
    reports = [len(injector.robot.reports()) for injector in injectors]
    for injector, before in zip(injectors, reports, strict=True):
        # Between two reports lie 20 ticks of the timer that lets go.
        injector.robot.wait(
            lambda i=injector, n=before: len(i.robot.reports()) >= n + 2, what="diagnostics"
        )
        injector.reckon()
