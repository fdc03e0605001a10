# SPDX-License-Identifier: Apache-2.0
"""Text in pictures, in the font that OpenCV has: ASCII only."""

from __future__ import annotations

import cv2
import numpy as np

Colour = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]  # x0, y0, x1, y1

# RGB
BACKGROUND: Colour = (20, 23, 28)
PANEL: Colour = (33, 37, 44)
LINE: Colour = (70, 76, 88)
TEXT: Colour = (232, 234, 238)
DIM: Colour = (160, 166, 178)
GOOD: Colour = (90, 205, 130)
WARNING: Colour = (255, 190, 70)
BAD: Colour = (255, 110, 100)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
MARGIN = 3  # px between text and the border of its background


def text_size(text: str, scale: float) -> tuple[int, int]:
    """Width and height in pixels, with the margin of a background."""
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    return width + 2 * MARGIN, height + below + 2 * MARGIN


def put_text(
    image: np.ndarray,
    text: str,
    corner: tuple[int, int],
    colour: Colour = TEXT,
    scale: float = 0.5,
    background: Colour | None = None,
) -> Rectangle:
    """Write text below and to the right of a corner; returns the rectangle that it takes."""
    (_, height), _ = cv2.getTextSize(text, _FONT, scale, 1)
    width, whole = text_size(text, scale)
    x, y = corner
    rectangle = (x, y, x + width, y + whole)
    if background is not None:
        cv2.rectangle(image, (x, y), rectangle[2:], background, cv2.FILLED)
    at = (x + MARGIN, y + MARGIN + height)
    cv2.putText(image, text, at, _FONT, scale, colour, 1, cv2.LINE_AA)
    return rectangle


def overlaps(one: Rectangle, other: Rectangle) -> bool:
    """Whether two rectangles have a pixel in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
