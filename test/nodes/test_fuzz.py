# SPDX-License-Identifier: Apache-2.0
"""Any fields that a message can have: a correct frame or choice, or a refusal that says why.

Real messages of rclpy, so that a field holds what a publisher can send. Runtime warnings count as
errors: NumPy's about numbers out of range would fill a node's log.
"""

from __future__ import annotations

import resource
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
)

from hrnet_pose_ros.pipeline.detections import persons_of
from hrnet_pose_ros.pipeline.drop_reasons import Reason
from hrnet_pose_ros.pipeline.images import (
    ENCODINGS,
    ImageError,
    check_compressed,
    check_image,
    rgb_frame,
    rgb_frame_of_compressed,
)
from hrnet_pose_ros.pipeline.settings import Settings
from hrnet_pose_ros.pose.boxes import crop_to_image, usable_boxes

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
DEFAULTS = Settings.of({})
# Far more than the largest frame that the data of an example can stand for; far less than the 8 GB
# of a machine in a vehicle.
MOST_MEMORY = 400e6
MOST_BYTES = 200_000


def fuzz(examples: int) -> Callable[[Any], Any]:
    """So many examples; one of 30 s would be a hang, even on a busy machine."""
    return settings(
        max_examples=examples,
        deadline=30_000,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@pytest.fixture(autouse=True, scope="module")
def memory() -> Iterator[None]:
    """No example takes much memory: a header of 20 bytes may ask for gigabytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST_MEMORY


def sizes(likely: int) -> st.SearchStrategy[int]:
    """Mostly small; now and then 8K, and all that a uint32 holds."""
    return st.one_of(
        st.integers(0, likely),
        st.sampled_from([1, 2, 7680, 8192, 16384, 16385, 32767, 65535, 2**31, 2**32 - 1]),
        st.integers(0, 2**32 - 1),
    )


# --- Image ---------------------------------------------------------------------------------------


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Fields at random, and images that are right but for one field."""
    encoding = draw(st.one_of(st.sampled_from(ENCODINGS), st.text(max_size=20)))
    fields: dict[str, Any] = {
        "width": draw(sizes(60)),
        "height": draw(sizes(60)),
        "step": draw(sizes(300)),
        "size": draw(st.integers(0, 20_000)),
    }
    if draw(st.booleans()):
        width, height = draw(st.integers(1, 60)), draw(st.integers(1, 60))
        step = 4 * width + draw(st.integers(0, 9))
        right = {"width": width, "height": height, "step": step, "size": 2 * step * height}
        wrong = draw(st.sampled_from([*fields, None]))
        fields = right | ({} if wrong is None else {wrong: fields[wrong]})
    size = min(fields.pop("size"), MOST_BYTES)
    data = draw(st.integers(0, 255)).to_bytes(1, "big") * size
    return Image(
        encoding=encoding,
        is_bigendian=draw(st.integers(0, 255)),
        data=array("B", data),
        **fields,
    )


@fuzz(800)
@given(images())
def test_any_image_is_a_frame_or_an_image_error(image: Image) -> None:
    try:
        check_image(image)
    except ImageError as error:
        assert len(str(error)) < 400
        with pytest.raises(ImageError):
            rgb_frame(image)
        return
    try:
        frame = rgb_frame(image)
    except ImageError as error:  # such as a Bayer image of one pixel
        assert "cannot be converted" in str(error) and min(image.width, image.height) < 3
        return
    assert frame.shape == (image.height, image.width, 3) and frame.dtype == np.uint8
    if image.encoding.lower() in ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16"):
        assert (frame == image.data[0]).all()  # all bytes are the same
    frame.sum()  # every pixel is memory of the message


# --- CompressedImage -----------------------------------------------------------------------------

_PHOTO = np.random.default_rng(3).integers(0, 255, (40, 56, 3), np.uint8)
PICTURES = [
    cv2.imencode(suffix, pixels, options)[1].tobytes()
    for pixels in (_PHOTO, _PHOTO[..., 0], np.zeros((64, 64, 3), np.uint8))
    for suffix, options in (
        (".jpg", []),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
        (".png", []),
    )
] + [cv2.imencode(".png", _PHOTO.astype(np.uint16) * 256)[1].tobytes()]
SIZES = st.sampled_from([0, 1, 8, 57, 8192, 16384, 16385, 65535, 2**31 - 1, 2**32 - 1])


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """Bytes at random, and pictures with damage: cut, changed, claiming another size."""
    if draw(st.integers(0, 9)) == 0:
        start = draw(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
        return start + draw(st.binary(max_size=300))
    data = bytearray(draw(st.sampled_from(PICTURES)))
    if draw(st.booleans()):
        _claim(data, draw(SIZES), draw(SIZES))
    for place, value in draw(
        st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 255)), max_size=4)
    ):
        data[place % len(data)] = value
    if draw(st.integers(0, 3)) == 0:
        del data[draw(st.integers(0, len(data))) :]
    if draw(st.integers(0, 3)) == 0:
        data += draw(st.sampled_from([bytes(10), b"\xff\xd9", b"IEND", bytes(5000)]))
    return bytes(data)


