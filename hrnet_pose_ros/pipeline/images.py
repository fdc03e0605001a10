# SPDX-License-Identifier: Apache-2.0
"""Conversion of image messages, from rclpy or from rosbags, to RGB frames.

cv_bridge does the same but is not used for the encodings that cameras usually have: it copies where
a view suffices (reportedly 16 ms for rgb8 to bgr8 at 720p; not measured here), and its compiled
part does not work with NumPy 2. Where it is installed, it converts rarer encodings, and
`test/pipeline/test_images.py` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from hrnet_pose_ros.engines.tensorrt.options import LARGEST_SIDE
from hrnet_pose_ros.pipeline.cv_bridge_images import (
    BRIDGED,
    bridged_frame,
    row_layout,
    why_no_cv_bridge,
)
from hrnet_pose_ros.pipeline.image_headers import ImageHeaderError, encoded_size

# encoding -> (bytes per pixel, OpenCV conversion to RGB; None: it is already RGB)
_PACKED: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, None),  # as a view with the channels reversed, which engines turn for nothing
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "mono16": (2, cv2.COLOR_GRAY2RGB),
    # In ROS, "yuv422" is UYVY and "yuv422_yuy2" is YUYV, as the newer names express.
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
_EVEN_WIDTH = {"uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv21", "nv12"}

_DEPTH = {"16uc1", "16sc1", "32fc1", "32fc2", "64fc1"}

ENCODINGS: tuple[str, ...] = (*_PACKED, "nv21")


# Gives memory for a frame of (height, width), uint8 ``[H, W, 3]``, or None for new one.
FrameBuffer = Callable[[int, int], np.ndarray | None]


def no_buffer(height: int, width: int) -> np.ndarray | None:
    """A `FrameBuffer` that has none."""
    return None


class ImageError(ValueError):
    """An image message that cannot be read; the message names the field and its value."""


def check_image(message: Any) -> None:
    """Check that `rgb_frame` can read an Image message, without reading its pixels.

    Raises
    ------
    ImageError
        The size is zero, a side exceeds 16384 px, the encoding is unknown, ``step`` is smaller
        than a row, or there is too little data.
    """
    width, height, step = int(message.width), int(message.height), int(message.step)
    encoding = message.encoding.lower()
    if width == 0 or height == 0:
        raise ImageError(f"width x height is {width}x{height}")
    _check_sides(width, height)
    if encoding not in ENCODINGS:
        _check_unknown_encoding(message.encoding)
    if encoding in _EVEN_WIDTH and width % 2:
        raise ImageError(f"width is {width}; {encoding} images have an even width")
    if encoding in ("nv21", "nv12") and height % 2:
        raise ImageError(f"height is {height}; {encoding} images have an even height")
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

    The frame of an ``rgb8`` or ``bgr8`` image is a view of the message's data, with a row stride of
    ``step`` bytes (of ``bgr8`` one with a reversed channel axis); every other encoding is converted
    once. ``mono16`` keeps its upper 8 bits.

    Raises
    ------
    ImageError
        As for `check_image`, or the image is too small for its encoding.
    """
    check_image(message)
    return decode_image(message)


def decode_image(message: Any, buffer: FrameBuffer = no_buffer) -> np.ndarray:
    """Return the frame as `rgb_frame` does, for a message that has passed `check_image`.

    ``buffer`` gives the memory that a conversion writes into; a frame that needs none is a view.
    """
    width, height, step = int(message.width), int(message.height), int(message.step)
    encoding = message.encoding.lower()
    if encoding in BRIDGED:
        try:
            return bridged_frame(message)
        except ValueError as error:
            raise ImageError(f"encoding is {_quoted(message.encoding)}; {error}") from None
    pixel_bytes, rows = _row_layout(encoding, height)
    data = np.frombuffer(message.data, np.uint8)
    if pixel_bytes == 1:
        pixels = np.lib.stride_tricks.as_strided(data, (rows, width), (step, 1))
    else:
        shape, strides = (rows, width, pixel_bytes), (step, pixel_bytes, 1)
        pixels = np.lib.stride_tricks.as_strided(data, shape, strides)
    if encoding == "nv21":  # rows of luma, then half as many rows of interleaved V and U
        return _converted(pixels, cv2.COLOR_YUV2RGB_NV21, buffer(height, width))
    if encoding == "mono16":
        pixels = pixels[..., 0 if message.is_bigendian else 1]
    if encoding == "bgr8":
        return pixels[..., ::-1]
    conversion = _PACKED[encoding][1]
    if conversion is None:
        return pixels
    return _converted(pixels, conversion, buffer(height, width))


