# SPDX-License-Identifier: Apache-2.0
"""Image messages to RGB, held to pixels whose colours are known."""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from encoded import TOLERANCES, encoded

from hrnet_pose_ros.pipeline.cv_bridge_images import BRIDGED, why_no_cv_bridge
from hrnet_pose_ros.pipeline.images import (
    ENCODINGS,
    ImageError,
    check_compressed,
    contiguous,
    decode_image,
    rgb_frame,
    rgb_frame_of_compressed,
)

# Four colours, one in each quadrant: a decoder that mixes up channels, rows or columns shows.
COLOURS = np.array([[(230, 30, 40), (40, 210, 60)], [(20, 60, 220), (128, 128, 128)]], np.uint8)
SIDE = 12  # of a quadrant
QUADRANTS = COLOURS.repeat(SIDE, axis=0).repeat(SIDE, axis=1)
HEIGHT, WIDTH = QUADRANTS.shape[:2]


def message(encoding: str, frame: np.ndarray = QUADRANTS, pad: int = 0) -> Any:
    """An Image whose rows are padded with rubbish."""
    return SimpleNamespace(**encoded(frame, encoding, pad))


def inner(frame: np.ndarray) -> np.ndarray:
    """The quadrants without their edges, where Bayer patterns and colour differences mix."""
    parts = frame.reshape(2, SIDE, 2, SIDE, 3)[:, 2:-2, :, 2:-2]
    return parts.astype(int)


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_known_pixels(encoding: str, pad: int) -> None:
    frame = rgb_frame(message(encoding, pad=pad))
    assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8
    expected = QUADRANTS[..., [0, 0, 0]] if encoding.startswith("mono") else QUADRANTS
    difference = np.abs(inner(frame) - inner(expected)).max()
    assert difference <= TOLERANCES.get(encoding, 0)


def test_the_encodings_are_those_of_the_design() -> None:
    assert set(ENCODINGS) == {
        *("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16"),
        *("uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv21"),
        *("bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"),
    }


def test_every_pixel_of_a_photo_keeps_its_place(street_frames: list[np.ndarray]) -> None:
    """Encodings that keep all colours give every pixel back."""
    photo = street_frames[0]
    for encoding in ("rgb8", "bgr8", "rgba8", "bgra8"):
        np.testing.assert_array_equal(rgb_frame(message(encoding, photo, 7)), photo)
    for encoding in ("mono8", "mono16"):
        np.testing.assert_array_equal(rgb_frame(message(encoding, photo, 7)), photo[..., [0, 0, 0]])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_same_pixels_as_cv_bridge(encoding: str, street_frames: list[np.ndarray]) -> None:
    """Where it is installed, on a photo. Rows are not padded: its Python side misreads such."""
    try:
        import cv_bridge
    except (ImportError, AttributeError) as error:  # AttributeError: not made for this NumPy
        pytest.skip(f"cv_bridge cannot be imported: {error}")
    from sensor_msgs.msg import Image

    image = Image(**encoded(street_frames[0], encoding))
    try:
        theirs = cv_bridge.CvBridge().imgmsg_to_cv2(image, "rgb8")
    except (ImportError, AttributeError) as error:  # its compiled part comes in only here
        pytest.skip(f"cv_bridge does not work with this NumPy: {error}")
    except cv_bridge.CvBridgeError as error:
        pytest.skip(f"cv_bridge does not take {encoding}: {error}")
    # mono16: the upper byte here, 255/65535 rounded there.
    tolerance = 1 if encoding == "mono16" else 0
    assert np.abs(rgb_frame(image).astype(int) - theirs).max() <= tolerance


