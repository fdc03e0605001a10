# SPDX-License-Identifier: Apache-2.0
"""JPEG and PNG headers, read without decoding the image.

Two faults are caught before the data reaches OpenCV: a file that ends too early (OpenCV decodes a
truncated JPEG without an error and fills the missing part with grey, so half of the frame is
invented), and a size that the data cannot contain (a few bytes could claim gigabytes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

JPEG = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n"

# Markers before the scan; an image with an ICC profile and EXIF data has fewer than 300.
MAX_MARKERS = 1000
# libpng writes chunks of 8 KB: enough for 800 MB.
MAX_CHUNKS = 100_000
# Maximum number of pixels that one byte can encode. In a JPEG, each block of 8x8 pixels has a
# Huffman code of at least one bit (ITU-T T.81, F.1.2; arithmetic coding, which no camera uses,
# could be shorter).
JPEG_PIXELS_PER_BYTE = 8 * 64
# At best, Deflate encodes 258 bytes in two codes of one bit: 1032 to 1 (zlib, technical details).
PNG_BYTES_PER_BYTE = 1032

# Samples per pixel of the PNG colour types (PNG specification, 11.2.2).
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# How data of other formats starts, and their names.
_OTHER_SIGNATURES = (
    (b"BM", "a BMP image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\x00\x00\x00\x01", "a video stream (H.264 or H.265)"),
    (b"\x00\x00\x01", "a video stream (H.264 or H.265)"),
    (b"\x12\x00", "a video stream (AV1)"),
)
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


class ImageHeaderError(ValueError):
    """Data that is not a complete JPEG or PNG; the message names the fault."""


def encoded_size(data: memoryview) -> tuple[int, int]:
    """Return width and height, in pixels, of a JPEG or PNG that appears complete.

    ``data`` contains the bytes of the file.

    Raises
    ------
    ImageHeaderError
        The data is neither JPEG nor PNG, ends too early, has no size, or claims more pixels than
        it can contain.
    """
    if data[:2] == JPEG:
        width, height = _jpeg_size(data)
        most = len(data) * JPEG_PIXELS_PER_BYTE
    elif data[:8] == PNG:
        width, height, bits = _png_size(data)
        most = len(data) * PNG_BYTES_PER_BYTE * 8 // bits
    else:
        raise ImageHeaderError(_other_format(data))
    if width == 0 or height == 0:
        raise ImageHeaderError(f"its width x height is {width}x{height}")
    if width * height > most:
        raise ImageHeaderError(f"it claims {width}x{height} pixels, more than its data can contain")
    return width, height


def _other_format(data: memoryview) -> str:
    """Return what the data probably is, for the message."""
    start, neither = bytes(data[:64]), "it starts with neither signature"
    if not start:
        return "it is empty"
    for signature, name in _OTHER_SIGNATURES:
        if start.startswith(signature):
            return f"{neither}; it is probably {name}"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return f"{neither}; it is a WebP image"
    if start[4:8] == b"ftyp":
        return f"{neither}; it is an AVIF, HEIF or MP4 file"
    if PNG in start:
        return (
            f"{neither}; a PNG begins after other bytes, as in compressedDepth: subscribe to the "
            "colour image"
        )
    return neither


def _jpeg_size(data: memoryview) -> tuple[int, int]:
    """Return width and height."""
    size = None
    for marker, start, end in _jpeg_segments(data):
        if marker in _START_OF_FRAME and end - start >= 5:
            size = _number(data[start + 3 : start + 5]), _number(data[start + 1 : start + 3])
        if marker == _START_OF_SCAN and size is not None:
            # Anywhere: some drivers (usb_cam) send their whole buffer, padded with zeros or with
            # the rest of an older image. Within a scan, the encoder stuffs every 0xff.
            if re.compile(JPEG_END).search(data, end) is None:
                raise ImageHeaderError("it ends too early")
            return size
    raise ImageHeaderError("its header ends too early")


def _jpeg_segments(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, the first byte and the end of each segment's content."""
    place = len(JPEG)
    for _ in range(MAX_MARKERS):
        if place + 4 > len(data):
            return
        if data[place] != 0xFF:
            raise ImageHeaderError(f"it has no JPEG marker at byte {place}")
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _WITHOUT_LENGTH:
            place += 2
        else:
            end = place + 2 + _number(data[place + 2 : place + 4])
            if end > len(data):
                return
            yield marker, place + 4, end
            place = end


def _png_size(data: memoryview) -> tuple[int, int, int]:
    """Return width, height and bits per pixel.

    Every chunk has to lie within the data: OpenCV (observed in 4.14) allocates the length that a
    chunk claims, up to 4 GB, before it reads the chunk.
    """
    place = len(PNG) + 8
    header = data[place : place + 13]
    if len(header) < 13:
        raise ImageHeaderError("its header ends too early")
    depth, colour = header[8], header[9]
    begun = data[len(PNG) : place] == b"\x00\x00\x00\x0dIHDR"
    if not begun or colour not in _PNG_SAMPLES or not 1 <= depth <= 16:
        raise ImageHeaderError("it has a damaged PNG header")
    place += 13 + 4
    for _ in range(MAX_CHUNKS):
        end = place + 12 + _number(data[place : place + 4])
        if end > len(data):
            raise ImageHeaderError("it ends too early")
        if data[place + 4 : place + 8] == b"IEND":
            bits = depth * _PNG_SAMPLES[colour]
            return _number(header[:4]), _number(header[4:8]), bits
        place = end
    raise ImageHeaderError(f"it has more than {MAX_CHUNKS} chunks")


def _number(field: memoryview) -> int:
    return int.from_bytes(field, "big")