def _row_layout(encoding: str, height: int) -> tuple[int, int]:
    """Return bytes per pixel and the number of rows of data."""
    if encoding in BRIDGED:
        return row_layout(encoding, height)
    return (1, height * 3 // 2) if encoding == "nv21" else (_PACKED[encoding][0], height)


def _check_unknown_encoding(encoding: str) -> None:
    """Raise ImageError unless cv_bridge, where it is installed, may know the encoding."""
    known = f"known encodings are {', '.join(ENCODINGS)}"
    if encoding.lower() not in BRIDGED:
        depth = encoding.lower() in _DEPTH
        what = "a depth image; subscribe to the colour image: " if depth else ""
        raise ImageError(f"encoding is {_quoted(encoding)}; {what}{known}")
    if why := why_no_cv_bridge():
        raise ImageError(
            f"encoding is {_quoted(encoding)}, which only cv_bridge converts: {why}; {known}"
        )


def check_compressed(message: Any) -> None:
    """Check that a CompressedImage appears complete, without decoding it.

    Raises
    ------
    ImageError
        The image is neither JPEG nor PNG, ends too early, has a side over 16384 px, or claims more
        pixels than its data can contain.
    """
    try:
        size = encoded_size(memoryview(message.data))
    except ImageHeaderError as error:
        raise _incomplete_image(message, str(error)) from None
    _check_sides(*size)


def rgb_frame_of_compressed(message: Any) -> np.ndarray:
    """Decode a CompressedImage message (JPEG or PNG) to uint8 RGB ``[H, W, 3]``.

    EXIF orientation is ignored, because detections and calibration refer to the camera's pixels.
    16-bit images keep their upper 8 bits; an alpha channel is dropped.

    Raises
    ------
    ImageError
        As for `check_compressed`, or OpenCV cannot decode the data.
    """
    check_compressed(message)
    return contiguous(decode_compressed(message))


def decode_compressed(message: Any, buffer: FrameBuffer = no_buffer) -> np.ndarray:
    """Decode as `rgb_frame_of_compressed` does, for a message that passed `check_compressed`.

    OpenCV decodes to BGR and into memory of its own: the frame is a view of that with a reversed
    channel axis, and ``buffer`` is not used.
    """
    data = np.frombuffer(message.data, np.uint8)
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise _incomplete_image(message, "OpenCV cannot decode it")
    return bgr[..., ::-1]


def contiguous(frame: np.ndarray) -> np.ndarray:
    """Return a frame as RGB that lies so in memory; a view of BGR pixels is turned, quickly."""
    if frame.strides[2] < 0:
        return cv2.cvtColor(np.ascontiguousarray(frame[..., ::-1]), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(frame)


def size_of(frame: np.ndarray) -> tuple[int, int]:
    """Return (width, height) of a frame ``[H, W, 3]``, in pixels."""
    return frame.shape[1], frame.shape[0]


def _check_sides(width: int, height: int) -> None:
    """Refuse sides over LARGEST_SIDE: OpenCV crops up to 32766 px, real images are far smaller."""
    if max(width, height) > LARGEST_SIDE:
        raise ImageError(
            f"width x height is {width}x{height}; a side may have at most {LARGEST_SIDE} px"
        )


def _incomplete_image(message: Any, why: str) -> ImageError:
    return ImageError(
        f"data ({len(message.data)} bytes, format {_quoted(message.format)}) is not a complete "
        f"JPEG or PNG image: {why}"
    )


def _quoted(text: str) -> str:
    """Return a text of any length, quoted and shortened to 40 characters."""
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _converted(pixels: np.ndarray, conversion: int, target: np.ndarray | None) -> np.ndarray:
    try:
        return cv2.cvtColor(np.ascontiguousarray(pixels), conversion, dst=target)
    except cv2.error as error:  # for example a Bayer image that is one pixel wide
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise ImageError(f"an image of {size} cannot be converted to RGB: {error.err}") from None
