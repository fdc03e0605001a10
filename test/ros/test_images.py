# SPDX-License-Identifier: Apache-2.0
"""Image messages to RGB, held to pixels whose colours are known."""

from __future__ import annotations

from array import array
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrnet_pose_ros.ros.images import ENCODINGS, ImageError, rgb_frame, rgb_frame_of_compressed

COLOURS = {"red": (230, 30, 40), "green": (40, 210, 60), "blue": (20, 60, 220), "grey": (128,) * 3}
HEIGHT, WIDTH = 8, 12


def message(encoding: str, rows: np.ndarray, height: int, width: int, pad: int = 0) -> Any:
    """An Image whose rows are padded with rubbish."""
    rows = np.asarray(rows, np.uint8).reshape(len(rows), -1)
    padded = np.concatenate([rows, np.full((len(rows), pad), 171, np.uint8)], axis=1)
    return SimpleNamespace(
        width=width,
        height=height,
        encoding=encoding,
        is_bigendian=0,
        step=padded.shape[1],
        data=array("B", padded.tobytes()),
    )


def plain(colour: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (HEIGHT, WIDTH, len(colour)))


def yuv(colour: tuple[int, ...]) -> tuple[int, int, int]:
    """ITU-R BT.601 with limited range, written out."""
    r, g, b = (channel / 255 for channel in colour)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return (
        round(16 + 219 * y),
        round(128 + 224 * 0.5 * (b - y) / (1 - 0.114)),
        round(128 + 224 * 0.5 * (r - y) / (1 - 0.299)),
    )


def packed_yuv(colour: tuple[int, ...], order: str) -> np.ndarray:
    y, u, v = yuv(colour)
    pair = {"uyvy": (u, y, v, y), "yuyv": (y, u, y, v)}[order]
    return np.broadcast_to(np.array(pair, np.uint8), (HEIGHT, WIDTH // 2, 4))


def bayer(colour: tuple[int, ...], pattern: str) -> np.ndarray:
    values = dict(zip("rgb", colour, strict=True))
    tile = np.array([[values[c] for c in pattern[:2]], [values[c] for c in pattern[2:]]], np.uint8)
    return np.tile(tile, (HEIGHT // 2, WIDTH // 2))


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("encoding", [e for e in ENCODINGS if not e.startswith("mono")])
def test_colours(encoding: str, name: str, pad: int) -> None:
    colour = COLOURS[name]
    r, g, b = colour
    tolerance = 0
    height = HEIGHT
    if encoding == "rgb8":
        rows = plain((r, g, b))
    elif encoding == "bgr8":
        rows = plain((b, g, r))
    elif encoding == "rgba8":
        rows = plain((r, g, b, 9))
    elif encoding == "bgra8":
        rows = plain((b, g, r, 9))
    elif encoding in ("uyvy", "yuv422"):
        rows, tolerance = packed_yuv(colour, "uyvy"), 4  # 8-bit colour differences
    elif encoding in ("yuyv", "yuv422_yuy2"):
        rows, tolerance = packed_yuv(colour, "yuyv"), 4
    elif encoding == "nv21":
        y, u, v = yuv(colour)
        luma = np.full((HEIGHT, WIDTH), y, np.uint8)
        chroma = np.tile(np.array([v, u], np.uint8), (HEIGHT // 2, WIDTH // 2))
        rows, tolerance = np.concatenate([luma, chroma]), 4
    else:
        rows = bayer(colour, encoding.removeprefix("bayer_").removesuffix("8"))
    frame = rgb_frame(message(encoding, rows, height, WIDTH, pad))
    assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == np.uint8
    inner = frame[2:-2, 2:-2].astype(int)  # Bayer interpolation has an edge
    assert np.abs(inner - colour).max() <= tolerance


@pytest.mark.parametrize(("big", "expected"), [(0, 0x12), (1, 0x34)])
def test_mono16_keeps_the_upper_bits(big: int, expected: int) -> None:
    rows = np.broadcast_to(np.array([0x34, 0x12], np.uint8), (HEIGHT, WIDTH, 2))
    image = message("mono16", rows, HEIGHT, WIDTH, 3)
    image.is_bigendian = big
    assert (rgb_frame(image) == expected).all()


def test_mono8_and_position_of_pixels() -> None:
    rows = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    frame = rgb_frame(message("mono8", rows, HEIGHT, WIDTH, 7))
    np.testing.assert_array_equal(frame, np.repeat(rows[..., None], 3, axis=2))


def test_rgb8_is_a_view_of_the_message() -> None:
    image = message("rgb8", plain(COLOURS["red"]), HEIGHT, WIDTH, 5)
    frame = rgb_frame(image)
    image.data[0] = 99
    assert frame[0, 0, 0] == 99


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"width": 0}, "0x8"),
        ({"height": 0}, "12x0"),
        ({"encoding": "rgb16"}, "'rgb16'"),
        ({"encoding": ""}, "''"),
        ({"step": 35}, "step is 35"),  # a row has 36 bytes
        ({"step": 1000}, "data has"),  # more than there is
        ({"data": array("B")}, "data has 0 bytes"),
        ({"width": 2**31}, "step"),
        ({"height": 2**31}, "data has"),
        ({"encoding": "uyvy", "width": 11}, "even width"),
        ({"encoding": "nv21", "height": 7}, "even height"),
    ],
)
def test_malformed_images_are_named(fields: dict[str, Any], words: str) -> None:
    image = message("rgb8", plain(COLOURS["red"]), HEIGHT, WIDTH)
    for name, value in fields.items():
        setattr(image, name, value)
    with pytest.raises(ImageError, match=words):
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


@given(st.binary(max_size=300))
def test_any_bytes_are_a_picture_or_an_image_error(data: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"):
        try:
            frame = rgb_frame_of_compressed(SimpleNamespace(data=start + data, format="jpeg"))
        except ImageError:
            continue
        assert frame.ndim == 3


@given(
    st.sampled_from(ENCODINGS),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 200),
    st.integers(0, 3000),
    st.booleans(),
)
def test_any_fields_are_a_frame_or_an_image_error(
    encoding: str, width: int, height: int, step: int, size: int, big: bool
) -> None:
    image = SimpleNamespace(
        width=width,
        height=height,
        encoding=encoding,
        step=step,
        is_bigendian=int(big),
        data=array("B", bytes(size)),
    )
    try:
        frame = rgb_frame(image)
    except ImageError:
        return
    assert frame.shape == (height, width, 3) and frame.dtype == np.uint8
    frame.sum()  # every pixel is memory of the message
