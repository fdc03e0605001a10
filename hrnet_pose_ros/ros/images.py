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

ENCODINGS = (*_PACKED, "nv21")


class ImageError(ValueError):
    """An image message that cannot be read; the message names the field and its value."""


def rgb_frame(message: Any) -> np.ndarray:
    """Return an Image message as uint8 RGB ``[H, W, 3]``.

    The frame of an ``rgb8`` image is a view of the message's data, with the rows ``step`` bytes
    apart; every other encoding is converted once. ``mono16`` keeps its upper 8 bits.

    Raises
    ------
    ImageError
        Zero size, unknown encoding, ``step`` smaller than a row, or too little data.
    """
    width, height, step = int(message.width), int(message.height), int(message.step)
    encoding = message.encoding.lower()
    if width == 0 or height == 0:
        raise ImageError(f"width x height is {width}x{height}")
    if encoding in _EVEN_WIDTH and width % 2:
        raise ImageError(f"width is {width}; {encoding} images have an even width")
    if encoding == "nv21":
        return _nv21(message, width, height, step)
    if encoding not in _PACKED:
        raise ImageError(
            f"encoding is {message.encoding!r}; known encodings are {', '.join(ENCODINGS)}"
        )
    pixel_bytes, conversion = _PACKED[encoding]
    rows = _rows(message, width * pixel_bytes, height, step)
    if encoding == "mono16":
        upper = 0 if message.is_bigendian else 1
        pixels = rows[:, upper::2]
    elif pixel_bytes == 1:
        pixels = rows
    else:
        pixels = np.lib.stride_tricks.as_strided(
            rows, (height, width, pixel_bytes), (step, pixel_bytes, 1)
        )
    return pixels if conversion is None else _converted(pixels, conversion)


def rgb_frame_of_compressed(message: Any) -> np.ndarray:
    """Decode a CompressedImage message (JPEG or PNG) to uint8 RGB ``[H, W, 3]``.

    An EXIF orientation is ignored: the camera's pixels are what detections and calibration refer
    to. 16-bit images keep their upper 8 bits, an alpha channel is dropped.

    Raises
    ------
    ImageError
        The data is not an image that OpenCV can decode, or ends too early.
    """
    data = np.frombuffer(message.data, np.uint8)
    bgr = None
    if _is_whole(data):
        try:
            bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            bgr = None
    if bgr is None:
        raise ImageError(
            f"data ({len(data)} bytes, format {message.format!r}) is not a whole JPEG or PNG image"
        )
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


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


def _rows(message: Any, row_bytes: int, height: int, step: int) -> np.ndarray:
    """uint8 view ``[height, row_bytes]`` of the message's data, rows ``step`` bytes apart."""
    if step < row_bytes:
        raise ImageError(
            f"step is {step}; a row of {message.width} {message.encoding} pixels has "
            f"{row_bytes} bytes"
        )
    data = np.frombuffer(message.data, np.uint8)
    needed = step * (height - 1) + row_bytes
    if len(data) < needed:
        raise ImageError(f"data has {len(data)} bytes; {height} rows of step {step} need {needed}")
    return np.lib.stride_tricks.as_strided(data, (height, row_bytes), (step, 1))


def _nv21(message: Any, width: int, height: int, step: int) -> np.ndarray:
    """Rows of brightness, then half as many rows of interleaved V and U."""
    if height % 2:
        raise ImageError(f"height is {height}; nv21 images have an even height")
    return _converted(_rows(message, width, height * 3 // 2, step), cv2.COLOR_YUV2RGB_NV21)


def _converted(pixels: np.ndarray, conversion: int) -> np.ndarray:
    try:
        return cv2.cvtColor(np.ascontiguousarray(pixels), conversion)
    except cv2.error as error:  # such as a Bayer image that is one pixel wide
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise ImageError(f"an image of {size} cannot be converted to RGB: {error.err}") from None