def _claim(data: bytearray, width: int, height: int) -> None:
    """Write another size into the header; PNG has a checksum of it."""
    if data[:2] == b"\xff\xd8":
        start = next(data.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in data)
        data[start + 5 : start + 9] = struct.pack(">HH", height % 2**16, width % 2**16)
    else:
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))


@fuzz(700)
@given(pictures(), st.text(max_size=30))
def test_any_picture_is_a_frame_or_an_image_error(data: bytes, name: str) -> None:
    message = CompressedImage(format=name, data=array("B", data))
    try:
        frame = rgb_frame_of_compressed(message)
    except ImageError as error:
        assert f"data ({len(data)} bytes" in str(error) or "a side may have at most" in str(error)
        return
    check_compressed(message)  # what is decoded has passed on arrival
    assert frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8
    assert frame.shape[0] * frame.shape[1] <= 1032 * 8 * len(data)
    if data in PICTURES:
        assert frame.shape[:2] in ((40, 56), (64, 64))


# --- Detection2DArray ----------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.floats(width=64),
    st.floats(-2000, 2000),
    st.sampled_from([0.0, -0.0, 1.0, 1e5, 1e300, -1e300, 5e-324]),
)
CLASSES = st.one_of(st.sampled_from(["person", "PERSON", "0", "car", ""]), st.text(max_size=8))


@st.composite
def detections(draw: st.DrawFn) -> Detection2D:
    hypotheses = draw(st.lists(st.tuples(CLASSES, NUMBERS), max_size=3))
    if draw(st.booleans()):
        hypotheses.append(("person", draw(st.floats(0, 1))))
    if draw(st.booleans()):
        x, y, w, h, theta = draw(
            st.tuples(*[st.floats(-500, 2500)] * 2, *[st.floats(0, 900)] * 2, st.floats(-7, 7))
        )
    else:
        x, y, w, h, theta = draw(st.tuples(*[NUMBERS] * 5))
    center = Pose2D(position=Point2D(x=x, y=y), theta=theta)
    return Detection2D(
        id=draw(st.text(max_size=8)),
        bbox=BoundingBox2D(center=center, size_x=w, size_y=h),
        results=[
            ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=name, score=score))
            for name, score in hypotheses
        ],
    )


SETTINGS = st.builds(
    lambda **values: replace(DEFAULTS, **values),
    class_ids=st.sampled_from([["person", "pedestrian", "0"], ["*"], []]),
    min_detection_score=st.sampled_from([0.0, 0.5, 1.0]),
    detector_size=st.sampled_from([[0, 0], [640, 640], [1, 32766]]),
    detector_letterbox=st.booleans(),
    max_persons=st.sampled_from([1, 3, 500]),
)


@fuzz(700)
@given(
    st.lists(detections(), max_size=8),
    st.tuples(st.integers(1, 16384), st.integers(1, 16384)),
    SETTINGS,
)
def test_every_detection_is_chosen_or_counted_once(
    array_of: list[Detection2D], image_size: tuple[int, int], settings: Settings
) -> None:
    persons = persons_of(Detection2DArray(detections=array_of), image_size, settings)
    chosen = len(persons.indices)
    assert chosen + sum(persons.drops.values()) == len(array_of)
    assert all(count > 0 for count in persons.drops.values())
    assert set(persons.drops) <= {
        *(Reason.CLASS_NOT_WANTED, Reason.SCORE_TOO_LOW),
        *(Reason.DEGENERATE_BOX, Reason.OVER_MAX_PERSONS),
    }
    assert chosen <= settings.max_persons
    left = (Reason.DEGENERATE_BOX, Reason.OVER_MAX_PERSONS)
    assert persons.omitted == sum(persons.drops.get(reason, 0) for reason in left)
    assert persons.indices == sorted(set(persons.indices))
    assert [d.id for d in persons.detections] == [array_of[n].id for n in persons.indices]
    assert len(persons.class_ids) == len(persons.scores) == chosen
    assert all(score >= settings.min_detection_score for score in persons.scores)
    # What is chosen can be cut out of the image.
    assert persons.boxes.shape == (chosen, 4)
    assert usable_boxes(persons.boxes, image_size).all()
    assert np.isfinite(crop_to_image(persons.boxes, (192, 256))).all()
