# SPDX-License-Identifier: Apache-2.0
"""Two nodes in two namespaces, for two cameras at once: neither hears of the other's troubles."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from diagnostic_msgs.msg import DiagnosticStatus
from injector import Injector
from ros_robot import header, nanoseconds

from hrnet_pose_ros.pipeline.drop_reasons import Reason

FRAMES = 15


def says(injector: Injector, words: str) -> None:
    """Wait for a warning in the status `input`."""
    status = injector.robot.wait(
        lambda: (s := injector.robot.statuses()["input"]) and words in s.message and s,
        what=words,
    )
    assert status.level == DiagnosticStatus.WARN


def drive(injector: Injector, frame_id: str, fault: Callable[[int], None]) -> set[int]:
    """Good frames with a fault after each; returns their stamps."""
    stamps = set()
    for _ in range(FRAMES):
        stamp = injector.robot.now()
        injector.image(stamp, header=header(stamp, frame_id))
        injector.detections(stamp)
        answer = injector.answer_to(stamp)
        assert answer.header.frame_id == frame_id and len(answer.skeletons) == 1
        stamps.add(stamp)
        fault(stamp)
    return stamps


def test_two_cameras_at_once(inject: Callable[..., Injector]) -> None:
    front, rear = inject(), inject()

    # From the start: one has nothing but detections, the other nothing but images.
    for _ in range(4):
        front.detections(front.robot.now(), reason=Reason.UNMATCHED)
        rear.image(reason=Reason.NO_DETECTIONS_YET)
    says(front, "no images have arrived")
    says(rear, "no detections have arrived")
    for injector in (front, rear):
        injector.max_wait(1.0)
        injector.reckon()
        injector.max_wait(10000.0)

    # Then both have everything, at the same time, and each its own faults.
    def unreadable(stamp: int) -> None:
        front.image(stamp + 1, Reason.UNREADABLE, step=1)

    def late(stamp: int) -> None:
        rear.detections(stamp, reason=Reason.LATE)

    with ThreadPoolExecutor(2) as both:
        drives = [both.submit(drive, front, "front", unreadable)]
        drives += [both.submit(drive, rear, "rear", late)]
        stamps = [one.result() for one in drives]
    for injector, own in zip((front, rear), stamps, strict=True):
        injector.reckon()
        assert {nanoseconds(message) for message in injector.robot.heard["skeletons"]} == own
