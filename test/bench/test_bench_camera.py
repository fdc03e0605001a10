# SPDX-License-Identifier: Apache-2.0
"""What is played to the node."""

from __future__ import annotations

from bench.camera import CameraClip
from hrnet_pose_ros.pipeline.stamps import nanoseconds


def test_image_and_detections_share_their_stamp() -> None:
    topics, stamps = [], []
    for event in CameraClip(persons=5, rate=20.0, images=3).events():
        topics.append(event.topic)
        stamps.append(nanoseconds(event.message.header.stamp))
        assert event.at == stamps[-1]
        if event.topic == "/detections":
            assert len(event.message.detections) == 5
        else:
            assert (event.message.width, event.message.height) == (1280, 720)
            assert len(event.message.data) == 3 * 1280 * 720
    assert topics == ["/camera/image", "/detections"] * 3
    assert stamps == [0, 0, 50_000_000, 50_000_000, 100_000_000, 100_000_000]


def test_it_ends_when_told() -> None:
    asked: list[int] = []

    def keep_going(number: int) -> bool:
        asked.append(number)
        return number < 2

    clip = CameraClip(persons=1, rate=10.0, images=100, keep_going=keep_going)
    assert len(list(clip.events())) == 4
    assert asked == [0, 1, 2]
