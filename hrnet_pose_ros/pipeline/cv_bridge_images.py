# SPDX-License-Identifier: Apache-2.0
"""Images in rarer encodings, by cv_bridge, where it is installed (as with ROS from apt)."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

# Encodings with colours or grey values that `images.py` does not decode, in lower case, and how
# many bytes a pixel has. The first ones are what cv_bridge calls an image that nobody has named:
# OpenCV's order of colours. Depth images (16UC1, 32FC1) are not among them.
_UNNAMED = {"8uc1": 1, "8uc3": 3, "8uc4": 4, "16uc3": 6, "16uc4": 8}
_NAMED = {
    **dict.fromkeys(("rgb16", "bgr16"), 6),
    **dict.fromkeys(("rgba16", "bgra16"), 8),
    **{f"bayer_{pattern}16": 2 for pattern in ("rggb", "bggr", "gbrg", "grbg")},
    **dict.fromkeys(("nv12", "nv24"), 1),
}
BRIDGED: dict[str, int] = _UNNAMED | _NAMED
# Rows of data for each row of the image: luma, then colour differences.
_ROWS = {"nv12": 1.5, "nv24": 3.0}
_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}


@cache
def why_no_cv_bridge() -> str:
    """Return why cv_bridge cannot be used; empty if it can."""
    try:
        from cv_bridge import CvBridge  # noqa: F401
        from cv_bridge.boost import cv_bridge_boost  # noqa: F401  compiled for one version of NumPy
    except ImportError as error:
        return f"cv_bridge is not installed ({error})" if error.name else str(error)
    except Exception as error:  # AttributeError, or what the compiled part raises
        return f"cv_bridge does not work here: {type(error).__name__}: {error}"
    return ""


def row_layout(encoding: str, height: int) -> tuple[int, int]:
    """Return bytes per pixel and the number of rows of data, for an encoding in `BRIDGED`."""
    return BRIDGED[encoding], int(height * _ROWS.get(encoding, 1.0))


def bridged_frame(message: Any) -> np.ndarray:
    """Return an Image in an encoding of `BRIDGED` as uint8 RGB ``[H, W, 3]``.

    16-bit values keep their upper 8 bits, approximately.

    Raises
    ------
    ValueError
        cv_bridge does not convert it; the message is its own.
    """
    from cv_bridge import CvBridge

    encoding = message.encoding.lower()
    unnamed = encoding in _UNNAMED
    packed = _without_padding(message, encoding)
    packed.encoding = encoding.upper() if unnamed else encoding
    try:
        pixels = CvBridge().imgmsg_to_cv2(packed, "passthrough" if unnamed else "rgb8")
        if not unnamed:
            return np.ascontiguousarray(pixels, np.uint8)
        if pixels.dtype != np.uint8:
            pixels = (pixels >> 8).astype(np.uint8)
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        return cv2.cvtColor(np.ascontiguousarray(pixels), _TO_RGB[channels])
    except Exception as error:  # CvBridgeError is a TypeError; OpenCV and NumPy have their own
        reason = " ".join(str(error).split())
        raise ValueError(f"cv_bridge cannot convert it: {reason}") from None


def _without_padding(message: Any, encoding: str) -> Any:
    """Return the fields of a message with rows side by side: cv_bridge misreads padded ones."""
    pixel_bytes, rows = row_layout(encoding, int(message.height))
    width = int(message.width) * pixel_bytes
    step = int(message.step)
    data = np.frombuffer(message.data, np.uint8)
    strided = np.lib.stride_tricks.as_strided(data, (rows, width), (step, 1))
    return SimpleNamespace(
        header=message.header,
        height=int(message.height),
        width=int(message.width),
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=width,
        data=strided.tobytes(),
    )
