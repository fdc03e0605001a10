# SPDX-License-Identifier: Apache-2.0
"""The header of a TIFF file, which is also the format of EXIF data: size, orientation, and whether
all of the pixels are there."""

from __future__ import annotations

import struct

# Little and big endian.
TIFF = (b"II*\x00", b"MM\x00*")

_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274
_DATA = ((273, 279), (324, 325))  # offsets and byte counts, of strips and of tiles
_FORMATS = {1: "B", 3: "H", 4: "I"}
MAX_VALUES = 1_000_000


class TiffError(ValueError):
    """Data that is not a complete TIFF file; the message names the fault."""


class TiffHeader:
    """The tags of the first image of a TIFF file, or of EXIF data.

    Raises TiffError if the header is damaged.
    """

    def __init__(self, data: bytes) -> None:
        if data[:4] not in TIFF:
            raise TiffError("it has no TIFF signature")
        self._data, self._order = data, "<" if data[:2] == b"II" else ">"
        (place,) = self._unpacked("I", 4)
        (count,) = self._unpacked("H", place)
        self._entries = {
            tag: (kind, values, place + 10 + 12 * number)
            for number in range(count)
            for tag, kind, values in [self._unpacked("HHI", place + 2 + 12 * number)]
        }

    @property
    def orientation(self) -> int:
        """The orientation, 1 (upright) if there is none."""
        return (self._values(_ORIENTATION) or (1,))[0]

    def complete_size(self) -> tuple[int, int]:
        """(width, height); TiffError if they, or a part of the pixels, are missing."""
        sides = self._values(_WIDTH)[:1] + self._values(_HEIGHT)[:1]
        if len(sides) != 2:
            raise TiffError("it has no size")
        parts = [
            (offset, count)
            for offsets, counts in _DATA
            for offset, count in zip(self._values(offsets), self._values(counts), strict=False)
        ]
        if not parts:
            raise TiffError("it has no pixels")
        if any(offset + count > len(self._data) for offset, count in parts):
            raise TiffError("it ends too early")
        return sides[0], sides[1]

    def _values(self, tag: int) -> tuple[int, ...]:
        kind, count, place = self._entries.get(tag, (0, 0, 0))
        if kind not in _FORMATS or count > MAX_VALUES:
            return ()
        layout = f"{count}{_FORMATS[kind]}"
        if struct.calcsize(self._order + layout) > 4:
            (place,) = self._unpacked("I", place)
        return self._unpacked(layout, place)

    def _unpacked(self, layout: str, place: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self._order + layout, self._data, place)
        except struct.error:
            raise TiffError("its header ends too early") from None
