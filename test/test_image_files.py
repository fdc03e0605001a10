# SPDX-License-Identifier: Apache-2.0
"""Image files: complete or refused, upright or named as turned, written or an error."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_pose_ros.image_files import (
    ImageFileError,
    UnfitImageError,
    exif_orientation,
    read_annotated_image,
    read_image_file,
    write_image_file,
)

WIDTH, HEIGHT = 64, 48
SUFFIXES = (".jpg", ".png", ".bmp", ".webp", ".tif")
# The first stored row and column of each EXIF orientation, as shown (EXIF 2.32, 4.6.4).
SHOWN_CORNER = {
    1: "top left",
    2: "top right",
    3: "bottom right",
    4: "bottom left",
    5: "top left",
    6: "top right",
    7: "bottom right",
    8: "bottom left",
}


def picture() -> np.ndarray:
    """RGB; the stored top left corner is white."""
    rng = np.random.default_rng(0)
    noise = cv2.resize(rng.integers(0, 120, (6, 8, 3), np.uint8), (WIDTH, HEIGHT))
    noise[:12, :12] = 255
    return noise


def with_orientation(data: bytes, orientation: int, order: str = "<") -> bytes:
    """A JPEG or PNG with an EXIF block of only this tag."""
    block = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "IH", 8, 1)
    block += struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0) + bytes(4)
    if data[:2] == b"\xff\xd8":
        content = b"Exif\x00\x00" + block
        return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(content)) + content + data[2:]
    import zlib

    chunk = b"eXIf" + block
    chunk = struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:33] + chunk + data[33:]


@pytest.fixture(params=SUFFIXES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"picture{request.param}"
    write_image_file(path, picture())
    return path


def test_what_is_written_is_read(file: Path) -> None:
    read = read_image_file(file)
    lossy = file.suffix in (".jpg", ".webp")
    assert np.abs(read.astype(int) - picture()).mean() <= (8 if lossy else 0)
    assert read.flags.c_contiguous


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(file: Path, fraction: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(ImageFileError, match=f"{file.name}' cannot be read as an image"):
        read_image_file(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "it is empty"), (b"no picture", "it is neither JPEG"), (None, "there is no such file")],
)
def test_what_is_no_image_is_said(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageFileError, match=rf"a\.jpg' cannot be read as an image: {words}"):
        read_image_file(path)
    with pytest.raises(ImageFileError, match="cannot be read as an image"):
        read_image_file(tmp_path)


@pytest.mark.parametrize("size", [(33000, 33000), (40000, 100), (30000, 30000)])
def test_an_image_too_large_for_opencv_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    """Bytes of zeros compress a thousandfold: a few megabytes would become gigabytes."""
    import zlib

    width, height = size
    packed = zlib.compressobj(9)
    rows = b"".join(packed.compress(bytes((width + 7) // 8 + 1)) for _ in range(height))
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", rows + packed.flush()), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + kind + content
        data += struct.pack(">I", zlib.crc32(kind + content))
    path = tmp_path / "large.png"
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match=rf"large\.png.*{width}x{height} pixels"):
        read_image_file(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, order: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo{suffix}"
    write_image_file(path, picture())
    path.write_bytes(with_orientation(path.read_bytes(), orientation, order))
    assert exif_orientation(path.read_bytes()) == orientation
    stored = read_image_file(path)
    assert stored.shape == (HEIGHT, WIDTH, 3)
    shown = read_image_file(path, upright=True)
    assert shown.shape == ((HEIGHT, WIDTH, 3) if orientation < 5 else (WIDTH, HEIGHT, 3))
    rows = slice(None, 8) if "top" in SHOWN_CORNER[orientation] else slice(-8, None)
    columns = slice(None, 8) if "left" in SHOWN_CORNER[orientation] else slice(-8, None)
    assert shown[rows, columns].min() > 200
    assert (shown.min(axis=2) > 200).sum() < 12 * 12 * 1.5


def test_opencv_shows_the_same(tmp_path: Path) -> None:
    for orientation in range(1, 9):
        path = tmp_path / "photo.jpg"
        write_image_file(path, picture())
        path.write_bytes(with_orientation(path.read_bytes(), orientation))
        theirs = cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]
        np.testing.assert_array_equal(read_image_file(path, upright=True), theirs)


@pytest.mark.parametrize(
    ("orientation", "annotated", "refused"),
    [
        (1, (WIDTH, HEIGHT), ""),
        (1, (HEIGHT, WIDTH), "is 64x48, the annotations are for 48x64"),
        (1, (60, 45), "is 64x48, the annotations are for 60x45"),
        (6, (WIDTH, HEIGHT), ""),  # the sizes say that the stored pixels were annotated
        (6, (HEIGHT, WIDTH), "EXIF orientation 6"),
        (3, (WIDTH, HEIGHT), "EXIF orientation 3"),  # the sizes say nothing
        (2, (WIDTH, HEIGHT), "EXIF orientation 2"),
    ],
)
def test_turned_and_resized_images_do_not_fit_their_annotations(
    orientation: int, annotated: tuple[int, int], refused: str, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    write_image_file(path, picture())
    path.write_bytes(with_orientation(path.read_bytes(), orientation))
    if not refused:
        assert read_annotated_image(path, annotated).shape == (HEIGHT, WIDTH, 3)
        return
    with pytest.raises(UnfitImageError, match=refused) as error:
        read_annotated_image(path, annotated)
    assert "photo.jpg" in str(error.value)


def test_a_write_that_fails_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"picture\.jpg' cannot be written"):
        write_image_file(tmp_path / "file" / "picture.jpg", picture())
    with pytest.raises(ValueError, match=r"picture\.xyz' cannot be written as \.xyz"):
        write_image_file(tmp_path / "picture.xyz", picture())
    assert not (tmp_path / "picture.xyz").exists()
