# SPDX-License-Identifier: Apache-2.0
"""Reading of image files that are complete, and writing that is checked.

OpenCV decodes a truncated JPEG or BMP without an error and fills the rest with grey or black, turns
photos by their EXIF orientation or does not, and reports a full disk by a return value. Everything
that reads or writes the image files of users does it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hrnet_pose_ros.files import write_file
from hrnet_pose_ros.pipeline.image_headers import JPEG, PNG, ImageHeaderError, encoded_size
from hrnet_pose_ros.tiff_headers import TIFF, TiffError, TiffHeader

UPRIGHT = 1  # EXIF's orientation of an image that is stored as it is looked at
TURNED = range(5, 9)  # orientations with width and height exchanged
# OpenCV crops up to this side, and decodes images of this size in about a gigabyte.
LARGEST_SIDE = 32766
LARGEST_PIXELS = 2**28

_EXIF = b"Exif\x00\x00"


class ImageFileError(ValueError):
    """An image file that is missing, damaged, or not as annotated; the message names file and
    fault."""


class UnfitImageError(ImageFileError):
    """An image is readable, but not the one that was annotated: of another size, or turned."""


def read_image_file(path: Path, *, upright: bool = False) -> np.ndarray:
    """An image file (JPEG, PNG, BMP, WebP, TIFF) as uint8 RGB ``[H, W, 3]``.

    16-bit images keep their upper 8 bits; an alpha channel is dropped.

    Parameters
    ----------
    path
        The file.
    upright
        Whether the image is turned as its EXIF orientation says, as a viewer shows it. Otherwise
        the pixels are as stored.

    Raises
    ------
    ImageFileError
        The file is missing, not an image, truncated, or too large.
    """
    data = _content(path)
    image = _decoded(data, path)
    # Of a TIFF file, OpenCV always returns the image as shown.
    if not upright or data[:4] in TIFF:
        return image
    return as_shown(image, exif_orientation(data))


def as_shown(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image ``[H, W, 3]``, stored with an EXIF orientation, as viewers show it."""
    if orientation in TURNED:
        image = image.transpose(1, 0, 2)
    # Orientations 2 to 4 and, after the sides are exchanged, 6 to 8 mirror an axis or both.
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def read_annotated_image(path: Path, size: Sequence[int] | np.ndarray) -> np.ndarray:
    """An image that was annotated with this (width, height), as `read_image_file` returns it.

    Annotations refer to the stored pixels. Many annotation tools show photos turned by their EXIF
    orientation, so that the annotations do not fit the stored pixels.

    Raises
    ------
    ImageFileError
        As `read_image_file`.
    UnfitImageError
        The image has another size, or an EXIF orientation with which it cannot be known whether
        the annotations are for the image as stored or as shown.
    """
    data = _content(path)
    image = _decoded(data, path)
    found, wanted = image.shape[1::-1], (int(size[0]), int(size[1]))
    orientation = exif_orientation(data)
    # With the sides exchanged, the annotated size tells which of the two was annotated.
    told = orientation in TURNED and found == wanted and found[0] != found[1]
    if orientation != UPRIGHT and not told:
        raise UnfitImageError(
            f"image '{path}' has the EXIF orientation {orientation}, so viewers show it turned or "
            f"mirrored: it is stored with {found[0]}x{found[1]}, the annotations are for "
            f"{wanted[0]}x{wanted[1]} (width x height); store it upright (mogrify -auto-orient) if "
            "it was annotated as shown, or remove its orientation if not"
        )
    if found != wanted:
        raise UnfitImageError(
            f"image '{path}' is {found[0]}x{found[1]}, the annotations are for "
            f"{wanted[0]}x{wanted[1]} (width x height)"
        )
    return image


def write_image_file(path: Path, image: np.ndarray) -> None:
    """Write uint8 RGB ``[H, W, 3]`` in the format of the suffix, atomically.

    Raises
    ------
    OSError
        The file cannot be written; the message names it.
    ValueError
        OpenCV cannot write such a format.
    """
    try:
        encoded, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise ValueError(f"'{path}' cannot be written as {path.suffix}: {error.err}") from None
    if not encoded:
        raise ValueError(f"'{path}' cannot be written as {path.suffix}")
    try:
        write_file(path, data.tobytes())
    except OSError as error:
        raise OSError(f"'{path}' cannot be written: {error.strerror or error}") from error


