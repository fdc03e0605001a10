# SPDX-License-Identifier: Apache-2.0
"""Image messages to RGB frames. Works on rclpy's messages and on those of rosbags alike."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

# encoding -> (bytes a pixel, OpenCV conversion to RGB; None: it is RGB already)
_PACKED: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "mono16": (2, cv2.COLOR_GRAY2RGB),
    # ROS's "yuv422" is UYVY and "yuv422_yuy2" is YUYV; the newer names say so.
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUYV),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUYV),
    # ROS names a Bayer pattern by its first row's pixels, OpenCV by the second row's second and
    # third: rggb is BG.
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2RGB),
}
_EVEN_WIDTH = {"uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv21"}

ENCODINGS: tuple[str, ...] = (*_PACKED, "nv21")


class ImageError(ValueError):
    """An image message that cannot be read; the message names the field and its value."""


def check_image(message: Any) -> None:
    """Say whether `rgb_frame` can read an Image message, without touching its pixels.

    Raises
    ------
    ImageError
        Zero size, unknown encoding, ``step`` smaller than a row, or too little data.
    """
    width, height, step = int(message.width), int(message.height), int(message.step)
    encoding = message.encoding.lower()
    if width == 0 or height == 0:
        raise ImageError(f"width x height is {width}x{height}")
    if encoding not in ENCODINGS:
        raise ImageError(
            f"encoding is {message.encoding!r}; known encodings are {', '.join(ENCODINGS)}"
        )
    if encoding in _EVEN_WIDTH and width % 2:
        raise ImageError(f"width is {width}; {encoding} images have an even width")
    if encoding == "nv21" and height % 2:
        raise ImageError(f"height is {height}; nv21 images have an even height")
    pixel_bytes, rows = _row_layout(encoding, height)
    if step < width * pixel_bytes:
        raise ImageError(
            f"step is {step}; a row of {width} {message.encoding} pixels has "
            f"{width * pixel_bytes} bytes"
        )
    needed = step * (rows - 1) + width * pixel_bytes
    if len(message.data) < needed:
        raise ImageError(
            f"data has {len(message.data)} bytes; {rows} rows of step {step} need {needed}"
        )


def rgb_frame(message: Any) -> np.ndarray:
    """Return an Image message as uint8 RGB ``[H, W, 3]``.

    The frame of an ``rgb8`` image is a view of the message's data, with the rows ``step`` bytes
    apart; every other encoding is converted once. ``mono16`` keeps its upper 8 bits.

    Raises
    ------
    ImageError
        As `check_image`, or the image is too small for its encoding.
    """
    check_image(message)
    width, height, step = int(message.width), int(message.height), int(message.step)
    encoding = message.encoding.lower()
    pixel_bytes, rows = _row_layout(encoding, height)
    data = np.frombuffer(message.data, np.uint8)
    if pixel_bytes == 1:
        pixels = np.lib.stride_tricks.as_strided(data, (rows, width), (step, 1))
    else:
        shape, strides = (rows, width, pixel_bytes), (step, pixel_bytes, 1)
        pixels = np.lib.stride_tricks.as_strided(data, shape, strides)
    if encoding == "nv21":  # rows of brightness, then half as many of interleaved V and U
        return _converted(pixels, cv2.COLOR_YUV2RGB_NV21)
    if encoding == "mono16":
        pixels = pixels[..., 0 if message.is_bigendian else 1]
    conversion = _PACKED[encoding][1]
    return pixels if conversion is None else _converted(pixels, conversion)


def _row_layout(encoding: str, height: int) -> tuple[int, int]:
    """Bytes a pixel, and rows of data."""
    return (1, height * 3 // 2) if encoding == "nv21" else (_PACKED[encoding][0], height)


def check_compressed(message: Any) -> None:
    """Say whether a CompressedImage looks whole, without decoding it.

    Raises
    ------
    ImageError
        It has no data, or is a JPEG or PNG that ends too early.
    """
    data = np.frombuffer(message.data, np.uint8)
    if not _is_whole(data):
        raise _not_a_picture(message)


def rgb_frame_of_compressed(message: Any) -> np.ndarray:
    """Decode a CompressedImage message (JPEG or PNG) to uint8 RGB ``[H, W, 3]``.

    An EXIF orientation is ignored: the camera's pixels are what detections and calibration refer
    to. 16-bit images keep their upper 8 bits, an alpha channel is dropped.

    Raises
    ------
    ImageError
        The data is not an image that OpenCV can decode, or ends too early.
    """
    check_compressed(message)
    data = np.frombuffer(message.data, np.uint8)
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise _not_a_picture(message)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _not_a_picture(message: Any) -> ImageError:
    return ImageError(
        f"data ({len(message.data)} bytes, format {message.format!r}) is not a whole JPEG or PNG "
        "image"
    )


def _is_whole(data: np.ndarray) -> bool:
    """False for data that ends before its JPEG or PNG does.

    OpenCV decodes a truncated JPEG without an error and leaves the missing part grey: a frame half
    invented. Padding after the end mark is allowed, as some cameras send fixed-size buffers.
    """
    head, tail = data[:8].tobytes(), data[-4096:].tobytes()
    if head.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in tail
    if head == b"\x89PNG\r\n\x1a\n":
        return b"IEND" in tail
    return len(data) > 0


def _converted(pixels: np.ndarray, conversion: int) -> np.ndarray:
    try:
        return cv2.cvtColor(np.ascontiguousarray(pixels), conversion)
    except cv2.error as error:  # such as a Bayer image that is one pixel wide
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise ImageError(f"an image of {size} cannot be converted to RGB: {error.err}") from None
