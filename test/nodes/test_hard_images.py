# SPDX-License-Identifier: Apache-2.0
"""Images that no camera should send, through the real node: each is counted, the next is answered.

What each message says of a fault is in test_images.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from encoded import encoded
from injector import PERSON, Injector

from hrnet_pose_ros.pipeline.drop_reasons import Reason
from hrnet_pose_ros.pipeline.images import ENCODINGS
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of

EIGHT_K = (4320, 7680)


@pytest.fixture(scope="module")
def raw(inject: Callable[..., Injector]) -> Injector:
    """A node that takes Image."""
    return inject()


@pytest.fixture(scope="module")
def packed(inject: Callable[..., Injector]) -> Injector:
    """A node that takes CompressedImage."""
    return inject(compressed=True)


MALFORMED: dict[str, list[dict[str, Any]]] = {
    "size": [{"width": 0}, {"height": 0}, {"width": 0, "height": 0, "step": 0, "data": b""}],
    "step": [{"step": step} for step in (0, 1, 3 * 320 - 1, 3 * 320 + 1, 2**32 - 1)],
    "encoding": [
        {"encoding": name} for name in ("", "rgb99", "16UC1", "bayer_rggb16", "jpeg", "x" * 9999)
    ],
    "data": [{"data": bytes(size)} for size in (0, 1, 3 * 320, 3 * 320 * 240 - 1)],
    "size without data": [
        {"width": 8192, "height": 8192, "step": 3 * 8192},
        {"width": 2**32 - 1, "height": 2**32 - 1},
    ],
    "sides": [
        {"frame": np.zeros((2, 40_000, 3), np.uint8)},
        {"frame": np.zeros((40_000, 2, 3), np.uint8)},
    ],
    "odd": [{"encoding": "uyvy", "width": 319}, {"encoding": "nv21", "height": 239}],
}


def test_malformed_images(raw: Injector) -> None:
    for kind, faults in MALFORMED.items():
        for fault in faults:
            raw.image(reason=Reason.UNREADABLE, **fault)
        assert len(raw.good().skeletons) == 1, kind
    raw.reckon()
    assert raw.robot.values()["failures"] == "0"  # of the engine
    assert f"{raw.robot.namespace}/image: image dropped: " in raw.node.log


def test_every_encoding_is_answered(raw: Injector) -> None:
    """With padded rows. Encodings that keep all colours have the skeletons of rgb8."""
    expected, _ = poses_of(raw.good())
    for encoding in ENCODINGS:
        answer = raw.good(**encoded(raw.frame, encoding, pad=12))
        assert (answer.image_width, answer.image_height) == (320, 240)
        poses, _ = poses_of(answer)
        if encoding in ("rgb8", "bgr8", "rgba8", "bgra8"):
            np.testing.assert_array_equal(poses.keypoints, expected.keypoints)
        # A person of 150 px: grey, half the colours or a mosaic may move a joint, not most of them.
        moved = np.linalg.norm(poses.keypoints - expected.keypoints, axis=2)
        assert np.median(moved) < 10, encoding
    raw.reckon()


def test_images_of_8k(raw: Injector) -> None:
    """33 MB of a raw sensor, with the person at its place."""
    frame = np.zeros((*EIGHT_K, 3), np.uint8)
    height, width = raw.frame.shape[:2]
    frame[-height:, -width:] = raw.frame
    box = [PERSON[0] + EIGHT_K[1] - width, PERSON[1] + EIGHT_K[0] - height, *PERSON[2:]]
    answer = raw.good(boxes=[box], **encoded(frame, "bayer_rggb8"))
    assert (answer.image_width, answer.image_height) == EIGHT_K[::-1]
    assert answer.skeletons[0].score > 0.3
    assert len(raw.good().skeletons) == 1
    raw.reckon()


def picture(frame: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()


def answer_to_picture(injector: Injector, data: bytes, kind: str = "") -> Any:
    stamp = injector.picture(data, kind=kind)
    injector.detections(stamp)
    return injector.answer_to(stamp)


def test_jpeg_and_png_are_answered(packed: Injector) -> None:
    jpeg = answer_to_picture(packed, picture(packed.frame, ".jpg"), "bgr8; jpeg compressed bgr8")
    png = answer_to_picture(packed, picture(packed.frame, ".png"), "rgb8; png compressed")
    assert (png.image_width, png.image_height) == (320, 240)
    assert len(png.skeletons) == len(jpeg.skeletons) == 1
    moved = poses_of(png)[0].keypoints - poses_of(jpeg)[0].keypoints
    assert np.median(np.abs(moved)) < 2  # px; JPEG's own losses
    packed.reckon()


def test_truncated_and_foreign_pictures(packed: Injector) -> None:
    for suffix in (".jpg", ".png"):
        whole = picture(packed.frame, suffix)
        for share in (0.0, 0.001, 0.01, 0.5, 0.99):
            packed.picture(whole[: int(len(whole) * share)], reason=Reason.UNREADABLE)
        packed.picture(whole[20:], reason=Reason.UNREADABLE)
        packed.picture(whole[: len(whole) // 2] + bytes(9999), reason=Reason.UNREADABLE)
    noise = np.random.default_rng(1).bytes(50_000)
    for data in (noise, b"\xff\xd8" + noise, b"not a picture", picture(packed.frame, ".bmp")):
        packed.picture(data, reason=Reason.UNREADABLE)
    assert len(answer_to_picture(packed, picture(packed.frame, ".jpg")).skeletons) == 1
    packed.reckon()


def test_a_picture_that_only_decoding_shows_to_be_damaged(packed: Injector) -> None:
    data = bytearray(picture(packed.frame, ".png"))
    data[len(data) // 2] ^= 0xFF
    stamp = packed.picture(bytes(data), reason=Reason.UNREADABLE)
    packed.detections(stamp)  # used up: it found its image
    packed.reckon()
    assert len(answer_to_picture(packed, picture(packed.frame, ".png")).skeletons) == 1
    packed.reckon()


def test_pictures_of_8k_and_pictures_that_claim_it(packed: Injector) -> None:
    frame = np.zeros((*EIGHT_K, 3), np.uint8)
    frame[: packed.frame.shape[0], : packed.frame.shape[1]] = packed.frame
    for suffix, mark, after, size in ((".jpg", b"\xff\xc0", 5, 2), (".png", b"IHDR", 4, 4)):
        small = bytearray(picture(packed.frame[:32, :32], suffix))
        place = small.index(mark) + after
        small[place : place + 2 * size] = (8192).to_bytes(size, "big") * 2
        packed.picture(bytes(small), reason=Reason.UNREADABLE)
        answer = answer_to_picture(packed, picture(frame, suffix))
        assert (answer.image_width, answer.image_height) == EIGHT_K[::-1]
        assert answer.skeletons[0].score > 0.3
    packed.reckon()