def exif_orientation(data: bytes) -> int:
    """The EXIF orientation of an image file, 1 to 8; `UPRIGHT` if the file has none."""
    block = _exif_block(data)
    if block is None:
        return UPRIGHT
    try:
        orientation = TiffHeader(block).orientation
    except TiffError:
        return UPRIGHT
    return orientation if orientation in range(1, 9) else UPRIGHT


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageFileError(
            f"'{path}' cannot be read as an image: there is no such file; is this the right folder?"
        ) from None
    except OSError as error:
        raise ImageFileError(f"'{path}' cannot be read as an image: {error.strerror}") from error


def _decoded(data: bytes, path: Path) -> np.ndarray:
    _check_complete(data, path)
    try:
        bgr = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise ImageFileError(f"'{path}' cannot be read as an image: {error.err}") from None
    if bgr is None:
        raise ImageFileError(f"'{path}' cannot be read as an image: OpenCV cannot decode it")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _check_complete(data: bytes, path: Path) -> None:
    """Refuse what OpenCV would complete by itself, or what needs too much memory."""
    try:
        width, height = _size(data)
    except (ImageHeaderError, TiffError) as error:
        raise ImageFileError(f"'{path}' cannot be read as an image: {error}") from None
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_PIXELS:
        raise ImageFileError(
            f"'{path}' cannot be read as an image: it has {width}x{height} pixels; a side may have "
            f"{LARGEST_SIDE} and an image {LARGEST_PIXELS:.3g}"
        )


def _size(data: bytes) -> tuple[int, int]:
    """Width and height of a complete file."""
    if data[: len(JPEG)] == JPEG or data[: len(PNG)] == PNG:
        return encoded_size(memoryview(data))
    if data[:2] == b"BM":
        return _bmp_size(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    if data[:4] in TIFF:
        return TiffHeader(data).complete_size()
    raise ImageHeaderError(
        "it is empty" if not data else "it is neither JPEG, PNG, BMP, WebP nor TIFF"
    )


def _bmp_size(data: bytes) -> tuple[int, int]:
    if len(data) < 34:
        raise ImageHeaderError("its header ends too early")
    start, header = _little(data, 10, 4), _little(data, 14, 4)
    if header < 40:  # OS/2: sides of 16 bits
        return _little(data, 18, 2), _little(data, 20, 2)
    width = _little(data, 18, 4)
    height = abs(int.from_bytes(data[22:26], "little", signed=True))  # negative: from the top
    bits, compression = _little(data, 28, 2), _little(data, 30, 4)
    row = (width * bits + 31) // 32 * 4
    needed = row * height if compression in (0, 3) else _little(data, 34, 4)
    if start + needed > len(data):
        raise ImageHeaderError("it ends too early")
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    if 8 + _little(data, 4, 4) > len(data):
        raise ImageHeaderError("it ends too early")
    kind, content = data[12:16], data[20:30]
    if len(content) < 10:
        raise ImageHeaderError("its header ends too early")
    if kind == b"VP8X":
        return 1 + _little(content, 4, 3), 1 + _little(content, 7, 3)
    if kind == b"VP8L":
        sides = _little(content, 1, 4)
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    return _little(content, 6, 2) & 0x3FFF, _little(content, 8, 2) & 0x3FFF


def _exif_block(data: bytes) -> bytes | None:
    """The EXIF data of a file: a TIFF file without an image. None if there is none."""
    if data[: len(JPEG)] == JPEG:
        return _jpeg_exif(data)
    if data[: len(PNG)] == PNG:
        place = len(PNG)
        while place + 8 <= len(data):
            length = int.from_bytes(data[place : place + 4], "big")
            if data[place + 4 : place + 8] == b"eXIf":
                return data[place + 8 : place + 8 + length]
            place += 12 + length
    elif data[:4] == b"RIFF":
        place = 12
        while place + 8 <= len(data):
            length = _little(data, place + 4, 4)
            if data[place : place + 4] == b"EXIF":
                return data[place + 8 : place + 8 + length].removeprefix(_EXIF)
            place += 8 + length + length % 2
    elif data[:4] in TIFF:
        return data
    return None


def _jpeg_exif(data: bytes) -> bytes | None:
    place = len(JPEG)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker == 0xDA:  # the scan: no metadata after it
            return None
        content = data[place + 4 : place + 2 + length]
        if marker == 0xE1 and content.startswith(_EXIF):
            return content[len(_EXIF) :]
        place += 2 + length
    return None


def _little(data: bytes, place: int, count: int) -> int:
    return int.from_bytes(data[place : place + count], "little")