@pytest.mark.parametrize(("big", "expected"), [(0, 0x12), (1, 0x34)])
def test_mono16_keeps_the_upper_bits(big: int, expected: int) -> None:
    image = message("mono16", pad=3)
    image.is_bigendian = big
    image.data = array("B", b"\x34\x12" * (len(image.data) // 2))
    image.step = 2 * WIDTH
    assert (rgb_frame(image) == expected).all()


@pytest.mark.parametrize(("encoding", "channel"), [("rgb8", 0), ("bgr8", 2)])
def test_packed_colours_are_a_view_of_the_message(encoding: str, channel: int) -> None:
    image = message(encoding, pad=5)
    frame = rgb_frame(image)
    image.data[0] = 99
    assert frame[0, 0, channel] == 99


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_conversions_write_into_the_memory_that_they_are_given(encoding: str) -> None:
    """What an engine copies from: no frame of its own in between."""
    asked: list[tuple[int, int]] = []
    buffer = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def given(height: int, width: int) -> np.ndarray:
        asked.append((height, width))
        return buffer

    image = message(encoding, pad=4)
    frame = decode_image(image, given)
    np.testing.assert_array_equal(frame, rgb_frame(image))
    converts = encoding not in ("rgb8", "bgr8")
    assert asked == [(HEIGHT, WIDTH)] * converts
    assert (frame.ctypes.data == buffer.ctypes.data) == converts
    np.testing.assert_array_equal(decode_image(image, lambda *_: None), frame)


def test_a_frame_as_it_lies_in_memory() -> None:
    rgb = rgb_frame(message("rgb8"))
    for frame in (rgb_frame(message("bgr8", pad=5)), rgb_frame(message("rgb8", pad=5)), rgb):
        whole = contiguous(frame)
        assert whole.flags.c_contiguous
        np.testing.assert_array_equal(whole, rgb)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"width": 0}, "0x24"),
        ({"height": 0}, "24x0"),
        ({"encoding": "rgb16"}, "'rgb16'"),
        ({"encoding": ""}, "''"),
        ({"encoding": "rgb8" * 99}, "rgb8…'"),  # a warning stays short
        ({"step": 0}, "step is 0"),
        ({"step": 71}, "step is 71"),  # a row has 72 bytes
        ({"step": 1000}, "data has"),  # more than there is
        ({"data": array("B")}, "data has 0 bytes"),
        ({"width": 8192, "height": 8192, "step": 3 * 8192}, "data has"),  # claimed, not there
        ({"width": 2**31}, "a side may have at most 16384"),
        ({"height": 16385}, "a side may have at most 16384"),
        ({"encoding": "uyvy", "width": 11}, "even width"),
        ({"encoding": "nv21", "height": 7}, "even height"),
    ],
)
def test_malformed_images_are_named(fields: dict[str, Any], words: str) -> None:
    image = message("rgb8")
    for name, value in fields.items():
        setattr(image, name, value)
    with pytest.raises(ImageError, match=words):
        rgb_frame(image)


class StandInBridge:
    """What cv_bridge does with two encodings; the real one is compiled, and part of ROS."""

    def imgmsg_to_cv2(self, image: Any, desired: str) -> np.ndarray:
        if image.encoding == "nv12":
            raise TypeError("[nv12] is not\n known")
        kind = np.uint16 if "16" in image.encoding else np.uint8
        pixels = np.frombuffer(image.data, kind).reshape(image.height, image.width, -1)
        assert image.step == image.width * pixels.shape[2] * pixels.itemsize
        if image.encoding == "rgb16":
            assert desired == "rgb8"
            return (pixels >> 8).astype(np.uint8)
        assert desired == "passthrough" and image.encoding.isupper()
        return pixels[..., 0] if pixels.shape[2] == 1 else pixels


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = SimpleNamespace(CvBridge=StandInBridge)
    boost = SimpleNamespace(cv_bridge_boost=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "cv_bridge", package)
    monkeypatch.setitem(sys.modules, "cv_bridge.boost", boost)
    why_no_cv_bridge.cache_clear()
    yield
    why_no_cv_bridge.cache_clear()


