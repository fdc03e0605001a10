# SPDX-License-Identifier: Apache-2.0
"""Frames in every encoding of the design, written out here and not by OpenCV."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

# Greatest difference of a decoded pixel from the frame's own on a plain area, where there is one:
# brightness and colour differences have 8 bits each.
TOLERANCES = {"uyvy": 4, "yuv422": 4, "yuyv": 4, "yuv422_yuy2": 4, "nv21": 4}


def encoded(frame: np.ndarray, encoding: str, pad: int = 0) -> dict[str, Any]:
    """The fields of an Image message, rows padded with ``pad`` bytes of rubbish.

    ``frame`` is uint8 RGB ``[H, W, 3]`` with even sides. The mono encodings take its red channel,
    mono16 as the upper byte, with rubbish in the lower one.
    """
    height, width = frame.shape[:2]
    rows = _rows(frame, encoding)
    rows = np.ascontiguousarray(rows, np.uint8).reshape(len(rows), -1)
    padded = np.concatenate([rows, np.full((len(rows), pad), 171, np.uint8)], axis=1)
    return {
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": 0,
        "step": padded.shape[1],
        "data": array("B", padded.tobytes()),
    }


def _rows(frame: np.ndarray, encoding: str) -> np.ndarray:
    alpha = np.full((*frame.shape[:2], 1), 9, np.uint8)
    bgr = frame[..., ::-1]
    if encoding in ("rgb8", "bgr8"):
        return frame if encoding == "rgb8" else bgr
    if encoding in ("rgba8", "bgra8"):
        return np.concatenate([frame if encoding == "rgba8" else bgr, alpha], axis=2)
    if encoding == "mono8":
        return frame[..., 0]
    if encoding == "mono16":
        return np.stack([np.full_like(frame[..., 0], 77), frame[..., 0]], axis=2)
    if encoding.startswith("bayer_"):
        return _bayer(frame, encoding.removeprefix("bayer_").removesuffix("8"))
    y, u, v = _yuv(frame)
    if encoding in ("uyvy", "yuv422"):
        return np.stack([u[:, ::2], y[:, ::2], v[:, ::2], y[:, 1::2]], axis=2)
    if encoding in ("yuyv", "yuv422_yuy2"):
        return np.stack([y[:, ::2], u[:, ::2], y[:, 1::2], v[:, ::2]], axis=2)
    assert encoding == "nv21", encoding
    chroma = np.stack([v[::2, ::2], u[::2, ::2]], axis=2).reshape(len(y) // 2, -1)
    return np.concatenate([y, chroma])


def _yuv(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ITU-R BT.601 with limited range; colour differences at every pixel."""
    r, g, b = np.moveaxis(frame / 255, 2, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    u = 128 + 224 * 0.5 * (b - y) / (1 - 0.114)
    v = 128 + 224 * 0.5 * (r - y) / (1 - 0.299)
    return tuple(np.round(plane).astype(np.uint8) for plane in (16 + 219 * y, u, v))


def _bayer(frame: np.ndarray, pattern: str) -> np.ndarray:
    """``pattern``: the colours of the first row's two pixels and of the second row's."""
    mosaic = np.empty(frame.shape[:2], np.uint8)
    for place, colour in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = frame[row::2, column::2, "rgb".index(colour)]
    return mosaic