def bridged_message(encoding: str, pixels: np.ndarray) -> Any:
    """An Image with padded rows of pixels ``[H, W, C]``."""
    rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, 5)), constant_values=77)
    image = message("rgb8")
    image.encoding, image.header = encoding, None
    image.height, image.width, image.step = *pixels.shape[:2], padded.shape[1]
    image.data = array("B", padded.tobytes())
    return image


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("8UC3", QUADRANTS[..., ::-1]),
        ("8uc4", np.dstack([QUADRANTS[..., ::-1], QUADRANTS[..., 0]])),
        ("8UC1", QUADRANTS[..., :1]),
        ("16UC3", QUADRANTS[..., ::-1].astype(np.uint16) * 257),
        ("rgb16", QUADRANTS.astype(np.uint16) * 257),
    ],
)
def test_rarer_encodings_go_through_cv_bridge(
    encoding: str, pixels: np.ndarray, bridge: None
) -> None:
    expected = QUADRANTS[..., [0, 0, 0]] if encoding == "8UC1" else QUADRANTS
    image = bridged_message(encoding, np.ascontiguousarray(pixels))
    np.testing.assert_array_equal(rgb_frame(image), expected)
    image.data = image.data[:-6]
    with pytest.raises(ImageError, match="data has"):
        rgb_frame(image)


def test_what_cv_bridge_refuses_is_named(bridge: None) -> None:
    image = message("nv21")
    image.encoding, image.header = "nv12", None
    with pytest.raises(
        ImageError, match=r"'nv12'; cv_bridge cannot convert it: \[nv12\] is not known"
    ):
        rgb_frame(image)


@pytest.mark.parametrize("encoding", sorted(BRIDGED))
def test_without_cv_bridge_rarer_encodings_are_refused_by_name(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    why_no_cv_bridge.cache_clear()
    image = message("rgb8")
    image.encoding = encoding
    with pytest.raises(ImageError, match=f"'{encoding}', which only cv_bridge converts: cv_bridge"):
        rgb_frame(image)
    why_no_cv_bridge.cache_clear()


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_images_are_named(encoding: str) -> None:
    image = message("rgb8")
    image.encoding = encoding
    with pytest.raises(ImageError, match="a depth image; subscribe to the colour image"):
        rgb_frame(image)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed(suffix: str, street_frames: list[np.ndarray]) -> None:
    frame = street_frames[0]
    data = cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()
    decoded = rgb_frame_of_compressed(SimpleNamespace(data=data, format=suffix))
    assert np.abs(decoded.astype(int) - frame).mean() < (4 if suffix == ".jpg" else 1e-9)


def test_exif_orientation_is_ignored(street_frames: list[np.ndarray]) -> None:
    frame = street_frames[0]
    data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()
    # An APP1 segment that says: rotate by 90 degrees (orientation 6).
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    exif = b"Exif\x00\x00" + tiff + b"\x00\x00\x00\x00"
    app1 = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    turned = data[:2] + app1 + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[0] == 768
    decoded = rgb_frame_of_compressed(SimpleNamespace(data=turned, format="jpeg"))
    assert decoded.shape == frame.shape


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
def test_truncated_pictures_are_refused(
    suffix: str, share: float, street_frames: list[np.ndarray]
) -> None:
    data = cv2.imencode(suffix, street_frames[0])[1].tobytes()
    part = data[: int(len(data) * share)]
    with pytest.raises(ImageError, match=f"{len(part)} bytes"):
        rgb_frame_of_compressed(SimpleNamespace(data=part, format="jpeg"))


def compressed(data: bytes) -> Any:
    return SimpleNamespace(data=array("B", data), format="jpeg")


def test_a_thumbnails_end_is_not_the_pictures(street_frames: list[np.ndarray]) -> None:
    """A camera's EXIF data holds a small JPEG of its own."""
    whole = cv2.imencode(".jpg", street_frames[0])[1].tobytes()
    thumbnail = cv2.imencode(".jpg", street_frames[0][::16, ::16])[1].tobytes()
    app1 = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    picture = whole[:2] + app1 + whole[2:]
    assert rgb_frame_of_compressed(compressed(picture)).shape == street_frames[0].shape
    with pytest.raises(ImageError, match="it ends too early"):
        check_compressed(compressed(picture[: len(app1) + 1000]))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("padding", [0, 4000, 4094, 4095, 4096, 2_000_000])
@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\xff\xd8\x07"])
def test_padding_after_the_end_is_allowed(
    suffix: str, padding: int, filling: bytes, street_frames: list[np.ndarray]
) -> None:
    """usb_cam sends its whole buffer: zeros, or what is left of an older image."""
    frame = street_frames[0][:96, :128]
    whole = cv2.imencode(suffix, frame)[1].tobytes()
    rest = (filling * padding)[:padding]
    decoded = rgb_frame_of_compressed(compressed(whole + rest))
    np.testing.assert_array_equal(decoded, rgb_frame_of_compressed(compressed(whole)))
    with pytest.raises(ImageError, match=r"it ends too early|100000 chunks"):
        check_compressed(compressed(whole[: len(whole) * 3 // 4] + bytes(padding)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (".bmp", "a BMP image"),
        (".webp", "a WebP image"),
        (".tiff", "a TIFF image"),
        (".jp2", "a JPEG 2000 image"),
        (b"\0\0\0\1\x67\x42" + bytes(99), "a video stream"),
        (bytes(12) + b"\x89PNG\r\n\x1a\n" + bytes(99), "as in compressedDepth: subscribe to"),
        (b"", "it is empty"),
    ],
)
def test_other_formats_are_refused_on_arrival(
    data: str | bytes, words: str, street_frames: list[np.ndarray]
) -> None:
    """By what the data are. OpenCV could read some; each is another door."""
    if isinstance(data, str):
        data = cv2.imencode(data, street_frames[0])[1].tobytes()
    message = compressed(data)
    message.format = "rgb8; jpeg compressed bgr8"
    with pytest.raises(ImageError, match=f"a complete JPEG or PNG image: .*{words}"):
        check_compressed(message)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", [cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]),
        (".png", [cv2.IMWRITE_PNG_COMPRESSION, 9]),
    ],
)
def test_the_most_compressed_picture_of_8k_is_taken(suffix: str, options: list[int]) -> None:
    """Nothing compresses better than one colour: the limit of pixels per byte holds there."""
    flat = np.full((4320, 7680), 90, np.uint8)
    check_compressed(compressed(cv2.imencode(suffix, flat, options)[1].tobytes()))


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (8192, 8192, "claims 8192x8192 pixels, more than its data can contain"),
        (16385, 1, "16385x1; a side may have at most 16384"),
        (0, 10, "width x height is 0x10"),
    ],
)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_claimed_sizes_are_refused_before_decoding(
    suffix: str, width: int, height: int, words: str
) -> None:
    data = bytearray(cv2.imencode(suffix, np.zeros((32, 32, 3), np.uint8))[1].tobytes())
    if suffix == ".png":
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    else:
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    with pytest.raises(ImageError, match=words):
        check_compressed(compressed(bytes(data)))


def test_a_chunk_longer_than_the_png_is_refused_before_decoding() -> None:
    """OpenCV would make room for 4 GB."""
    data = bytearray(cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes())
    place = data.index(b"IDAT")
    data[place - 4 : place] = (2**32 - 1).to_bytes(4, "big")
    with pytest.raises(ImageError, match="it ends too early"):
        check_compressed(compressed(bytes(data)))


def test_a_header_without_end_takes_no_time() -> None:
    png = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()[:33]
    for start, filling in (
        (b"\xff\xd8", b"\xff"),
        (b"\xff\xd8", b"\xff\xd0"),
        (b"\xff\xd8", b"\xff\xfe\x00\x02"),
        (png, bytes(4) + b"tEXt" + bytes(4)),
    ):
        endless = compressed(start + filling * (60_000_000 // len(filling)))
        begin = time.process_time()
        with pytest.raises(ImageError):
            check_compressed(endless)
        assert time.process_time() - begin < 1  # read to its end it takes several seconds
